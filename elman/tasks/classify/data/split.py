"""Dividing examples into a training, a validation and a test part."""

from dataclasses import dataclass

import numpy as np

from elman.errors import DataError
from elman.tasks.classify.data.examples import PARTS, Examples, key_of, overlap
from elman.tasks.classify.targets.kinds import KINDS

TRAIN, VALID, TEST = range(len(PARTS))
_WORDS = ("training", "validation", "test")


@dataclass(frozen=True)
class Split:
    """part: `(N,)` number of each example's part in `PARTS`. notes: what the user should know."""

    part: np.ndarray
    notes: list[str]


def split(examples: Examples, test_fraction: float, valid_fraction: float, seed: int) -> Split:
    """The user's own parts, completed by drawn ones: a share of all for the test, and a share of
    what remains for validation, each with the share of every stratum of answers.

    Raises:
        DataError: a part is empty, or training can't teach what it or another part asks for.
    """
    kind = KINDS[examples.target or "label"]
    strata = kind.strata(examples.labels)
    given = examples.parts
    part = np.zeros(len(examples), dtype=np.uint8)
    if given is not None:
        part[:] = [PARTS.index(name) for name in given]
    rng = np.random.default_rng(seed)
    for number, share in ((TEST, test_fraction), (VALID, valid_fraction)):
        if given is None or PARTS[number] not in given:
            free = np.flatnonzero(part == TRAIN)
            part[free[drawn(strata[free], share, rng)]] = number
    answers = [
        [examples.labels[i] for i in np.flatnonzero(part == number)] for number in range(len(PARTS))
    ]
    others = {_WORDS[number]: answers[number] for number in (VALID, TEST)}
    notes = kind.divided(answers[TRAIN], others)
    _require_parts(part)
    return Split(part, [*notes, *_leaks(part, examples)])


def drawn(strata: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Numbers of a share of the examples, stratified: every stratum gives its share, rounded so
    that the total comes out, and keeps at least one example for training."""
    chosen = []
    wanted, begun = 0.0, 0
    for stratum in np.unique(strata):
        members = rng.permutation(np.flatnonzero(strata == stratum))
        wanted += share * len(members)
        count = min(round(wanted) - begun, len(members) - 1)
        begun = round(wanted)
        chosen.append(members[: max(count, 0)])
    return np.concatenate(chosen) if chosen else np.zeros(0, dtype=np.int64)


def _require_parts(part: np.ndarray) -> None:
    for number in (VALID, TEST):
        if not (part == number).any():
            raise DataError(
                f"the {_WORDS[number]} part is empty: {len(part)} examples are too few for the "
                f"shares asked for; give more examples or a larger --{PARTS[number]}-fraction"
            )


def _leaks(part: np.ndarray, examples: Examples) -> list[str]:
    """How many examples of a part also stand in the training part, with the same label (which the
    user's own division may cause) or with another one only (which no model can get right)."""
    pairs = list(zip(map(key_of, examples.items), examples.labels, strict=True))
    training = [pairs[i] for i in np.flatnonzero(part == TRAIN)]
    notes = []
    for number in (VALID, TEST):
        own = [pairs[i] for i in np.flatnonzero(part == number)]
        found = overlap(training, own)
        what = f"of the {len(own):,} {_WORDS[number]} examples also"
        if leaks := int(found.shared.sum()):
            notes.append(f"leak: {leaks:,} {what} stand in the training part, with the same label")
        if others := int(found.contested.sum()):
            notes.append(
                f"ambiguous: {others:,} {what} stand in the training part, as another label"
            )
    return notes

"""Dividing examples into a training, a validation and a test part."""

from dataclasses import dataclass

import numpy as np

from elman.errors import DataError
from elman.tasks.classify.data.examples import PARTS, Examples, key_of, overlap
from elman.tasks.shared.table import listing

TRAIN, VALID, TEST = range(len(PARTS))
_WORDS = ("training", "validation", "test")


@dataclass(frozen=True)
class Split:
    """part: `(N,)` number of each example's part in `PARTS`. notes: what the user should know."""

    part: np.ndarray
    notes: list[str]


def split(examples: Examples, test_fraction: float, valid_fraction: float, seed: int) -> Split:
    """The user's own parts, completed by drawn ones: a share of all for the test, and a share of
    what remains for validation, each with every label's share.

    Raises:
        DataError: a part is empty, or training has fewer than two labels, or a label of another
            part never occurs in training.
    """
    labels = np.array(examples.labels)
    given = examples.parts
    part = np.zeros(len(examples), dtype=np.uint8)
    if given is not None:
        part[:] = [PARTS.index(name) for name in given]
    rng = np.random.default_rng(seed)
    for number, share in ((TEST, test_fraction), (VALID, valid_fraction)):
        if given is None or PARTS[number] not in given:
            free = np.flatnonzero(part == TRAIN)
            part[free[drawn(labels[free], share, rng)]] = number
    _require_usable(part, labels)
    return Split(part, [*_rare(part, labels), *_leaks(part, examples)])


def drawn(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Numbers of a share of the examples, stratified: every label gives its share, rounded so that
    the total comes out, and keeps at least one example for training."""
    chosen = []
    wanted, begun = 0.0, 0
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        wanted += share * len(members)
        count = min(round(wanted) - begun, len(members) - 1)
        begun = round(wanted)
        chosen.append(members[: max(count, 0)])
    return np.concatenate(chosen) if chosen else np.zeros(0, dtype=np.int64)


def _require_usable(part: np.ndarray, labels: np.ndarray) -> None:
    known = np.unique(labels[part == TRAIN])
    if len(known) < 2:
        found = ", ".join(map(repr, known.tolist())) or "none"
        raise DataError(f"a classifier needs examples of at least two labels, got {found}")
    for number in (VALID, TEST):
        if not (part == number).any():
            raise DataError(
                f"the {_WORDS[number]} part is empty: {len(labels)} examples are too few for the "
                f"shares asked for; give more examples or a larger --{PARTS[number]}-fraction"
            )
        strange = np.setdiff1d(labels[part == number], known)
        if len(strange):
            raise DataError(
                f"the {_WORDS[number]} part has labels that the training part never shows: "
                f"{listing(strange.tolist())}; add examples of them, or leave them out"
            )


def _rare(part: np.ndarray, labels: np.ndarray) -> list[str]:
    known, counts = np.unique(labels[part == TRAIN], return_counts=True)
    tested = np.unique(labels[part == TEST])
    missing = np.setdiff1d(known, tested).tolist()
    notes = []
    if missing:
        notes.append(
            f"too few examples to test: {listing(missing)} (no example in the test part; macro "
            f"F1 is the mean over the other labels)"
        )
    single = known[counts == 1].tolist()
    if single:
        notes.append(f"one example only to learn from: {listing(single)}")
    return notes


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

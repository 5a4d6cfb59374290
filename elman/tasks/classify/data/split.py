"""Dividing examples into a training, a validation and a test part."""

from dataclasses import dataclass

import numpy as np

from elman.errors import ArgumentError, DataError
from elman.tasks.classify.data.division import division_of, told
from elman.tasks.classify.data.examples import PARTS, Examples, overlap
from elman.tasks.classify.targets.kinds import KINDS

TRAIN, VALID, TEST = range(len(PARTS))
_WORDS = ("training", "validation", "test")


@dataclass(frozen=True)
class Fold:
    """The one of `count` models of a cross-validation that is tested on fold `number`, from 1."""

    number: int
    count: int


@dataclass(frozen=True)
class Split:
    """used: `(N,)`, which examples stand in a part: all but those later than a fold by time. part:
    of these the number of each one's part in `PARTS`. notes: what the user should know."""

    part: np.ndarray
    notes: list[str]
    used: np.ndarray


def split(
    examples: Examples,
    test_fraction: float,
    valid_fraction: float,
    seed: int,
    fold: Fold | None = None,
) -> Split:
    """The user's own parts, completed by others: a share of all for the test, or a fold, and a
    share of what remains for validation; by groups or by time if the examples have them, else drawn
    with the share of every stratum of answers.

    Raises:
        DataError: a part is empty, or training can't teach what it or another part asks for.
        ArgumentError: both groups and times; a fold of parts that the user divided.
    """
    kind = KINDS[examples.target or "label"]
    given = examples.parts
    part = np.zeros(len(examples), dtype=np.uint8)
    if given is not None:
        part[:] = [PARTS.index(name) for name in given]
    rng = np.random.default_rng(seed)
    division, used = division_of(examples, rng), np.ones(len(examples), dtype=bool)
    shares = [(TEST, test_fraction), (VALID, valid_fraction)]
    if fold is not None:
        _require_foldable(fold, examples)
        learned, tested = division.fold(fold.number, fold.count)
        part[tested] = TEST
        used[:] = False
        used[np.concatenate([learned, tested])] = True
        shares = shares[1:]
    for number, share in shares:
        if given is None or PARTS[number] not in given:
            free = np.flatnonzero((part == TRAIN) & used)
            part[division.share(free, share)] = number
    examples, part = examples.take(np.flatnonzero(used).tolist()), part[used]
    answers = [
        [examples.labels[i] for i in np.flatnonzero(part == number)] for number in range(len(PARTS))
    ]
    others = {_WORDS[number]: answers[number] for number in (VALID, TEST)}
    by = "group" if examples.groups else "time" if examples.times else ""
    try:
        notes = kind.divided(answers[TRAIN], others)
    except DataError as error:
        raise DataError(f"divided by {by}, {error}" if by else str(error)) from None
    _require_parts(part, by)
    return Split(part, [*told(examples, part, _WORDS), *notes, *_leaks(part, examples)], used)


def _require_foldable(fold: Fold, examples: Examples) -> None:
    if examples.parts is not None:
        raise ArgumentError(
            "--folds divides DATA by itself, but it comes in parts; leave out --test-data, "
            "--valid-data and --split-column, or give one file or folder without parts"
        )
    if fold.count < 2 or not 1 <= fold.number <= fold.count:
        raise ArgumentError(
            f"--folds must be at least 2 and --fold one of them, got --folds {fold.count} --fold "
            f"{fold.number}"
        )


def _require_parts(part: np.ndarray, by: str) -> None:
    for number in (VALID, TEST):
        if by and not (part == number).any():
            raise DataError(
                f"the {_WORDS[number]} part is empty: there are too few different {by}s to divide "
                f"{len(part):,} examples by them, or each of them holds all of a label; leave "
                f"out --{by}-column, or name another column"
            )
        if not (part == number).any():
            raise DataError(
                f"the {_WORDS[number]} part is empty: {len(part)} examples are too few for the "
                f"shares asked for; give more examples or a larger --{PARTS[number]}-fraction"
            )


def _leaks(part: np.ndarray, examples: Examples) -> list[str]:
    """How many examples of a part also stand in the training part, with the same label (which the
    user's own division may cause) or with another one only (which no model can get right)."""
    pairs = [(examples.key(i), label) for i, label in enumerate(examples.labels)]
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

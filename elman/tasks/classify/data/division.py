"""Ways to choose the examples of a part: by label, by whole groups, by time."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from elman.errors import ArgumentError, DataError
from elman.tasks.classify.data.examples import Examples, Moment, short
from elman.tasks.classify.targets.kinds import KINDS


class Division(Protocol):
    """A way to choose examples, by their numbers. `free`: those that still stand in training."""

    def share(self, free: np.ndarray, share: float) -> np.ndarray:
        """About that share of the free examples, for a part of its own; none if that would leave
        training without one of its labels."""
        ...

    def fold(self, number: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """What fold `number` of `count`, from 1, learns from, and what it is tested on. No example
        is tested twice."""
        ...


def division_of(examples: Examples, rng: np.random.Generator) -> Division:
    """By the groups or the times of the examples, if they have some.

    Raises:
        ArgumentError: they have both.
    """
    if examples.groups and examples.times:
        raise ArgumentError(
            "give --group-column or --time-column, not both: rows of one group may lie on both "
            "sides of a border in time"
        )
    kind = KINDS[examples.target or "label"]
    strata = np.unique(kind.strata(examples.labels), return_inverse=True)[1]
    if examples.groups:
        return Grouped(examples.groups, strata, rng)
    if examples.times:
        return Timed(examples.times)
    return Stratified(strata, rng)


@dataclass(frozen=True)
class Stratified:
    """Every label, or every stratum of other answers, gives its share, and keeps at least one
    example for training.

    strata: `(N,)` numbers of them.
    """

    strata: np.ndarray
    rng: np.random.Generator

    def share(self, free: np.ndarray, share: float) -> np.ndarray:
        chosen: np.ndarray = free[drawn(self.strata[free], share, self.rng)]
        return chosen

    def fold(self, number: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Each label is dealt out like cards, one after the other; one with a single example is
        always learnt from."""
        _, counts = np.unique(self.strata, return_counts=True)
        order = self.rng.permutation(len(self.strata))
        order = order[np.argsort(self.strata[order], kind="stable")]
        dealt = order[counts[self.strata[order]] > 1]
        place = np.full(len(order), -1)
        place[dealt] = np.arange(len(dealt)) % count
        return np.flatnonzero(place != number - 1), np.flatnonzero(place == number - 1)


def drawn(strata: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Numbers of a share of the examples: every stratum gives its share, rounded so that the total
    comes out, and keeps at least one example for training."""
    chosen = []
    wanted, begun = 0.0, 0
    for stratum in np.unique(strata):
        members = rng.permutation(np.flatnonzero(strata == stratum))
        wanted += share * len(members)
        count = min(round(wanted) - begun, len(members) - 1)
        begun = round(wanted)
        chosen.append(members[: max(count, 0)])
    return np.concatenate(chosen) if chosen else np.zeros(0, dtype=np.int64)


class Grouped:
    """Whole groups, so that none stands in two parts, with each label's share as far as groups
    allow. A group that holds all examples of a label is always learnt from."""

    def __init__(self, groups: Sequence[str], strata: np.ndarray, rng: np.random.Generator) -> None:
        names, self._group = np.unique(np.array(groups), return_inverse=True)
        self._strata, self._rng = strata, rng
        self._groups = len(names)

    def share(self, free: np.ndarray, share: float) -> np.ndarray:
        """Groups in an order that is drawn, each if it brings the counts of labels nearer to their
        shares; the smallest one if all are too large for that."""
        counts, order = self._counts(free)
        largest_first, order = order, self._rng.permutation(order)
        left, wanted = counts.sum(0), share * counts.sum(0)
        have, chosen = np.zeros_like(wanted), []
        scale = np.maximum(wanted, 1.0)
        for group in order:
            more = counts[group]
            nearer = ((have + more - wanted) ** 2 - (have - wanted) ** 2) / scale
            if nearer.sum() < 0 and _leaves(left, more):
                chosen.append(group)
                have, left = have + more, left - more
        if not chosen:
            chosen = [group for group in largest_first if _leaves(left, counts[group])][-1:]
        return free[np.isin(self._group[free], chosen)]

    def fold(self, number: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Each group, the largest first, goes to the fold that has the fewest examples of its
        labels."""
        counts, order = self._counts(np.arange(len(self._group)))
        whole = counts.sum(0)
        have, place = np.zeros((count, counts.shape[1])), np.full(self._groups, -1)
        for group in order:
            more = counts[group]
            if _leaves(whole, more):
                place[group] = np.argmin(((2 * have + more) * more / np.maximum(whole, 1)).sum(1))
                have[place[group]] += more
        tested = place[self._group] == number - 1
        return np.flatnonzero(~tested), np.flatnonzero(tested)

    def _counts(self, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How many of the free examples of each label `(G, K)` a group has, and the groups that
        have some, from the largest to the smallest, in an order that is drawn where they are as
        large."""
        counts = np.zeros((self._groups, int(self._strata.max()) + 1))
        np.add.at(counts, (self._group[free], self._strata[free]), 1)
        order = self._rng.permutation(self._groups)
        order = order[np.argsort(-counts[order].sum(1), kind="stable")]
        return counts, order[counts[order].sum(1) > 0]


def _leaves(left: np.ndarray, taken: np.ndarray) -> bool:
    """Whether every label that is there keeps an example when these are taken."""
    return bool(((left - taken > 0) | (left == 0)).all())


class Timed:
    """The last examples by time; those of one moment stand on one side of a border."""

    def __init__(self, times: Sequence[Moment]) -> None:
        self._times = np.unique(np.array([time.order for time in times]), return_inverse=True)[1]

    def share(self, free: np.ndarray, share: float) -> np.ndarray:
        order = self._ordered(free)
        border = self._border(order, len(order) * (1 - share))
        return order[border:] if border else order[:0]

    def fold(self, number: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Rolling origin: of count + 1 stretches of time, fold k learns from the first k and is
        tested on the next one."""
        order = self._ordered(np.arange(len(self._times)))
        ends = [len(order) * k / (count + 1) for k in range(1, count + 1)]
        borders = [0, *(self._border(order, end) for end in ends), len(order)]
        if any(end <= begin for begin, end in pairwise(borders)):
            raise DataError(
                f"{len(np.unique(self._times)):,} different times are too few, or too uneven, for "
                f"{count} folds one after the other; give fewer --folds"
            )
        return order[: borders[number]], order[borders[number] : borders[number + 1]]

    def _ordered(self, free: np.ndarray) -> np.ndarray:
        return free[np.argsort(self._times[free], kind="stable")]

    def _border(self, order: np.ndarray, wanted: float) -> int:
        """The place nearest to the wanted one at which the time changes; 0 if it never does."""
        changes = np.flatnonzero(np.diff(self._times[order])) + 1
        return int(changes[np.argmin(np.abs(changes - wanted))]) if len(changes) else 0


def told(examples: Examples, part: np.ndarray, words: Sequence[str]) -> list[str]:
    """What the user should know about groups or times in the parts. words: what parts are called.

    Notes name what two parts share, which only the user's own parts can.
    """
    if examples.groups:
        return _groups_told(examples.groups, part, words)
    return _times_told(examples.times, part, words) if examples.times else []


def _groups_told(groups: Sequence[str], part: np.ndarray, words: Sequence[str]) -> list[str]:
    names, counts = np.unique(np.array(groups), return_counts=True)
    of_part = [
        set(np.array(groups)[part == number].tolist()) for number in range(len(words))
    ]  # fmt: skip
    sizes = ", ".join(
        f"{len(found):,} in {word}" for found, word in zip(of_part, words, strict=True)
    )
    notes = [f"divided by groups: {sizes}"]
    for found, word in zip(of_part[1:], words[1:], strict=True):
        if shared := len(found & of_part[0]):
            notes.append(
                f"leak: {shared:,} of the {len(found):,} groups of the {word} part also stand in "
                f"the training part"
            )
    if counts.max() > len(groups) / 2:
        name = short(str(names[counts.argmax()]))
        notes.append(
            f"the group {name!r} holds {counts.max() / len(groups):.0%} of the examples, and "
            f"stands in one part as a whole: what the others measure may say little about it"
        )
    return notes


def _times_told(times: Sequence[Moment], part: np.ndarray, words: Sequence[str]) -> list[str]:
    spans = []
    for number in range(len(words)):
        own = [times[i] for i in np.flatnonzero(part == number).tolist()]
        spans.append((min(own), max(own)))
    shown = ", ".join(
        f"{word} {first.written} to {last.written}"
        for word, (first, last) in zip(words, spans, strict=True)
    )
    notes = [f"divided by time: {shown}"]
    for word, (first, _) in zip(words[1:], spans[1:], strict=True):
        if first.order <= spans[0][1].order:
            notes.append(f"the {word} part begins before the training part ends")
    return notes

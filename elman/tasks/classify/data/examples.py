"""Labelled examples as they come from a source, before they are numbers."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from elman.errors import DataError
from elman.tasks.classify.targets.base import Overlap

Item = str | np.ndarray
"""One example: text, or a signal `(T, C)` float64."""

PARTS = ("train", "valid", "test")
PART_NAMES = {
    "train": "train", "training": "train",
    "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid",
    "test": "test", "testing": "test",
}  # fmt: skip
"""What people call the parts, in lower case."""


class Moment(NamedTuple):
    """When an example was: a number that grows with time, and what stands in the table."""

    order: float
    written: str


@dataclass
class Examples:
    """labels[i] is the label of items[i]; parts[i], if the source says so, its part of `PARTS`.

    notes: what the user should know about how they were read. channels: C of a signal, 0 for
    text. format: what the source was, "" for no file. texts: columns of a table that held them.
    files and rows: the file that each example stands in, and its number there, from 1: of a table's
    rows without the header, of lines, of examples. columns: other columns of a table that were
    asked for, by name. groups and times: of each example, if the parts go by them. beside: cells of
    the columns that are read beside the texts, by name. target: the kind of the answers, if the
    source says it, and once it is known. weights: of the examples in the loss, if the source has
    some.
    """

    items: list[Item]
    labels: list[str]
    parts: list[str] | None = None
    channels: int = 0
    notes: list[str] = field(default_factory=list)
    format: str = ""
    texts: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    columns: dict[str, list[str]] = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)
    times: list[Moment] = field(default_factory=list)
    beside: dict[str, list[str]] = field(default_factory=dict)
    target: str = ""
    weights: list[float] | None = None

    def __post_init__(self) -> None:
        self.files = self.files or [""] * len(self.items)
        self.rows = self.rows or list(range(1, len(self.items) + 1))

    def __len__(self) -> int:
        return len(self.items)

    def take(self, which: Sequence[int]) -> "Examples":
        """Those of the given numbers, with all notes."""
        return replace(
            self,
            items=[self.items[i] for i in which],
            labels=[self.labels[i] for i in which],
            parts=None if self.parts is None else [self.parts[i] for i in which],
            files=[self.files[i] for i in which],
            rows=[self.rows[i] for i in which],
            columns={name: [cells[i] for i in which] for name, cells in self.columns.items()},
            groups=[self.groups[i] for i in which] if self.groups else [],
            times=[self.times[i] for i in which] if self.times else [],
            beside={name: [cells[i] for i in which] for name, cells in self.beside.items()},
            weights=None if self.weights is None else [self.weights[i] for i in which],
        )

    def key(self, number: int) -> Hashable:
        """What makes two examples equal."""
        beside = tuple(cells[number] for cells in self.beside.values())
        return (key_of(self.items[number]), *beside)


def key_of(item: Item) -> bytes | str:
    """What makes two examples equal."""
    return item if isinstance(item, str) else item.tobytes()


def short(text: str) -> str:
    """The beginning of a text that a message shows."""
    return text if len(text) <= 40 else text[:37] + "..."


EMPTY, REPEAT, LATER = "empty", "repeat", "later"
"""Why an example is left out."""


class Cleaned(NamedTuple):
    """examples: those that are used. reasons: for each that was there, why it is left out; "" if
    it is not."""

    examples: Examples
    reasons: list[str]

    def only(self, used: np.ndarray) -> "Cleaned":
        """Without the examples that a mask `(N,)` over those that are used does not tell, which lie
        later than a fold by time."""
        told = iter(used.tolist())
        reasons = [reason or ("" if next(told) else LATER) for reason in self.reasons]
        return Cleaned(self.examples.take(np.flatnonzero(used).tolist()), reasons)


def cleaned(examples: Examples, repeats: bool = True) -> Cleaned:
    """Without empty examples. What was left out is counted in the notes.

    repeats: also without repeats of a (label, example) pair, which a drawn split would spread over
    training and test. The user's own validation and test parts keep theirs: they are measured row
    by row, as they are.
    """
    reasons = _reasons(examples, repeats)
    found = examples.take([number for number, reason in enumerate(reasons) if not reason])
    found.notes = list(examples.notes)
    if empty := reasons.count(EMPTY):
        found.notes.append(f"empty examples left out: {empty:,}")
    if repeated := reasons.count(REPEAT):
        what = "an example" if examples.parts is None else "a training example"
        found.notes.append(
            f"repeats of {what} with the same label left out: {repeated:,}; {len(found):,} "
            f"examples remain"
        )
    return Cleaned(found, reasons)


def _reasons(examples: Examples, repeats: bool) -> list[str]:
    seen: set[tuple[Any, ...]] = set()
    reasons = []
    for number, (item, label) in enumerate(zip(examples.items, examples.labels, strict=True)):
        drawn = examples.parts is None or examples.parts[number] == "train"
        pair = (label, examples.key(number))
        if len(item) == 0:
            reasons.append(EMPTY)
        elif repeats and drawn and pair in seen:
            reasons.append(REPEAT)
        else:
            reasons.append("")
            if drawn:
                seen.add(pair)
    return reasons


def overlap(
    training: Iterable[tuple[Hashable, Hashable]], others: Iterable[tuple[Hashable, Hashable]]
) -> Overlap:
    """From (example, label) pairs: two `(N,)` masks over the others."""
    labels: dict[Hashable, set[Hashable]] = {}
    for key, label in training:
        labels.setdefault(key, set()).add(label)
    found = [(label in labels.get(key, ()), key in labels) for key, label in others]
    same, any_label = np.array(found, dtype=bool).reshape(-1, 2).T
    return Overlap(same, any_label & ~same)


def joined(parts: dict[str, Examples]) -> Examples:
    """Examples of several parts as one, each remembering its part."""
    first = next(iter(parts.values()))
    for name, one in parts.items():
        if one.channels != first.channels:
            raise DataError(
                f"all parts must hold the same kind of data, but one has {_kind(first)} and the "
                f"{name} part {_kind(one)}"
            )
    return Examples(
        [item for one in parts.values() for item in one.items],
        [label for one in parts.values() for label in one.labels],
        [name for name, one in parts.items() for _ in one.items],
        first.channels,
        [note for one in parts.values() for note in one.notes],
        first.format,
        first.texts,
        [file for one in parts.values() for file in one.files],
        [row for one in parts.values() for row in one.rows],
        groups=[group for one in parts.values() for group in one.groups],
        times=[time for one in parts.values() for time in one.times],
        beside={
            name: [cell for one in parts.values() for cell in one.beside[name]]
            for name in first.beside
        },
        target=first.target,
        weights=_weights(parts),
    )


def _weights(parts: dict[str, Examples]) -> list[float] | None:
    """Of the training part; others count one each, whatever they weigh."""
    if parts["train"].weights is None:
        return None
    return [
        weight
        for one in parts.values()
        for weight in (one.weights if one is parts["train"] else None) or [1.0] * len(one)
    ]


def _kind(examples: Examples) -> str:
    return f"signals of {examples.channels} channels" if examples.channels else "text"

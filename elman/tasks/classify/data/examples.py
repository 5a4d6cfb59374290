"""Labelled examples as they come from a source, before they are numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from elman.errors import DataError

Item = str | np.ndarray
"""One example: text, or a signal `(T, C)` float64."""

PARTS = ("train", "valid", "test")


@dataclass
class Examples:
    """labels[i] is the label of items[i]; parts[i], if the source says so, its part of `PARTS`.

    notes: what the user should know about how they were read. channels: C of a signal, 0 for
    text. format: what the source was, "" for no file. column: that held the texts of a table.
    """

    items: list[Item]
    labels: list[str]
    parts: list[str] | None = None
    channels: int = 0
    notes: list[str] = field(default_factory=list)
    format: str = ""
    column: str = ""

    def __len__(self) -> int:
        return len(self.items)

    def take(self, which: Sequence[int]) -> "Examples":
        """Those of the given numbers, with all notes."""
        return replace(
            self,
            items=[self.items[i] for i in which],
            labels=[self.labels[i] for i in which],
            parts=None if self.parts is None else [self.parts[i] for i in which],
        )


def key_of(item: Item) -> bytes | str:
    """What makes two examples equal."""
    return item if isinstance(item, str) else item.tobytes()


def short(text: str) -> str:
    """The beginning of a text that a message shows."""
    return text if len(text) <= 40 else text[:37] + "..."


def cleaned(examples: Examples) -> Examples:
    """Without empty examples, and with each (label, example) pair once in a part.

    What was left out is counted in the notes.
    """
    seen: set[tuple[Any, ...]] = set()
    kept = []
    empty = repeated = 0
    for number, (item, label) in enumerate(zip(examples.items, examples.labels, strict=True)):
        part = examples.parts[number] if examples.parts is not None else ""
        pair = (part, label, key_of(item))
        if len(item) == 0:
            empty += 1
        elif pair in seen:
            repeated += 1
        else:
            seen.add(pair)
            kept.append(number)
    found = examples.take(kept)
    if empty:
        found.notes.append(f"empty examples left out: {empty:,}")
    if repeated:
        found.notes.append(
            f"repeats of an example with the same label left out: {repeated:,}; {len(kept):,} "
            f"examples remain"
        )
    return found


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
        first.column,
    )


def _kind(examples: Examples) -> str:
    return f"signals of {examples.channels} channels" if examples.channels else "text"

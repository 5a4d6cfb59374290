"""How `elman predict` prints: for people, as JSON lines, as CSV."""

import json
from collections.abc import Sequence
from enum import StrEnum
from itertools import zip_longest
from typing import Any, NamedTuple, Protocol

from elman.app import terminal
from elman.app.explanations import told
from elman.tasks.classify.data.examples import Examples, Item
from elman.tasks.classify.data.tables import ALL
from elman.tasks.classify.targets.base import Target
from elman.tasks.classify.use.explanation import Explanation, Piece
from elman.tasks.shared.csv_rows import csv_row

_WIDEST = 40  # of the examples in a table for people


class Format(StrEnum):
    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"


class Columns(NamedTuple):
    """Columns of the user's table that stand beside the predictions: one that names the row, one
    with the right label, and others."""

    id: str | None = None
    label: str | None = None
    others: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        return [name for name in (self.id, self.label, *self.others) if name]


class Printer(Protocol):
    """examples: all of them. columns: to print beside them. target: what is predicted. top: labels
    for each."""

    def __init__(
        self, examples: Examples, columns: Columns, target: Target, top: int | None
    ) -> None: ...

    head: str
    """What stands before all rows."""
    tail: str
    """What stands after them."""

    def lines(
        self, rows: range, said: Sequence[Any], explanations: Sequence[Explanation | None]
    ) -> str:
        """Some rows; None for one that had nothing to predict from. explanations: one for each row
        if they were asked for."""
        ...


class Table:
    head = tail = ""

    def __init__(
        self, examples: Examples, columns: Columns, target: Target, top: int | None
    ) -> None:
        self._items, self._coloured = examples.items, terminal.shows_colours()
        self._target, self._top = target, top
        self._names = [
            " ".join(name_of(item, number).split()) for number, item in enumerate(examples.items, 1)
        ]

    def lines(
        self, rows: range, said: Sequence[Any], explanations: Sequence[Explanation | None]
    ) -> str:
        names = [self._names[row] for row in rows]
        width = min(_WIDEST, max(map(len, names)))
        cells = [self._target.shown(one, self._top).cells for one in said]
        widths = [max(map(len, column)) for column in zip_longest(*cells, fillvalue="")]
        lines = []
        for row, name, own, why in zip(rows, names, cells, explanations, strict=True):
            shown = name if len(name) <= width else name[: width - 3] + "..."
            line = "  ".join([f"{shown:<{width}}", *map(str.ljust, own, widths)]).rstrip() + "\n"
            # Beside colours nobody else takes other controls out.
            lines.append(terminal.harmless(line) if self._coloured else line)
            if why is not None:
                lines.append(told(self._items[row], why, self._coloured))
        return "".join(lines)


class JsonLines:
    head = tail = ""

    def __init__(
        self, examples: Examples, columns: Columns, target: Target, top: int | None
    ) -> None:
        self._examples, self._columns = examples, columns
        self._target, self._top = target, top

    def lines(
        self, rows: range, said: Sequence[Any], explanations: Sequence[Explanation | None]
    ) -> str:
        return "".join(
            f"{self._line(row, one, why)}\n"
            for row, one, why in zip(rows, said, explanations, strict=True)
        )

    def _line(self, row: int, said: Any, why: Explanation | None) -> str:
        found = self._object(row, said)
        if why is not None:
            found["explanation"] = why.to_json()
        return json.dumps(found, ensure_ascii=False)

    def _object(self, row: int, said: Any) -> dict[str, Any]:
        cells = {name: values[row] for name, values in self._examples.columns.items()}
        found: dict[str, Any] = _place(self._examples, row)
        if self._columns.id:
            found["id"] = cells[self._columns.id]
        found["example"] = name_of(self._examples.items[row], row + 1)
        if self._columns.label:
            found["label"] = cells[self._columns.label]
        found |= self._target.shown(said, self._top).json
        if self._columns.others:
            named = (self._columns.id, self._columns.label)
            asked = self._columns.others
            found["columns"] = {
                name: cell
                for name, cell in cells.items()
                if name in asked or (ALL in asked and name not in named)
            }
        return found


class Json(JsonLines):
    """The same in one object, as {"predictions": [...]}."""

    head, tail = '{"predictions": [', "]}\n"

    def lines(
        self, rows: range, said: Sequence[Any], explanations: Sequence[Explanation | None]
    ) -> str:
        lines = map(self._line, rows, said, explanations)
        return (", " if rows.start else "") + ", ".join(lines)


class Csv:
    """Kept columns have their own names, with .1 behind one that would stand there twice. What is
    in several files has columns with the name of the file and the row in it."""

    tail = ""

    def __init__(
        self, examples: Examples, columns: Columns, target: Target, top: int | None
    ) -> None:
        self._examples, self._target, self._top = examples, target, top
        kept = list(examples.columns)
        first = [name for name in kept if name == columns.id]
        last = [name for name in kept if name not in first]
        self._cells = [examples.columns[name] for name in (*first, *last)]
        self._first = len(first)
        own = [
            *(_place(examples, 0) if len(examples) else {}), "example", *target.columns(top)
        ]  # fmt: skip
        header = [
            *(_other(name, own) for name in first), *own, *(_other(name, own) for name in last)
        ]  # fmt: skip
        self.head = csv_row(header)

    def lines(
        self, rows: range, said: Sequence[Any], explanations: Sequence[Explanation | None]
    ) -> str:
        return "".join(csv_row(self._fields(row, one)) for row, one in zip(rows, said, strict=True))

    def _fields(self, row: int, said: Any) -> list[str]:
        cells = [column[row] for column in self._cells]
        name = name_of(self._examples.items[row], row + 1)
        place = map(str, _place(self._examples, row).values())
        return [
            *cells[: self._first],
            *place,
            name,
            *self._target.shown(said, self._top).fields,
            *cells[self._first :],
        ]


class PiecesCsv:
    """Explanations alone: a row for each piece of each example. start and stop count from 0, and
    stop is the first that does not belong to it."""

    tail = ""

    def __init__(
        self, examples: Examples, columns: Columns, target: Target, top: int | None
    ) -> None:
        self._examples, self._columns = examples, columns
        first = [columns.id] if columns.id else []
        self.head = csv_row(
            [*first, "row", "example", "label", "probability", "start", "stop", "channel", "piece",
             "effect"]
        )  # fmt: skip

    def lines(
        self, rows: range, said: Sequence[Any], explanations: Sequence[Explanation | None]
    ) -> str:
        return "".join(
            csv_row([*self._place(row), *_fields(explained, piece)])
            for row, explained in zip(rows, explanations, strict=True)
            if explained is not None
            for piece in explained.pieces
        )

    def _place(self, row: int) -> list[object]:
        own = [self._examples.columns[self._columns.id][row]] if self._columns.id else []
        return [*own, row + 1, name_of(self._examples.items[row], row + 1)]


def _fields(explained: Explanation, piece: Piece) -> list[object]:
    return [
        explained.label, f"{explained.probability:.6f}", piece.start, piece.stop, piece.channel,
        explained.letters(piece), f"{piece.effect:.6f}",
    ]  # fmt: skip


PRINTERS: dict[Format, type[Printer]] = {
    Format.table: Table, Format.json: Json, Format.jsonl: JsonLines, Format.csv: Csv
}  # fmt: skip


def _place(examples: Examples, row: int) -> dict[str, Any]:
    """File and row in it, if there are several files."""
    if examples.files[0] == examples.files[-1]:
        return {}
    return {"file": examples.files[row], "row": examples.rows[row]}


def _other(name: str, taken: Sequence[str]) -> str:
    return f"{name}.1" if name in taken else name


def name_of(item: Item, number: int) -> str:
    """A text itself; a signal by its place in the file."""
    return item if isinstance(item, str) else str(number)

"""How `elman predict` prints: for people, as JSON lines, as CSV."""

import json
from collections.abc import Sequence
from enum import StrEnum
from itertools import zip_longest
from typing import Any, NamedTuple, Protocol

from elman.tasks.classify.data.examples import Examples, Item
from elman.tasks.classify.data.tables import ALL
from elman.tasks.classify.targets.base import Target
from elman.tasks.shared.csv_rows import csv_row

_WIDEST = 40  # of the examples in a table for people


class Format(StrEnum):
    table = "table"
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

    def head(self) -> str:
        """What stands before all rows."""
        ...

    def lines(self, rows: range, said: Sequence[Any]) -> str:
        """Some rows; None for one that had nothing to predict from."""
        ...


class Table:
    def __init__(
        self, examples: Examples, columns: Columns, target: Target, top: int | None
    ) -> None:
        self._target, self._top = target, top
        self._names = [
            " ".join(_name(item, number).split()) for number, item in enumerate(examples.items, 1)
        ]

    def head(self) -> str:
        return ""

    def lines(self, rows: range, said: Sequence[Any]) -> str:
        names = [self._names[row] for row in rows]
        width = min(_WIDEST, max(map(len, names)))
        cells = [self._target.shown(one, self._top).cells for one in said]
        widths = [max(map(len, column)) for column in zip_longest(*cells, fillvalue="")]
        return "\n".join(
            "  ".join(
                [
                    f"{name if len(name) <= width else name[: width - 3] + '...':<{width}}",
                    *map(str.ljust, row, widths),
                ]
            ).rstrip()
            for name, row in zip(names, cells, strict=True)
        )


class JsonLines:
    def __init__(
        self, examples: Examples, columns: Columns, target: Target, top: int | None
    ) -> None:
        self._examples, self._columns = examples, columns
        self._target, self._top = target, top

    def head(self) -> str:
        return ""

    def lines(self, rows: range, said: Sequence[Any]) -> str:
        return "\n".join(
            json.dumps(self._object(row, one), ensure_ascii=False)
            for row, one in zip(rows, said, strict=True)
        )

    def _object(self, row: int, said: Any) -> dict[str, Any]:
        cells = {name: values[row] for name, values in self._examples.columns.items()}
        found: dict[str, Any] = _place(self._examples, row)
        if self._columns.id:
            found["id"] = cells[self._columns.id]
        found["example"] = _name(self._examples.items[row], row + 1)
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


class Csv:
    """Kept columns have their own names, with .1 behind one that would stand there twice. What is
    in several files has columns with the name of the file and the row in it."""

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
        self._header = [
            *(_other(name, own) for name in first), *own, *(_other(name, own) for name in last)
        ]  # fmt: skip

    def head(self) -> str:
        return csv_row(self._header)[:-1]

    def lines(self, rows: range, said: Sequence[Any]) -> str:
        return "".join(
            csv_row(self._fields(row, one)) for row, one in zip(rows, said, strict=True)
        )[:-1]

    def _fields(self, row: int, said: Any) -> list[str]:
        cells = [column[row] for column in self._cells]
        name = _name(self._examples.items[row], row + 1)
        place = map(str, _place(self._examples, row).values())
        return [
            *cells[: self._first],
            *place,
            name,
            *self._target.shown(said, self._top).fields,
            *cells[self._first :],
        ]


PRINTERS: dict[Format, type[Printer]] = {
    Format.table: Table, Format.jsonl: JsonLines, Format.csv: Csv
}  # fmt: skip


def _place(examples: Examples, row: int) -> dict[str, Any]:
    """File and row in it, if there are several files."""
    if examples.files[0] == examples.files[-1]:
        return {}
    return {"file": examples.files[row], "row": examples.rows[row]}


def _other(name: str, taken: Sequence[str]) -> str:
    return f"{name}.1" if name in taken else name


def _name(item: Item, number: int) -> str:
    """A text itself; a signal by its place in the file."""
    return item if isinstance(item, str) else str(number)

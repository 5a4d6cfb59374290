"""Tables of text: CSV and its relatives, JSON lines, Parquet."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from elman.errors import DataError
from elman.tasks.classify.data.json_lines import parse_json_lines
from elman.tasks.shared.separated import parse_separated
from elman.tasks.shared.table import Table, parquet_cells

if TYPE_CHECKING:
    import polars as pl

_CALENDAR = (-719_162, 2_932_896)
"""The first day of the year 1 and the last of the year 9999, in days since 1970."""


@dataclass(frozen=True)
class TextTable(Table):
    """A table of text: each cell is a string, or null where there is none.

    repeated: names that several columns have. nested: the first row of a column that holds lists or
    objects. header: the names of the columns come from the first line.

    Cells of a Parquet file become strings when they are asked for: those of a column that nobody
    reads may be of any type.
    """

    repeated: frozenset[str] = frozenset()
    nested: Mapping[str, int] = field(default_factory=dict)
    header: bool = False

    def strings(self, column: str | None) -> list[str]:
        """The values of a column, stripped; empty ones if there is no such column.

        Raises:
            DataError: a list or an object where one text was expected.
        """
        if column is None:
            return [""] * self.frame.height
        if column in self.nested:
            raise DataError(
                f"{self.place(self.nested[column])}: {column!r} must be text or a number, got a "
                f"list or an object; write one value there, or name another column"
            )
        return [(value or "").strip() for value in self._text(column).to_list()]

    def written(self, column: str) -> list[str]:
        """The values of a column as they are, lists and objects as JSON; "" where there is none.

        Raises:
            DataError: values that can't be written as text.
        """
        return [value or "" for value in self._text(column).to_list()]

    def _text(self, column: str) -> "pl.Series":
        import polars as pl

        cells = self.frame[column]
        if cells.dtype.is_nested():
            return _as_json(cells)
        if (row := _beyond_calendar(cells)) is not None:
            raise DataError(
                f"{self.place(row)}: {column!r} must hold dates of the years 1 to 9999, got "
                f"another; correct it, or name another column"
            )
        try:
            return cells.cast(pl.String)
        except pl.exceptions.PolarsError:
            raise DataError(
                f"{self.name}: column {column!r} must hold text or numbers, got values of type "
                f"{cells.dtype}; write it as text, or name another column"
            ) from None


def _as_json(cells: "pl.Series") -> "pl.Series":
    """Lists and objects as JSON."""
    import polars as pl

    texts = [
        None if cell is None else json.dumps(cell, ensure_ascii=False, default=str)
        for cell in cells.to_list()
    ]
    return pl.Series(cells.name, texts, dtype=pl.String)


def _beyond_calendar(cells: "pl.Series") -> int | None:
    """The first row with a date that no calendar has, which Polars can't write as text."""
    import polars as pl

    if cells.dtype == pl.Date:
        days = cells.to_physical()
    elif isinstance(cells.dtype, pl.Datetime):
        unit = {"ms": 10**3, "us": 10**6, "ns": 10**9}[cells.dtype.time_unit]
        days = cells.to_physical() // (unit * 24 * 60 * 60)
    else:
        return None
    beyond = (~days.is_between(*_CALENDAR)).fill_null(False).arg_true()
    return int(beyond[0]) if len(beyond) else None


def read_separated(content: str, name: str, usual: str, header: bool) -> TextTable:
    """A table whose fields are separated, as a rule by `usual`.

    Raises:
        DataError: see `parse_separated`.
    """
    found = parse_separated(content, name, usual, header, blank=True)
    return TextTable(
        found.frame, name, found.lines, found.separator, found.notes, found.repeated, header=header
    )


def read_json_lines(content: str, name: str) -> TextTable:
    """JSON lines as a table.

    Raises:
        DataError: no lines, or see `parse_json_lines`.
    """
    import polars as pl

    found = parse_json_lines(content, name)
    if not found.rows:
        raise DataError(f"{name} is empty; a line for each example was expected")
    columns = dict.fromkeys(key for row in found.rows for key in row)
    cells = {column: [row.get(column) for row in found.rows] for column in columns}
    rows = {line: row for row, line in enumerate(found.lines)}
    nested = {column: rows[line] for column, line in found.nested.items()}
    frame = pl.DataFrame(cells, dict.fromkeys(columns, pl.String))
    return TextTable(frame, name, found.lines, notes=found.notes, nested=nested)


def read_parquet(path: str, name: str) -> TextTable:
    """A Parquet file as a table.

    Raises:
        DataError: damaged, or without rows.
    """
    frame = parquet_cells(path, name)
    nested = {column: 0 for column in frame.columns if frame[column].dtype.is_nested()}
    return TextTable(frame, name, nested=nested)

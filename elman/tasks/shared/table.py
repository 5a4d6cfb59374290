"""Tables as all tasks see them: cells with their places, columns without a meaning, and how
messages tell of both."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elman.errors import ArgumentError, DataError

if TYPE_CHECKING:
    import polars as pl

_MOST_NAMES = 8
_MOST_SHOWN = 60
_UNNAMED = re.compile(
    r"|Unnamed: \d+(\.\d+|_level_\d+)*|__index_level_\d+__|_duplicated_\d+|\.\.\.\d+"
)


@dataclass(frozen=True)
class Table:
    """A file's cells.

    lines: of the file, where the rows begin; None if it has none. separator: what stands between
    cells, for a file of text. notes: what the user should know about how it was read.
    """

    frame: "pl.DataFrame"
    name: str
    lines: Sequence[int] | None = None
    separator: str = ""
    notes: Sequence[str] = ()

    @property
    def columns(self) -> list[str]:
        return self.frame.columns

    def place(self, row: int) -> str:
        if self.lines is None:
            return f"{self.name}, row {row + 1}"
        return f"{self.name}, line {self.lines[row]}"

    def require(self, column: str, option: str = "") -> None:
        """Raise `ArgumentError` if there is no such column. option: the one that asks for it."""
        if column not in self.columns:
            asked = f" ({option})" if option else ""
            near = difflib.get_close_matches(column, self.columns, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ArgumentError(
                f"{self.name} has no column {column!r}{asked}; {hint}it has {listing(self.columns)}"
            )


def parquet_cells(path: str, name: str) -> "pl.DataFrame":
    """The cells of a Parquet file. name: how messages call it.

    Raises:
        DataError: damaged, or without rows.
    """
    import polars as pl

    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{name} must be a Parquet file, by its first bytes, but can't be read ({reason}); "
            f"make it anew"
        ) from None
    if not frame.height:
        raise DataError(f"{name} holds no rows; some were expected to learn from")
    return frame


def is_unnamed(column: str) -> bool:
    """Whether a column has no name in its file, now or when pandas, Polars or readr read it
    before: as a rule it holds the row numbers of a data frame."""
    return _UNNAMED.fullmatch(column) is not None


def numbers_rows(cells: "pl.Series") -> bool:
    """Whether a column is 0, 1, 2, ... or 1, 2, 3, ..."""
    numbers = whole_numbers(cells)
    return (
        len(numbers) > 2
        and not numbers.null_count()
        and numbers[0] in (0, 1)
        and bool((numbers.diff().drop_nulls() == 1).all())
    )


def whole_numbers(cells: "pl.Series") -> "pl.Series":
    """Cells as int64, null where a cell is no whole number; 1949.0 is one."""
    import polars as pl

    if not (cells.dtype.is_numeric() or cells.dtype == pl.String):
        return pl.Series([None] * len(cells), dtype=pl.Int64)
    numbers = cells.cast(pl.Float64, strict=False)
    whole = numbers.is_finite() & (numbers == numbers.floor()) & (numbers.abs() < 2.0**53)
    rounded = numbers.set(~whole.fill_null(False), None).cast(pl.Int64)
    if cells.dtype.is_float() or cells.dtype.is_decimal():
        return rounded
    return pl.select(pl.coalesce(cells.cast(pl.Int64, strict=False), rounded)).to_series()


def listing(names: Sequence[str]) -> str:
    """Names with commas between them; only the first of very many."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def shown(cell: object) -> str:
    """A cell as a message shows it."""
    if cell in (None, ""):
        return "an empty cell"
    text = repr(cell) if isinstance(cell, str) else str(cell)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."

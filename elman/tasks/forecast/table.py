"""CSV and Parquet files as tables whose cells are checked one by one, with the place of every cell
that can't be used.

A CSV file is read as text, so that each mistake can be shown as it stands in the file.
"""

import difflib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from elman.errors import ArgumentError, DataError
from elman.tasks.forecast.settings import ForecastSettings, listed
from elman.tasks.forecast.stamps import Stamps, looks_like_dates, looks_like_index, read_stamps
from elman.tasks.shared.recognise import PARQUET, head_of
from elman.tasks.shared.separated import parse_separated
from elman.tasks.shared.text import read_text

if TYPE_CHECKING:
    import polars as pl

MISSING = ("", "na", "n/a", "nan", "null", "none", "?")
"""Cells, in lower case, that stand for a missing value."""


@dataclass(frozen=True)
class Table:
    """A file's cells. lines: the line of each row, for a file of text."""

    frame: "pl.DataFrame"
    name: str
    lines: Sequence[int] | None = None

    def place(self, row: int) -> str:
        if self.lines is None:
            return f"{self.name}, row {row + 1}"
        return f"{self.name}, line {self.lines[row]}"

    def require(self, column: str) -> None:
        """Raise `ArgumentError` if there is no such column."""
        columns = self.frame.columns
        if column not in columns:
            near = difflib.get_close_matches(column, columns, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ArgumentError(
                f"{self.name} has no column {column!r}; {hint}it has {', '.join(columns)}"
            )


@dataclass(frozen=True)
class Columns:
    """Which column is what."""

    time: str
    targets: tuple[str, ...]
    past: tuple[str, ...] = ()
    future: tuple[str, ...] = ()
    id: str | None = None

    @property
    def numeric(self) -> tuple[str, ...]:
        """Targets, then past, then future covariates: the order of every array of values."""
        return self.targets + self.past + self.future

    @property
    def named(self) -> tuple[str, ...]:
        """All columns that have a role."""
        return (self.time, *([] if self.id is None else [self.id]), *self.numeric)

    @property
    def roles(self) -> tuple[int, int, int]:
        """How many targets, past and future covariates there are."""
        return len(self.targets), len(self.past), len(self.future)


def default_data() -> str:
    """The weekly CO2 record of Mauna Loa, 1958 to 2001, as statsmodels carries it.

    Raises:
        DataError: statsmodels is not installed.
    """
    spec = importlib.util.find_spec("statsmodels")  # found, not imported: that would take seconds
    places = spec.submodule_search_locations if spec is not None else None
    for place in places or ():
        path = Path(place) / "datasets" / "co2" / "co2.csv"
        if path.is_file():
            return str(path)
    raise DataError(
        "training without data takes the CO2 record of statsmodels, which is not installed; "
        "pip install 'elman[demo]', or name a CSV or Parquet file"
    )


def read_table(path: str) -> Table:
    """A CSV or Parquet file.

    Raises:
        DataError: no such file, not readable, or rows of different width.
    """
    import polars as pl

    if not head_of(path).startswith(PARQUET):
        return _separated(path)
    name = Path(path).name
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} can't be read as a table: {reason}; give CSV or Parquet") from None
    if frame.is_empty():
        raise DataError(f"{path} holds no rows; a model needs some to learn from")
    return Table(frame, name)


def _separated(path: str) -> Table:
    """A table of text. A column without a name is called `Unnamed: 0`; see `is_unnamed`."""
    import polars as pl

    name = Path(path).name
    usual = "\t" if Path(path).suffix.lower() in (".tsv", ".tab") else ","
    found = parse_separated("".join(read_text(path)), name, usual)
    if found.repeated:
        raise DataError(
            f"{name}, line 1: two columns have the name {min(found.repeated)!r}; rename one"
        )
    return Table(found.frame.select(pl.all().str.strip_chars()), name, found.lines)


def choose_columns(table: Table, settings: ForecastSettings) -> Columns:
    """The role of every column, from the settings and, where they say nothing, from the cells.

    Raises:
        ArgumentError: a column that is named does not exist or is named twice.
        DataError: no column can be the time, or none is numeric.
    """
    past, future = listed(settings.past), listed(settings.future)
    targets, id = listed(settings.targets), settings.id_column
    roles = [*past, *future, *targets, *listed(settings.time_column), *([id] if id else [])]
    for name in roles:
        table.require(name)
        if roles.count(name) > 1:
            raise ArgumentError(f"column {name!r} is named twice; give it one role")
    time = settings.time_column or _find_time(table, roles)
    if not targets:
        taken = {time, *roles}
        free = [name for name in table.frame.columns if name not in taken]
        targets = [name for name in free if _is_numeric(table.frame[name])]
    if not targets:
        raise DataError(
            f"{table.name} has no numeric column to forecast beside {time!r}; "
            f"its columns are {', '.join(table.frame.columns)}"
        )
    return Columns(time, tuple(targets), tuple(past), tuple(future), id)


def stamps_of(table: Table, column: str) -> Stamps:
    """The time stamps of a table.

    Raises:
        DataError: with the line of the first cell that is no time stamp.
    """
    import polars as pl

    cells = table.frame[column]
    if cells.dtype in (pl.Date, pl.Datetime):
        if isinstance(cells.dtype, pl.Datetime) and cells.dtype.time_zone:
            cells = cells.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%d %H:%M:%S%.f+00:00")
        else:
            whole = cells.dtype == pl.Date
            cells = cells.dt.strftime("%Y-%m-%d" if whole else "%Y-%m-%d %H:%M:%S")
    stamps = read_stamps(cells.cast(pl.String), f"column {column!r} of {table.name}")
    if stamps.bad is not None:
        example = cells[0] if stamps.bad else "2024-12-31"
        raise DataError(
            f"{table.place(stamps.bad)}: {column} must be a time stamp like {example}, got "
            f"{_shown(table.frame[column][stamps.bad])}; correct or remove the row"
        )
    return stamps


def numbers_of(table: Table, column: str) -> np.ndarray:
    """`(N,)` float64, NaN where a value is missing.

    Raises:
        DataError: with the line of the first cell that is no finite number.
    """
    import polars as pl

    cells = table.frame[column]
    if cells.dtype == pl.String:
        absent = cells.is_null() | cells.str.to_lowercase().is_in(MISSING)
        values = cells.cast(pl.Float64, strict=False)
        _require_all(table, column, ~(values.is_null() & ~absent))
    elif cells.dtype.is_numeric() or cells.dtype == pl.Boolean:
        values = cells.cast(pl.Float64)
    else:
        raise DataError(f"column {column!r} of {table.name} must be numeric, got {cells.dtype}")
    _require_all(table, column, ~values.is_infinite().fill_null(False))
    return values.fill_null(float("nan")).to_numpy()


def ids_of(table: Table, column: str | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Number of each row's series, and the names of the series in order of appearance."""
    import polars as pl

    if column is None:
        return np.zeros(table.frame.height, dtype=np.int64), ("",)
    cells = table.frame[column].cast(pl.String)
    if cells.null_count():
        row = int(cells.is_null().arg_true()[0])
        raise DataError(
            f"{table.place(row)}: {column} must name the series, but is empty; fill it in"
        )
    ids = cells.unique(maintain_order=True).to_list()
    number = {name: index for index, name in enumerate(ids)}
    return np.array([number[name] for name in cells.to_list()], dtype=np.int64), tuple(ids)


def _find_time(table: Table, roles: list[str]) -> str:
    """The first column of dates without another role, else a first column that counts."""
    import polars as pl

    free = [name for name in table.frame.columns if name not in roles]
    for name in free:
        cells = table.frame[name]
        if cells.dtype in (pl.Date, pl.Datetime):
            return name
        if cells.dtype in (pl.String, pl.Int64, pl.Int32):
            text = cells.cast(pl.String)
            stripped = text.str.replace(r"(\d:\d{2}.*?)\s*(Z|[+-]\d{2}:?\d{2})$", "${1}")
            if looks_like_dates(stripped):
                return name
    if free and looks_like_index(table.frame[free[0]]):
        return free[0]
    raise DataError(
        f"{table.name} has no column of dates and does not begin with one that counts; name it "
        f"with --time-column, one of {', '.join(table.frame.columns)}"
    )


def _is_numeric(cells: "pl.Series") -> bool:
    """Whether a column holds numbers: most of its cells that are not missing."""
    import polars as pl

    if cells.dtype != pl.String:
        return cells.dtype.is_numeric()
    given = cells.drop_nulls()
    given = given.filter(~given.str.to_lowercase().is_in(MISSING))
    numbers = given.cast(pl.Float64, strict=False).is_not_null().sum()
    return numbers >= len(given) / 2


def _require_all(table: Table, column: str, good: "pl.Series") -> None:
    bad = (~good).arg_true()
    if len(bad):
        row = int(bad[0])
        raise DataError(
            f"{table.place(row)}: {column} must be a finite number or empty, got "
            f"{_shown(table.frame[column][row])}; correct the cell, or name other columns with "
            f"--targets"
        )


def _shown(cell: object) -> str:
    return "an empty cell" if cell in (None, "") else repr(cell)

"""Which column of a table is what: time, series, targets, covariates, or not used and why."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from elman.errors import ArgumentError, DataError
from elman.tasks.forecast.data.numbers import are_truths, share_of_numbers
from elman.tasks.forecast.settings import ForecastSettings, listed
from elman.tasks.shared.table import (
    Table,
    is_unnamed,
    listing,
    numbers_rows,
    shown,
    whole_numbers,
)
from elman.tasks.shared.time.stamps import looks_like_dates

if TYPE_CHECKING:
    import polars as pl

_COUNTERS = re.compile(
    r"v1|x|index|level_\d+|row[._ ]?(names?|nr|num|number|id)?|id|no\.?|nr\.?|#|obs|instant"
    r"|record(_?id)?|s\.?no\.?|serial",
    re.IGNORECASE,
)
"""Names of columns that often number the rows."""
_ROW_NUMBERS, _MORE_DATES = "row numbers", "more dates"
_TIMES = re.compile(
    r"t|ds|time|date|datetime|time_?stamp|time_?idx|period|year|yr|quarter|month|week|day|hour|hr"
    r"|minute|second|step|jahr|datum|zeit|monat|woche|tag|stunde|fecha|ann[ée]e",
    re.IGNORECASE,
)
_FINER = re.compile(r"month|mon|mo|day|hour|hr|h|minute|min|second|time|monat|tag", re.IGNORECASE)


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


def choose_columns(table: Table, settings: ForecastSettings) -> Columns:
    """The role of every column, from the settings and, where they say nothing, from the cells.

    Raises:
        ArgumentError: a column that is named does not exist or is named twice.
        DataError: the columns have no names; no column can be the time, or none is numeric.
    """
    _refuse_no_header(table)
    past, future = listed(settings.past), listed(settings.future)
    targets, id = listed(settings.targets), settings.id_column
    named = [] if settings.time_column is None else [settings.time_column]
    roles = [*past, *future, *targets, *named, *([id] if id else [])]
    for name in roles:
        table.require(name)
        if roles.count(name) > 1:
            raise ArgumentError(f"column {name!r} is named twice; give it one role")
    time = named[0] if named else _find_time(table, roles, id)
    if not targets:
        taken = {time, *roles}
        free = [name for name in table.frame.columns if name not in taken]
        targets = [name for name in free if not _why_no_target(table, name)]
        targets = [name for name in targets if not _numbers_rows(table, name)] or targets
    if not targets:
        columns = Columns(time, (), tuple(past), tuple(future), id)
        reasons = left_out(table, columns, time_named=True)
        raise DataError(
            f"{table.name} has no numeric column to forecast beside {time!r}"
            f"{': ' if reasons else ''}{'; '.join(reasons)}"
        )
    return Columns(time, tuple(targets), tuple(past), tuple(future), id)


def left_out(table: Table, columns: Columns, time_named: bool = False) -> list[str]:
    """What the user should know about columns that have no role. time_named: the user said which
    column is the time."""
    notes = []
    if is_unnamed(columns.time) and not _holds_dates(table.frame[columns.time]):
        notes.append(f"no column holds dates; {columns.time!r}, which counts rows, stands for time")
    others = [] if time_named else other_times(table, columns)
    if others:
        notes.append(
            f"{columns.time!r} stands for time, as the first column of dates; {listing(others)} "
            f"could, too: choose with --time-column"
        )
    reasons = [
        f"{name!r} ({_why_no_target(table, name) or _why_not_asked_for(table, name)})"
        for name in table.frame.columns
        if name not in columns.named
    ]
    if reasons:
        notes.append(f"not used: {listing(reasons)}")
    return notes


def other_times(table: Table, columns: Columns) -> list[str]:
    """Columns without a role that hold dates, too, as messages show them."""
    return [
        repr(name)
        for name in table.frame.columns
        if name not in columns.named and _why_no_target(table, name) == _MORE_DATES
    ]


def ids_of(table: Table, column: str | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Number of each row's series, and the names of the series in order of appearance."""
    import polars as pl

    if column is None:
        return np.zeros(table.frame.height, dtype=np.int64), ("",)
    _require_flat(table, column)
    cells = table.frame[column].cast(pl.String)
    empty = (cells.is_null() | (cells == "")).arg_true()
    if len(empty):
        raise DataError(
            f"{table.place(int(empty[0]))}: {column} must name the series, but is empty; fill it in"
        )
    ids = cells.unique(maintain_order=True).to_list()
    number = {name: index for index, name in enumerate(ids)}
    return np.array([number[name] for name in cells.to_list()], dtype=np.int64), tuple(ids)


def likely_id(table: Table, time: str) -> str | None:
    """A column of text within whose values no time stamp repeats."""
    import polars as pl

    frame = table.frame
    for name in frame.columns:
        if name != time and frame[name].dtype == pl.String and share_of_numbers(frame[name]) < 0.5:
            series = frame[name].n_unique()
            if series <= len(frame) / 2 and frame.select(time, name).n_unique() == len(frame):
                return name
    return None


def rest_of_time(table: Table, time: str) -> str | None:
    """A column that seems to hold a finer part of the time than column `time` does."""
    others = (name for name in table.frame.columns if name != time and _FINER.fullmatch(name))
    return next(others, None)


def _refuse_no_header(table: Table) -> None:
    """A first row of dates and numbers is no header: taken for one, it would be lost."""
    import polars as pl

    names = table.frame.columns
    if names == [str(place) for place in range(len(names))]:
        return  # as pandas numbers columns that have no names
    each = [pl.Series([name]) for name in names]
    if all(looks_like_dates(name) or share_of_numbers(name) == 1 for name in each):
        raise DataError(
            f"{table.name} must begin with the names of its columns, got {listing(names)}; add a "
            f"first line such as time,value"
        )


def _find_time(table: Table, roles: list[str], id: str | None) -> str:
    """The first column of dates without another role, else one that counts: it is named like time,
    or the first and in regular order. A column that only numbers the rows is the last resort."""
    free = [name for name in table.frame.columns if name not in roles]
    for name in free:
        if _holds_dates(table.frame[name]):
            return name
    owner, _ = ids_of(table, id)
    timely = [name for name in free if _TIMES.fullmatch(name)]
    unique = [name for name in timely if _is_unique(table, name, owner)]
    if unique:
        return unique[0]
    if timely:
        _refuse_spread(table, timely[0])
        _refuse_unreadable(table, timely[0])
    named = [name for name in free if not is_unnamed(name)]
    nameless = [name for name in free if is_unnamed(name)]
    for name in (*named[:1], *nameless[:1]):
        if _counts(table.frame[name], owner):
            return name
    if timely:
        return timely[0]  # and its repeated stamps will be named
    raise DataError(
        f"{table.name} has no column of dates{_first_cells(table, named)}; write time like "
        f"2024-12-31, or name a column of whole numbers that count with --time-column"
    )


def _holds_dates(cells: "pl.Series") -> bool:
    import polars as pl

    if cells.dtype in (pl.Date, pl.Datetime):
        return True
    text = cells.dtype == pl.String or cells.dtype.is_integer()
    return text and looks_like_dates(cells.cast(pl.String))


def _is_unique(table: Table, name: str, owner: np.ndarray) -> bool:
    numbers = whole_numbers(table.frame[name])
    if numbers.null_count():
        return False
    pairs = np.stack([owner, numbers.to_numpy()], 1)
    return len(np.unique(pairs, axis=0)) == len(pairs)


def _counts(cells: "pl.Series", owner: np.ndarray) -> bool:
    """Whether whole numbers go up or down within each series, mostly by the same step."""
    numbers = whole_numbers(cells)
    if numbers.null_count():
        return False
    order = np.argsort(owner, kind="stable")
    steps = np.diff(numbers.to_numpy()[order])[np.diff(owner[order]) == 0]
    if not len(steps) or not ((steps > 0).all() or (steps < 0).all()):
        return False
    return Counter(steps.tolist()).most_common(1)[0][1] > len(steps) / 2


def _numbers_rows(table: Table, name: str) -> bool:
    """Whether a column has the name of a counter and is 0, 1, 2, ... or 1, 2, 3, ..."""
    return _COUNTERS.fullmatch(name) is not None and numbers_rows(table.frame[name])


def _why_not_asked_for(table: Table, name: str) -> str:
    return _ROW_NUMBERS if _numbers_rows(table, name) else "not asked for"


def _why_no_target(table: Table, name: str) -> str:
    """Why a column is no target unless it is named, "" if it is one."""
    import polars as pl

    cells = table.frame[name]
    share = share_of_numbers(cells)
    if is_unnamed(name) and share == 1 and not whole_numbers(cells).null_count():
        return _ROW_NUMBERS
    if cells.dtype.is_nested() or cells.dtype in (pl.Binary, pl.Object):
        return f"no single values but {cells.dtype}"
    if np.isnan(share):
        return "no values"
    if are_truths(cells):
        return "true and false"
    if _holds_dates(cells) and not cells.dtype.is_integer() and not share > 0.5:
        return _MORE_DATES
    if share >= 0.5:
        return ""
    what = "text" if cells.dtype == pl.String else str(cells.dtype)
    row = int(cells.is_not_null().arg_true()[0])
    return f"{what}, such as {shown(cells[row])}"


def _refuse_unreadable(table: Table, name: str) -> None:
    """A column that is named like time, but is text that is neither a date nor a number."""
    import polars as pl

    cells = table.frame[name]
    if cells.dtype == pl.String and share_of_numbers(cells) < 0.5:
        row = int(cells.is_not_null().arg_true()[0])
        raise DataError(
            f"{table.place(row)}: column {name!r} should hold time stamps, got "
            f"{shown(cells[row])}, which is none that is known; write them like 2024-12-31 or "
            f"2024-12-31 15:00"
        )


def _refuse_spread(table: Table, name: str) -> None:
    if (finer := rest_of_time(table, name)) is not None:
        raise DataError(
            f"{table.name} has its time in several columns ({name!r}, {finer!r}); join them into "
            f"one, such as 2024-12-31 15:00, or name one that counts with --time-column"
        )


def _require_flat(table: Table, column: str) -> None:
    import polars as pl

    dtype = table.frame[column].dtype
    if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
        raise DataError(f"column {column!r} of {table.name} must name the series, got {dtype}")


def _first_cells(table: Table, names: Iterable[str]) -> str:
    """What the first columns hold instead of dates."""
    seen = [f"{name!r} begins with {shown(table.frame[name][0])}" for name in names][:3]
    return f" and none that counts in regular steps ({', '.join(seen)})" if seen else ""

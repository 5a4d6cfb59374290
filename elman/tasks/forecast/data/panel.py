"""Many series on one grid of time, missing values marked."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from elman.errors import DataError
from elman.tasks.forecast.data.columns import Columns, ids_of, likely_id, other_times, rest_of_time
from elman.tasks.forecast.data.numbers import NumberReader, sentinel_note
from elman.tasks.forecast.data.phases import phases
from elman.tasks.shared.table import Table, listing
from elman.tasks.shared.time.grid import HOUR, Grid, infer_grid
from elman.tasks.shared.time.parsing import DAY
from elman.tasks.shared.time.stamps import stamps_of
from elman.tasks.shared.time.style import ISO, offset_text

if TYPE_CHECKING:
    import polars as pl

_MOST_ROWS = 100
_LAST_CHANGE = 4 * HOUR  # of the day, by which clocks have been put back wherever they are


@dataclass(frozen=True)
class Panel:
    """S series of K columns, N rows in all, one series after the other.

    values: `(N, K)` float64 in the table's units, zero where missing. observed: `(N, K)` bool.
    first: `(S,)` row of the grid at which each series begins. lengths: `(S,)` rows of each.
    ends: `(S,)` its rows up to the last with targets; later ones only tell future covariates.
    """

    values: np.ndarray
    observed: np.ndarray
    first: np.ndarray
    lengths: np.ndarray
    ends: np.ndarray

    @cached_property
    def offsets(self) -> np.ndarray:
        """`(S,)` at which of the N rows each series begins."""
        starts: np.ndarray = np.cumsum(self.lengths) - self.lengths
        return starts

    @property
    def last(self) -> int:
        """One past the last row of the grid with targets, over all series."""
        return int((self.first + self.ends).max())

    def cut(self, stop: int) -> "Panel":
        """The rows of the grid before `stop`; series that have none are left empty."""
        kept = np.clip(stop - self.first, 0, self.lengths)
        rows = np.concatenate(
            [np.arange(o, o + n) for o, n in zip(self.offsets, kept, strict=True)]
        )
        ends = np.minimum(self.ends, kept)
        return Panel(self.values[rows], self.observed[rows], self.first, kept, ends)

    def extended(self, steps: int) -> "Panel":
        """With at least `steps` rows after the last target of each series, missing where new."""
        more = np.maximum(self.ends + steps - self.lengths, 0)
        after = np.repeat(self.offsets + self.lengths, more)
        values = np.insert(self.values, after, 0.0, axis=0)
        observed = np.insert(self.observed, after, False, axis=0)
        return Panel(values, observed, self.first, self.lengths + more, self.ends)


@dataclass(frozen=True)
class Gaps:
    """Rows of the grid that the table left out. where: the first, in words."""

    rows: int = 0
    where: str = ""


@dataclass(frozen=True)
class Source:
    """A table that was read: its series, their names, the grid, what was left out, what the user
    should know about how it was read, and what stands beside the numbers of each column."""

    panel: Panel
    ids: tuple[str, ...]
    grid: Grid
    gaps: Gaps
    notes: tuple[str, ...] = ()
    units: tuple[str, ...] = ()


def build_panel(table: Table, columns: Columns, grid: Grid | None = None) -> Source:
    """The series of a table. grid: the one that it must lie on; None finds it out.

    Raises:
        DataError: with the line: time stamps that repeat or do not lie on the grid, cells that are
            not numbers. Or: other steps than `grid`'s.
    """
    stamps = stamps_of(table, columns.time, None if grid is None else grid.style)
    reader = NumberReader(table)
    numbers = [reader.read(name) for name in columns.numeric]
    owner, ids = ids_of(table, columns.id)
    order = np.lexsort((stamps.values, owner))
    found = infer_grid(
        np.unique(stamps.values), stamps.style, f"column {columns.time!r} of {table.name}"
    )
    grid = found if grid is None else _of_the_run(grid, found, table)
    rows, on_grid = grid.rows(stamps.values)
    describe = _Describer(table, columns, stamps.style.text, stamps.values, ids, owner)
    _refuse_duplicates(stamps.values[order], owner[order], order, found, describe)
    _refuse_irregular(on_grid, grid, found, stamps.given, describe)
    values = np.stack([column.values for column in numbers], 1)
    panel, gaps = _filled(values, rows, owner, order, len(ids), columns, grid, describe)
    read = (stamps.note, _of_seasons(found, columns), *(column.note for column in numbers))
    filling = (
        sentinel_note(column.values, name, table)
        for name, column in zip(columns.numeric, numbers, strict=True)
    )
    notes = [note for note in (*read, *filling) if note]
    units = tuple(column.unit for column in numbers)
    return Source(panel, ids, grid, gaps, (*table.notes, *notes), units)


def to_frame(panel: Panel, ids: tuple[str, ...], columns: Columns, grid: Grid) -> "pl.DataFrame":
    """The panel as a table with the columns that it was read from."""
    import polars as pl

    numbers = [np.arange(f, f + n) for f, n in zip(panel.first, panel.lengths, strict=True)]
    stamps = grid.stamps(np.concatenate(numbers))
    style = ISO if grid.style.dated else grid.style
    cells = {columns.time: [style.text(int(stamp)) for stamp in stamps]}
    if columns.id is not None:
        cells[columns.id] = np.repeat(np.array(ids, dtype=object), panel.lengths).tolist()
    values = np.where(panel.observed, panel.values, np.nan)
    numeric = {name: values[:, index] for index, name in enumerate(columns.numeric)}
    return pl.DataFrame({**cells, **numeric}).with_columns(
        pl.col(name).fill_nan(None) for name in numeric
    )


def _of_seasons(grid: Grid, columns: Columns) -> str:
    """A word on stamps like 2000-01, 2001-02, 2002-03, which may be seasons instead of months."""
    if (grid.kind, grid.step) != ("month", 13):
        return ""
    return (
        f"{columns.time}: {grid.text(0)} and {grid.text(1)} are read as months, 13 apart; if they "
        f"are seasons from one year into the next, write only the first year"
    )


@dataclass(frozen=True)
class _Describer:
    """Names a row of the table by its stamp, its series and its place."""

    table: Table
    columns: Columns
    text: Callable[[int], str]
    stamps: np.ndarray
    ids: tuple[str, ...]
    owner: np.ndarray

    def __call__(self, row: int) -> str:
        of = "" if self.columns.id is None else f" of series {self.ids[self.owner[row]]!r}"
        return f"{self.table.place(row)}: {self.columns.time} {self.text(self.stamps[row])}{of}"


def _of_the_run(grid: Grid, found: Grid, table: Table) -> Grid:
    if not grid.same_steps(found):
        raise DataError(
            f"{table.name} is {found.name}, but the run was trained on data that is {grid.name}; "
            f"give data with the same steps"
        )
    if grid.style.zone != found.style.zone:
        raise DataError(
            f"{table.name} has stamps {_zone(found)}, but the run was trained on stamps "
            f"{_zone(grid)}; write them alike"
        )
    return grid


def _zone(grid: Grid) -> str:
    if grid.style.local:
        return f"in local time, {' and '.join(map(offset_text, grid.style.local))} from UTC"
    return f"of zone {grid.style.zone.strip()}" if grid.style.zone else "without a time zone"


def _refuse_duplicates(
    stamps: np.ndarray, owner: np.ndarray, order: np.ndarray, grid: Grid, describe: _Describer
) -> None:
    repeats = np.flatnonzero((np.diff(stamps) == 0) & (np.diff(owner) == 0))
    if len(repeats):
        earlier, later = sorted((int(order[repeats[0]]), int(order[repeats[0] + 1])))
        table, columns = describe.table, describe.columns
        advice = "keep one of the two"
        if _may_end_summer_time(grid, stamps[repeats]):
            advice += (
                ", unless it is the hour that comes twice at the end of summer time: then keep "
                "both, and write all stamps in UTC or with their offset, such as 02:00+01:00"
            )
        if columns.id is None:
            likely = likely_id(table, columns.time)
            name = "" if likely is None else f" {likely}"
            advice += f"; many series in one table need --id-column{name}"
        if others := other_times(table, columns):
            advice += f"; if {listing(others)} is the time instead, say so with --time-column"
        if (finer := rest_of_time(table, columns.time)) is not None:
            advice += f"; if {finer!r} holds the rest of the time, join it with {columns.time!r}"
        raise DataError(
            f"{describe(later)} stands there twice, first at {describe.table.place(earlier)}; "
            f"{advice}"
        )


def _may_end_summer_time(grid: Grid, repeated: np.ndarray) -> bool:
    """Whether repeated stamps may be the hour by which clocks are put back, at night."""
    if grid.kind != "time" or grid.step > HOUR or grid.style.zone:
        return False
    return bool((repeated % DAY < _LAST_CHANGE).all())


def _refuse_irregular(
    on_grid: np.ndarray, grid: Grid, found: Grid, given: str, describe: _Describer
) -> None:
    """found: the grid of the table itself; it is `grid` if no run has another. given: how offsets
    from UTC differ from the run's."""
    off = np.flatnonzero(~on_grid)
    zones = f" ({given})" if given else ""
    if len(off) > len(on_grid) / 2:
        if grid is not found:
            theirs, ours = phases(found, grid)
            raise DataError(
                f"{describe.table.name} has the steps of the run ({grid.name}), but its rows stand "
                f"{theirs}, the run's {ours}{zones}; give data whose rows stand there"
            )
        raise DataError(
            f"{describe.table.name} has no regular steps: the most frequent ones are {grid.name}, "
            f"and {len(off):,} of {len(on_grid):,} rows do not fit them, the first at "
            f"{describe(int(off[0]))}; bring the table to regular steps"
        )
    if len(off):
        raise DataError(
            f"{describe(int(off[0]))} does not fit the other rows, which are {grid.name} from "
            f"{grid.text(0)} on ({len(off)} such rows){zones}; correct it, or bring the table to "
            f"regular steps"
        )


def _filled(
    numbers: np.ndarray, rows: np.ndarray, owner: np.ndarray, order: np.ndarray,
    series: int, columns: Columns, grid: Grid, describe: _Describer,
) -> tuple[Panel, Gaps]:  # fmt: skip
    """The panel, with a row of missing values for every row of the grid that the table lacks."""
    owner, rows = owner[order], rows[order]
    starts = np.searchsorted(owner, np.arange(series))
    stops = np.append(starts[1:], len(owner))
    first = rows[starts]
    lengths = rows[stops - 1] - first + 1
    if lengths.sum() > _MOST_ROWS * len(rows) + 1000:
        raise DataError(
            f"{describe.table.name}: {len(rows)} rows are spread over {lengths.sum()} steps "
            f"({grid.name}), so nearly all would be missing; give data with regular steps"
        )
    offsets = np.cumsum(lengths) - lengths
    place = offsets[owner] + rows - first[owner]
    values = np.full((lengths.sum(), numbers.shape[1]), np.nan)
    values[place] = numbers[order]
    observed = ~np.isnan(values)
    ends = _ends(observed, lengths, columns)
    panel = Panel(np.where(observed, values, 0.0), observed, first, lengths, ends)
    return panel, _gaps(rows, owner, order, grid, describe)


def _ends(observed: np.ndarray, lengths: np.ndarray, columns: Columns) -> np.ndarray:
    """Without future covariates a series ends with its last row, else with its last target."""
    if not columns.future:
        return lengths.copy()
    known = observed[:, : len(columns.targets)].any(axis=1)
    parts = np.split(known, np.cumsum(lengths)[:-1])
    return np.array([int(np.flatnonzero(part)[-1]) + 1 if part.any() else 0 for part in parts])


def _gaps(
    rows: np.ndarray, owner: np.ndarray, order: np.ndarray, grid: Grid, describe: _Describer
) -> Gaps:
    steps = np.where(np.diff(owner) == 0, np.diff(rows) - 1, 0)
    holes = np.flatnonzero(steps > 0)
    if not len(holes):
        return Gaps()
    before = int(order[holes[0]])
    where = f"{grid.text(int(rows[holes[0]]) + 1)}, after {describe.table.place(before)}"
    return Gaps(int(steps.sum()), where)

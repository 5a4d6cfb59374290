"""The time stamps of a column: which way of writing them it follows, and what they are."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from elman.errors import DataError
from elman.tasks.shared.table import Table, shown, whole_numbers
from elman.tasks.shared.time.grid import share_of_rows
from elman.tasks.shared.time.parsing import DAY, SECOND, Parts, cut, dates, has_shape, offset
from elman.tasks.shared.time.style import COMPACT, DATES, DAYS, INDEX, Style, offset_text

if TYPE_CHECKING:
    import polars as pl

_SAMPLE = 500
_CLEARLY = 1.25  # times as regular must stamps be for their reading to win
_CENTURY = 100 * 365 * DAY
_ALL_DIGITS = "^[0-9]+$"
_UTC = "+00:00"
_UNITS = {
    "ms": ("milliseconds", DAY // 1000), "us": ("microseconds", DAY),
    "ns": ("nanoseconds", DAY * 1000),
}  # fmt: skip
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # 0001-01-01 and 9999-12-31, from 1970 on


@dataclass(frozen=True)
class Stamps:
    """values: `(N,)` int64, see `style`. bad: the first row that is no stamp, or None; good: the
    first that is one. note: what the user should know about how they were read, or "". given: how
    the offsets in the table differ from the run's, in words, or ""."""

    values: np.ndarray
    style: Style
    bad: int | None = None
    good: int | None = None
    note: str = ""
    given: str = ""


def stamps_of(table: Table, column: str, known: Style | None = None) -> Stamps:
    """The time stamps of a table. known: the style of the data that a run was trained on.

    Raises:
        DataError: with the line of the first cell that is no time stamp.
    """
    import polars as pl

    cells, name = table.frame[column], f"column {column!r} of {table.name}"
    _refuse_beyond(table, column)
    if cells.dtype in (pl.Date, pl.Datetime):
        stamps = _of_moments(cells, name, known)
    elif cells.dtype == pl.String or cells.dtype.is_integer():
        stamps = read_stamps(cells.cast(pl.String), name, known)
    elif cells.dtype.is_float() or cells.dtype.is_decimal():
        stamps = read_stamps(whole_numbers(cells).cast(pl.String), name, known)
    else:
        raise DataError(
            f"{name} must hold time stamps, got {cells.dtype}; write points in time, like "
            f"2024-12-31 15:00, or whole numbers that count"
        )
    if stamps.bad is not None:
        example = "2024-12-31" if stamps.good is None else cells[stamps.good]
        raise DataError(
            f"{table.place(stamps.bad)}: {column} must be a time stamp like {example}, got "
            f"{shown(cells[stamps.bad])}; correct or remove the row"
        )
    return stamps


def looks_like_dates(column: "pl.Series") -> bool:
    """Whether most of the first cells are dates."""
    sample = column.drop_nulls().head(_SAMPLE)
    digits = sample.str.contains("[0-9].*[0-9]").sum()
    return digits > len(sample) / 2 and bool(_formats(cut(sample)))


def read_stamps(text: "pl.Series", name: str, known: Style | None = None) -> Stamps:
    """The stamps of a column of text, in whatever style most of them are written. known: the style
    of the data that a run was trained on, which decides where a cell alone does not.

    Raises:
        DataError: stamps with and without a time zone; days and months that can't be told apart;
            years of two digits that reach over more than a century.
    """
    parts = cut(text)
    formats = [] if known is not None and not known.dated else _formats(parts)
    if not formats:
        values = whole_numbers(text)
        return _checked(values, Style(INDEX))
    if parts.finer.any():
        _refuse_finer(name, text[int(parts.finer.arg_true()[0])])
    format, found = _decided(parts, formats, name, known)
    values = found + parts.clock
    style = Style(format + parts.format)
    if values.null_count():
        return _checked(values, style)
    stamps = values.to_numpy()
    if "%y" in format and (np.abs(np.diff(stamps)) > _CENTURY / 2).any():
        raise DataError(
            f"{name} has two-digit years that jump by more than half a century (69 to 99 are read "
            f"as 1969 to 1999, 00 to 68 as 2000 to 2068); write years with four digits"
        )
    return _zoned(stamps, style, parts.zones, name, known)


def in_utc_or_local(utc: np.ndarray, local: np.ndarray, style: Style, name: str) -> Stamps:
    """Stamps whose offset from UTC changes, on the clock on which they are more regular: UTC for
    hours, the local one for days."""
    if share_of_rows(local, style) > share_of_rows(utc, style):
        note = f"{name} changes its offset from UTC; stamps are told in local time, without it"
        return Stamps(local, Style(style.format, "", _offsets(utc, local)), note=note)
    note = f"{name} changes its offset from UTC; stamps are told in UTC"
    return Stamps(utc, Style(style.format, _UTC), note=note)


def _refuse_beyond(table: Table, column: str) -> None:
    """A date or date-time beyond the calendar, which can't even be shown: as a rule its numbers
    were counted in another unit than the column's type says."""
    import polars as pl

    cells = table.frame[column]
    if cells.dtype == pl.Date:
        unit, of_a_day = "days", 1
    elif isinstance(cells.dtype, pl.Datetime):
        unit, of_a_day = _UNITS[cells.dtype.time_unit]
    else:
        return
    counts = cells.to_physical().cast(pl.Int64)
    outside = counts // of_a_day
    beyond = (~outside.is_between(_FIRST_DAY, _LAST_DAY)).fill_null(False).arg_true()
    if len(beyond):
        row = int(beyond[0])
        raise DataError(
            f"{table.place(row)}: {column} must lie in the years 1 to 9999, but is {counts[row]} "
            f"{unit} from 1970; if it was counted in another unit, write the column with that one"
        )


def _of_moments(cells: "pl.Series", name: str, known: Style | None) -> Stamps:
    """The stamps of a column whose type says that it holds dates or date-times."""
    import polars as pl

    if cells.null_count():
        return _checked(cells.cast(pl.Datetime("us")).cast(pl.Int64), Style("%Y-%m-%d"))
    if cells.dtype == pl.Date:
        return Stamps(_microseconds(cells), Style("%Y-%m-%d"))
    if cells.dtype == pl.Datetime("ns") and (cells.dt.nanosecond() % 1000 != 0).any():
        _refuse_finer(name, cells[int((cells.dt.nanosecond() % 1000 != 0).arg_true()[0])])
    zone = cells.dtype.time_zone if isinstance(cells.dtype, pl.Datetime) else None
    local = _microseconds(cells.dt.replace_time_zone(None))
    fraction = "%.f" if (local % SECOND).any() else ""
    style = Style(f"%Y-%m-%d %H:%M:%S{fraction}")
    if zone is None:
        return Stamps(local, style)
    utc = _microseconds(cells.dt.convert_time_zone("UTC").dt.replace_time_zone(None))
    if known is not None and (known.zone or known.local):
        return _on_the_clock_of(known, utc, local, style, name)
    if len(_offsets(utc, local)) > 1:
        return in_utc_or_local(utc, local, style, name)
    return Stamps(utc, Style(style.format, _UTC))


def _on_the_clock_of(
    known: Style, utc: np.ndarray, local: np.ndarray, style: Style, name: str
) -> Stamps:
    """Stamps with offsets from UTC on the clock of a run: at its one offset, or, if its own data
    changed theirs, on the local clock that both show."""
    offsets = _offsets(utc, local)
    told = " and ".join(map(offset_text, offsets))
    if known.local:
        if set(offsets) - set(known.local):
            raise DataError(
                f"{name} has stamps at {told} from UTC, but the run was trained on local times at "
                f"{' and '.join(map(offset_text, known.local))}; write them on that clock"
            )
        return Stamps(local, Style(style.format, "", known.local))
    ahead = offset(known.zone.strip())
    given = f"it has stamps at {told} from UTC, the run at {offset_text(ahead)}"
    return Stamps(
        utc + ahead, Style(style.format, known.zone), given="" if offsets == (ahead,) else given
    )


def _offsets(utc: np.ndarray, local: np.ndarray) -> tuple[int, ...]:
    """By how much stamps are ahead of UTC, in microseconds, ascending."""
    return tuple(np.unique(local - utc).tolist())


def _refuse_finer(name: str, cell: object) -> NoReturn:
    raise DataError(
        f"{name} has stamps finer than a microsecond, which is the finest step, such as "
        f"{shown(cell)}; round them"
    )


def _microseconds(cells: "pl.Series") -> np.ndarray:
    import polars as pl

    return cells.cast(pl.Datetime("us")).cast(pl.Int64).to_numpy()


def _formats(parts: Parts) -> list[str]:
    """The formats in which most of the first cells are dates."""
    import polars as pl

    sample = parts.date.drop_nulls().head(_SAMPLE)
    if sample.is_empty():
        return []
    all_digits = bool(sample.str.contains(_ALL_DIGITS).all())
    formats: Iterable[str] = COMPACT if all_digits else DATES
    if parts.format:
        formats = (*DAYS, "%Y%m%d")
    elif not all_digits and _share(sample.cast(pl.Float64, strict=False)) > 0.5:
        return []  # numbers, whatever they look like
    shapes = Counter(sample.str.replace_all("[0-9]", "1").to_list())
    hits = {
        format: dates(sample, format)
        for format in formats
        if sum(count for shape, count in shapes.items() if has_shape(shape, format))
        > len(sample) / 2
    }
    likely = [
        format
        for format, found in hits.items()
        if _share(found) > (0.9 if format in COMPACT else 0.5)
    ]
    return [format for format in likely if format not in COMPACT or _modern(hits[format])]


def _modern(stamps: "pl.Series") -> bool:
    """Whether whole numbers such as 20240131 would be dates of usual years."""
    years = (stamps // (DAY * 365.2425) + 1970).drop_nulls()
    return bool(years.is_between(1700, 2199).all())


def _decided(
    parts: Parts, formats: list[str], name: str, known: Style | None
) -> tuple[str, "pl.Series"]:
    """Of several formats the one that reads most cells; of these the run's own, else the one whose
    stamps are regular."""
    found = {format: dates(parts.date, format) for format in formats}
    most = max(values.len() - values.null_count() for values in found.values())
    found = {f: values for f, values in found.items() if values.len() - values.null_count() == most}
    for format, values in found.items():
        if known is not None and known.format.startswith(format):
            return format, values
    readings: dict[str, pl.Series] = {}
    for format, values in found.items():
        if not any(values.equals(other) for other in readings.values()):
            readings[format] = values
    if len(readings) > 1:
        shares = {
            format: share_of_rows((values + parts.clock).drop_nulls().to_numpy(), Style(format))
            for format, values in readings.items()
        }
        best, second = sorted(shares, key=lambda format: -shares[format])[:2]
        if shares[best] < _CLEARLY * shares[second]:
            cell = parts.date.drop_nulls()[0]
            raise DataError(
                f"{name} can be read with the day or the month first, and is as regular in both "
                f"ways ({shown(cell)} as {best} and as {second}); write dates as 2024-12-31"
            )
        return best, readings[best]
    return next(iter(readings.items()))


def _zoned(
    local: np.ndarray, style: Style, zones: "pl.Series", name: str, known: Style | None
) -> Stamps:
    """Stamps on one clock, whatever offsets stand beside them."""
    different = zones.unique(maintain_order=True)
    if different.null_count() == len(different):
        return Stamps(local, style)
    if different.null_count():
        given = different.drop_nulls()[0]
        raise DataError(
            f"{name} mixes stamps with a time zone ({given}) and without one, so the time between "
            f"rows is unclear; write all of it in one zone, for example UTC"
        )
    ahead = {zone: offset(zone) for zone in different.to_list()}
    utc = local - zones.replace_strict(ahead, default=0).to_numpy()
    if known is not None and (known.zone or known.local):
        return _on_the_clock_of(known, utc, local, style, name)
    if len(set(ahead.values())) > 1:
        return in_utc_or_local(utc, local, style, name)
    zone = different[0]
    return Stamps(local, Style(style.format, f" {zone}" if zone in ("UTC", "GMT") else zone))


def _share(values: "pl.Series") -> float:
    """Which share of values is not null."""
    return 1.0 - values.null_count() / len(values)


def _checked(values: "pl.Series", style: Style) -> Stamps:
    """Stamps with the first null, if there is one, as the first bad row."""
    missing, there = values.is_null().arg_true(), values.is_not_null().arg_true()
    bad = int(missing[0]) if len(missing) else None
    good = int(there[0]) if len(there) else None
    return Stamps(values.fill_null(0).to_numpy(), style, bad, good)

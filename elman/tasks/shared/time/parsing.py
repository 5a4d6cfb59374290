"""Cells of text to stamps: one way of writing dates at a time."""

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from elman.tasks.shared.time.style import COMPACT

if TYPE_CHECKING:
    import polars as pl

SECOND = 1_000_000
DAY = 86_400 * SECOND
_PIVOT = 69  # two-digit years from here on are 19xx, as POSIX and Python have it
_LONG = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_SHORT = tuple(name[:3] for name in _LONG)
_MONTHS = {name: str(place % 12 + 1) for place, name in enumerate((*_SHORT, *_LONG))}
_TOKENS = {
    "%Y": "(?P<Y>[0-9]{4})", "%y": "(?P<y>[0-9]{2})", "%m": "(?P<m>[0-9]{1,2})",
    "%d": "(?P<d>[0-9]{1,2})", "%H": "(?P<H>[0-9]{2})", "%M": "(?P<M>[0-9]{2})",
    "%S": "(?P<S>[0-9]{2})", "%q": "(?P<q>[1-4])",
    "%b": f"(?P<b>{'|'.join(_SHORT)})", "%B": f"(?P<b>{'|'.join(_LONG)})",
}  # fmt: skip
_CELL = (
    r"^(?P<date>.*?)(?:(?P<gap>T|\s+)(?P<clock>(?P<h>\d{1,2}):(?P<m>\d{2})"
    r"(?::(?P<s>\d{2})(?:[.,](?P<f>\d+))?)?(?:\s?(?P<half>[AaPp])\.?[Mm]\.?)?)"
    r"\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?)?$"
).replace(r"\d", "[0-9]")  # \d would be the digits of every script, which no cast can read
_FINEST = 6  # digits of a fraction of a second


@dataclass(frozen=True)
class Parts:
    """N cells, each cut into date, time of day and offset from UTC.

    date: text. clock: microseconds of the day, 0 for a bare date, null where there is no such time.
    format: of all times of day with the gap before them, "" if every cell is a bare date. zones:
    text, null where there is none. clocked: which cells have a time of day. finer: those whose time
    of day no microsecond tells.
    """

    date: "pl.Series"
    clock: "pl.Series"
    format: str
    zones: "pl.Series"
    clocked: "pl.Series"
    finer: "pl.Series"


def cut(text: "pl.Series") -> Parts:
    """The parts of each cell. A cell without a time of day, among others that have one, is
    midnight, as pandas and spreadsheets write it."""
    import polars as pl

    found = text.str.extract_groups(_CELL).struct.unnest()
    clocked = found["clock"].is_not_null()
    numbers = {name: found[name].cast(pl.Int64) for name in "hms"}
    hour, minute, second = numbers["h"], numbers["m"], numbers["s"].fill_null(0)
    fraction = found["f"].str.slice(0, _FINEST).str.pad_end(_FINEST, "0").cast(pl.Int64)
    finer = found["f"].str.slice(_FINEST).str.contains("[1-9]").fill_null(False)
    afternoon = found["half"].str.to_lowercase().eq_missing("p")
    halves = found["half"].is_not_null()
    hour_of_day = pl.select(
        pl.when(halves).then(hour % 12 + 12 * afternoon.cast(pl.Int64)).otherwise(hour)
    ).to_series()
    clock = (hour_of_day * 60 + minute) * 60 * SECOND + second * SECOND + fraction.fill_null(0)
    exists = (minute < 60) & (second < 60) & (clock <= DAY) & ~(halves & ~hour.is_between(1, 12))
    if halves.any():  # "3:00" beside "3:00 PM" could be either
        exists &= halves
    clock = clock.set(~exists.fill_null(False), None).set(~clocked, 0)
    return Parts(found["date"], clock, _format_of(found), found["zone"], clocked, finer)


def dates(text: "pl.Series", format: str) -> "pl.Series":
    """Microseconds since 1970 of cells of one format, null where a cell is of another."""
    import polars as pl

    found = text.str.extract_groups(_pattern(format)).struct.unnest()
    if "b" in found.columns:
        found = found.with_columns(pl.col("b").str.to_lowercase().replace(_MONTHS).alias("m"))
    matched = found.to_series(0).is_not_null().to_numpy()

    def number(name: str, otherwise: int) -> np.ndarray:
        if name not in found.columns:
            return np.full(len(text), otherwise)
        return found[name].cast(pl.Int64).fill_null(otherwise).to_numpy()

    year, short = number("Y", 1), number("y", 0)
    if "y" in found.columns:
        year = np.where(short < _PIVOT, 2000, 1900) + short
    month = number("m", 1) if "q" not in found.columns else 3 * number("q", 1) - 2
    first = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    day, begin = number("d", 1), first.astype("datetime64[D]").astype(np.int64)
    length = (first + 1).astype("datetime64[D]").astype(np.int64) - begin
    clock = (number("H", 0) * 60 + number("M", 0)) * 60 + number("S", 0)
    exists = matched & (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= length)
    exists &= (number("H", 0) < 24) & (number("M", 0) < 60) & (number("S", 0) < 60)
    stamps = (begin + day - 1) * DAY + clock * SECOND
    return pl.Series(stamps, dtype=pl.Int64).set(pl.Series(~exists), None)


def has_shape(text: str, format: str) -> bool:
    """Whether text has the digits, letters and marks of a format, whatever date that would be."""
    return re.match(_pattern(format), text) is not None


def offset(zone: str) -> int:
    """Microseconds by which a zone such as "+02:00", "-0530" or "Z" is ahead of UTC."""
    digits = zone.lstrip("+-").replace(":", "")
    if not digits.isdigit():
        return 0
    size = int(digits[:2]) * 60 + int(digits[2:] or 0)
    return (-size if zone.startswith("-") else size) * 60 * SECOND


@cache
def _pattern(format: str) -> str:
    pattern = re.escape(format).replace(r"\ ", r"\s+").replace(r"\-", "-")
    for token, group in _TOKENS.items():
        pattern = pattern.replace(re.escape(token), group).replace(token, group)
    if format in COMPACT:
        pattern = pattern.replace("{1,2}", "{2}")
    return f"(?i)^{pattern}$"


def _format_of(found: "pl.DataFrame") -> str:
    """The format of the times of day: the finest that occurs, after the gap of the first."""
    clocked = found.filter(found["clock"].is_not_null())
    if clocked.is_empty():
        return ""
    halves = bool(clocked["half"].is_not_null().any())
    format = "%I:%M" if halves else "%H:%M"
    if clocked["s"].is_not_null().any():
        format += ":%S"
    if clocked["f"].is_not_null().any():
        format += "%.f"
    gap = "T" if clocked["gap"][0] == "T" else " "
    return gap + format + (" %p" if halves else "")

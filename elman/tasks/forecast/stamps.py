"""Time stamps: text to whole numbers and back.

A stamp is an int64: microseconds since 1970-01-01 00:00 of the table's own clock, or, for an index
that only counts, the index itself.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from elman.errors import ArgumentError, DataError

if TYPE_CHECKING:
    import polars as pl

INDEX = "index"
FORMATS = (
    "%Y-%m-%d",
    "%Y-%m",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y%m%d",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%m/%d/%Y",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
)
"""What dates may look like, as strftime has it; `%.f` is a fraction of a second."""

_OFFSET = r"^(.*\d{1,2}:\d{2}.*?)\s*(Z|[+-]\d{2}:?\d{2})$"
_READABLE = {
    "%Y%m%d": "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f": "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S%.f": "%Y-%m-%dT%H:%M:%S.%f",
}
_SAMPLE = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Style:
    """How stamps are written: one of `FORMATS` or `INDEX`, and the zone, such as "+02:00"."""

    format: str
    zone: str = ""

    @property
    def dated(self) -> bool:
        return self.format != INDEX

    def text(self, stamp: int) -> str:
        """A stamp as the table would write it; 20240131 as 2024-01-31."""
        if not self.dated:
            return str(stamp)
        try:
            moment = _EPOCH + timedelta(microseconds=int(stamp))
        except OverflowError:
            raise ArgumentError(
                "dates must lie in the years 1 to 9999, but these reach beyond them; give a "
                "smaller --horizon"
            ) from None
        return moment.strftime(_READABLE.get(self.format, self.format)) + self.zone


@dataclass(frozen=True)
class Stamps:
    """values: `(N,)` int64. bad: the first row that is no stamp, or None."""

    values: np.ndarray
    style: Style
    bad: int | None = None


def looks_like_dates(column: "pl.Series") -> bool:
    """Whether most of the first cells are dates."""
    sample = column.head(_SAMPLE)
    return _best_format(sample)[1] > len(sample) / 2


def looks_like_index(column: "pl.Series") -> bool:
    """Whether the first cells are whole numbers that do not repeat next to one another."""
    sample = column.head(_SAMPLE).cast(_int64(), strict=False)
    return (
        len(sample) > 0
        and sample.null_count() == 0
        and bool((sample.diff().drop_nulls() != 0).all())
    )


def read_stamps(column: "pl.Series", name: str) -> Stamps:
    """The stamps of a column of text, in whatever style most of them are written.

    Raises:
        DataError: several time zones, or days and months that can't be told apart.
    """
    import polars as pl

    text, zone = _without_zone(column, name)
    format, hits = _best_format(text.head(_SAMPLE))
    if hits <= min(len(text), _SAMPLE) / 2:
        values, style = text.cast(pl.Int64, strict=False), Style(INDEX)
    else:
        values = _parsed(text, format)
        _refuse_ambiguous(text, values, format, name)
        style = Style(format, zone)
    missing = values.is_null().arg_true()
    bad = int(missing[0]) if len(missing) else None
    return Stamps(values.fill_null(0).to_numpy(), style, bad)


def _without_zone(column: "pl.Series", name: str) -> tuple["pl.Series", str]:
    """The column without offsets from UTC such as +02:00, and the one that all rows have."""
    offsets = column.str.extract(_OFFSET, 2)
    if offsets.null_count() == len(offsets):
        return column, ""
    different = offsets.fill_null("none").unique(maintain_order=True).to_list()
    if len(different) > 1:
        raise DataError(
            f"{name} mixes time zones (offsets {', '.join(different[:4])}), so the time between "
            f"rows is unclear; write all of it in one zone, for example UTC"
        )
    return column.str.extract(_OFFSET, 1), different[0]


def _best_format(sample: "pl.Series") -> tuple[str, int]:
    hits = {format: int(_parsed(sample, format).is_not_null().sum()) for format in FORMATS}
    best = max(hits, key=lambda format: hits[format])
    return best, hits[best]


def _parsed(text: "pl.Series", format: str) -> "pl.Series":
    """Microseconds since 1970, null where the text is not of this format."""
    import polars as pl

    if format == "%Y%m%d":  # elsewhere a run of digits is a number
        text = text.set(text.str.len_chars() != 8, None)
    return text.str.strptime(pl.Datetime("us"), format, strict=False).cast(pl.Int64)


def _refuse_ambiguous(text: "pl.Series", found: "pl.Series", format: str, name: str) -> None:
    swapped = format.replace("%m/%d", "%d/%m")
    if format.startswith("%m/%d") and found.null_count() == 0:
        other = _parsed(text, swapped)
        if other.null_count() == 0 and not (other == found).all():
            raise DataError(
                f"{name} can be read with the day or the month first ({text[0]}); "
                f"write dates as 2024-12-31"
            )


def _int64() -> "pl.DataType":
    import polars as pl

    return pl.Int64()

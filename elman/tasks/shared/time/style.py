"""How time stamps are written: formats, and the text of a stamp.

A stamp is an int64: microseconds since 1970-01-01 00:00 of the table's own clock, or, for an index
that only counts, the index itself.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from elman.errors import ArgumentError

INDEX = "index"
DAYS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d",
    "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y",
    "%d.%m.%y", "%m/%d/%y", "%d/%m/%y", "%d-%m-%y", "%m-%d-%y", "%y-%m-%d", "%y/%m/%d",
    "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%b %d %Y", "%Y-%b-%d", "%d %b %y", "%d-%b-%y",
    "%d %B %Y", "%d-%B-%Y", "%B %d, %Y", "%B %d %Y",
)  # fmt: skip
"""Dates that a time of day may follow, as strftime has it."""
COMPACT = ("%Y%m%d", "%Y%m", "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S")
"""Dates that are one whole number."""
OTHERS = (
    "%Y-%m", "%Y/%m", "%m/%Y", "%m-%Y",
    "%b %Y", "%b-%Y", "%Y %b", "%Y-%b", "%b %y", "%b-%y", "%B %Y", "%B-%Y", "%Y %B",
    "%YQ%q", "%Y-Q%q", "%Y Q%q", "%Y.Q%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y",
    "%Y-%m-%d %H", "%Y-%m-%dT%H",
)  # fmt: skip
"""Months, quarters (`%q`, 1 to 4) and hours. None of them looks like a number such as 1.2005."""
CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S%.f", "%I:%M %p", "%I:%M:%S %p", "%I:%M:%S%.f %p")
"""Times of day; `%.f` is a fraction of a second."""
DATES = (*DAYS, *COMPACT, *OTHERS)
_TIMED = {f"{day}{gap}{clock}" for day in (*DAYS, "%Y%m%d") for gap in " T" for clock in CLOCKS}
FORMATS = frozenset(DATES) | _TIMED
"""Every way in which stamps may be written."""

_READABLE = {"%Y%m%d": "%Y-%m-%d", "%Y%m": "%Y-%m"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Style:
    """How stamps are written: one of `FORMATS` or `INDEX`, and the zone, such as "+02:00".

    local: the offsets from UTC, in microseconds, that a local clock had beside the stamps, if they
    changed; stamps are then told on that clock, without a zone.
    """

    format: str
    zone: str = ""
    local: tuple[int, ...] = ()

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
        format = _READABLE.get(self.format, self.format).replace("%.f", ".%f")
        return moment.strftime(format.replace("%q", str((moment.month + 2) // 3))) + self.zone


def offset_text(ahead: int) -> str:
    """Microseconds ahead of UTC as stamps have it: +02:00."""
    hours, minutes = divmod(abs(ahead) // 60_000_000, 60)
    return f"{'-' if ahead < 0 else '+'}{hours:02d}:{minutes:02d}"


ISO = Style("%Y-%m-%dT%H:%M:%S%.f")
"""A style that any dated stamp can be written in and that nobody can misread."""

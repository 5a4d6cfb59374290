"""The regular grid that time stamps lie on: every row has a number, every number a date.

A grid knows the calendar: months are months, whatever their length.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from elman.errors import DataError
from elman.tasks.shared.time.parsing import DAY, SECOND
from elman.tasks.shared.time.style import INDEX, Style

MICROSECOND = 1
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
EVERY_DAY = "1111111"
_NAMES = {
    ("month", 1): "monthly", ("month", 3): "quarterly", ("month", 12): "yearly",
    ("time", 7 * DAY): "weekly", ("time", DAY): "daily", ("time", HOUR): "hourly",
}  # fmt: skip
_UNITS = ((DAY, "days"), (HOUR, "hours"), (MINUTE, "minutes"), (SECOND, "seconds"))
KINDS = ("index", "month", "time", "weekday")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_LAST = int(np.datetime64("9999-12-31T23:59:59.999999", "us").astype(np.int64))
_FEWEST_WEEKS = 2  # that a weekday must be absent from, before it counts as left out on purpose


@dataclass(frozen=True)
class Grid:
    """Row k stands at `stamps(k)`.

    kind: "index" counts, "time" has steps of one length, "month" steps of calendar months,
    "weekday" goes from one day to the next that `weekmask` has. step: in counts, microseconds,
    months or such days. origin: the stamp of row 0. month_end: rows stand on the last day of their
    month. weekmask: seven digits from Monday on, 1 for the days of the week that there are.
    """

    kind: str
    step: int
    origin: int
    style: Style
    month_end: bool = False
    weekmask: str = EVERY_DAY

    def stamps(self, rows: np.ndarray) -> np.ndarray:
        """`(N,)` int64 stamps of some rows."""
        rows = np.asarray(rows, dtype=np.int64)
        if self.kind == "weekday":
            first = np.datetime64(self.origin // DAY, "D")
            days = np.busday_offset(first, rows, roll="forward", weekmask=self.weekmask)
            return days.astype(np.int64) * DAY + self.origin % DAY
        if self.kind != "month":
            return self.origin + rows * self.step
        month, day, clock = _parts(np.array([self.origin]))
        return _assembled(month + rows * self.step, day, clock, self.month_end)

    def rows(self, stamps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row of each stamp, and whether it lies on the grid at all."""
        if self.kind == "month":
            origin = _parts(np.array([self.origin]))[0]
            rows = (_parts(stamps)[0] - origin) // self.step
        elif self.kind == "weekday":
            rows = self._days(stamps) - self._days(np.array([self.origin]))
        else:
            rows = (stamps - self.origin) // self.step
        return rows, self.stamps(rows) == stamps

    def reaches(self, row: int) -> bool:
        """Whether the calendar, which ends with the year 9999, has a date for a row after 0."""
        if self.kind == "index":
            return True
        least = {"month": 28 * DAY * self.step, "weekday": DAY, "time": self.step}[self.kind]
        if self.origin + row * least > _LAST:  # before the stamp, which int64 may not hold
            return False
        return int(self.stamps(np.array([row]))[0]) <= _LAST

    def text(self, row: int) -> str:
        """The stamp of a row as the table would write it."""
        return self.style.text(int(self.stamps(np.array([row]))[0]))

    @property
    def name(self) -> str:
        """Such as "monthly" or "every 15 minutes"."""
        if (self.kind, self.step) in _NAMES:
            return _NAMES[self.kind, self.step]
        if self.kind == "index":
            return f"an index in steps of {self.step}"
        if self.kind == "weekday":
            absent = [
                day for day, there in zip(WEEKDAYS, self.weekmask, strict=True) if there == "0"
            ]
            return f"daily without {' and '.join(absent)}"
        if self.kind == "month":
            return f"every {self.step} months"
        unit, word = next(
            ((u, w) for u, w in _UNITS if self.step % u == 0), (MICROSECOND, "microseconds")
        )
        return f"every {self.step // unit} {word}"

    @property
    def season(self) -> int:
        """Rows in the season that the calendar suggests; 1 if it suggests none."""
        if self.kind == "index":
            return 1
        if self.kind == "month":
            return 12 // self.step if 12 % self.step == 0 else 1
        if self.kind == "weekday":
            return self.weekmask.count("1")
        if self.step == 7 * DAY:
            return 52
        if self.step == DAY:
            return 7
        return DAY // self.step if DAY % self.step == 0 and self.step < DAY else 1

    def same_steps(self, other: "Grid") -> bool:
        """Whether another table counts time in the same way. A short table of days can't tell
        which days of the week are left out."""
        if self._daily and other._daily:
            return True
        return (self.kind, self.step, self.month_end) == (other.kind, other.step, other.month_end)

    def _days(self, stamps: np.ndarray) -> np.ndarray:
        """How many days of the week mask lie between the year 1 and each stamp."""
        days = (stamps // DAY).astype("datetime64[D]")
        return np.busday_count(np.datetime64("0001-01-01"), days, weekmask=self.weekmask)

    @property
    def _daily(self) -> bool:
        return self.kind == "weekday" or (self.kind, self.step) == ("time", DAY)


def infer_grid(stamps: np.ndarray, style: Style, name: str) -> Grid:
    """The grid on which most of the distinct, ascending stamps `(N,)` lie.

    Raises:
        DataError: fewer than two stamps.
    """
    if len(stamps) < 2:
        raise DataError(f"{name} needs at least 2 different time stamps, got {len(stamps)}")
    if not style.dated:
        return _with_phase(stamps, _most_common(np.diff(stamps)), "index", Style(INDEX))
    month, day, clock = _parts(stamps)
    at_end = _assembled(month, day, clock, month_end=True) == stamps
    of_one_clock = _share(clock) > 0.5
    month_end = of_one_clock and at_end.mean() > 0.5 and len(np.unique(day)) > 1
    same_day = of_one_clock and _share(day * DAY + clock) > 0.5
    steps = np.diff(month)
    if (month_end or same_day) and (steps > 0).mean() > 0.5:
        regular = at_end if month_end else day * DAY + clock == _most_common(day * DAY + clock)
        origin = int(stamps[np.argmax(regular)])
        step = _most_common(np.diff(month[regular]))
        return Grid("month", step, origin, style, bool(month_end))
    grid = _with_phase(stamps, _most_common(np.diff(stamps)), "time", style)
    weekmask = _weekmask(stamps) if grid.step == DAY and of_one_clock else EVERY_DAY
    if weekmask == EVERY_DAY:
        return grid
    return Grid("weekday", 1, grid.origin, style, weekmask=weekmask)


def share_of_rows(stamps: np.ndarray, style: Style) -> float:
    """How well stamps `(N,)` fit a grid: of its rows and the stamps beside it, the share that are
    both, 1 at best."""
    distinct = np.unique(stamps)
    if len(distinct) < 2:
        return 1.0
    rows, on_grid = infer_grid(distinct, style, "").rows(distinct)
    beside = (~on_grid).sum()
    return float(on_grid.sum() / (rows.max() - rows.min() + 1 + beside))


def calendar_features(grid: Grid, rows: np.ndarray) -> np.ndarray:
    """`(N, F)` float32: sine and cosine of the place of each row in the day, the week and the year,
    as far as rows of this grid differ in them; no column for an index."""
    stamps = grid.stamps(rows)
    if grid.kind == "index":
        return np.zeros((len(stamps), 0), dtype=np.float32)
    moments = stamps.view("datetime64[us]")
    year = moments.astype("datetime64[Y]")
    length = ((year + 1).astype("datetime64[us]") - year.astype("datetime64[us]")).astype(np.int64)
    turns = []
    if grid.kind == "time" and grid.step < DAY:
        turns.append((stamps % DAY) / DAY)
    if grid.kind == "weekday" or (grid.kind == "time" and grid.step < 7 * DAY):
        turns.append(((stamps + 3 * DAY) % (7 * DAY)) / (7 * DAY))  # 1970-01-01 was a Thursday
    if grid.kind in ("time", "weekday"):
        turns.append((moments - year.astype("datetime64[us]")).astype(np.int64) / length)
    elif grid.step % 12:
        turns.append((_parts(stamps)[0] % 12) / 12)
    waves = [wave(2 * np.pi * turn) for turn in turns for wave in (np.sin, np.cos)]
    return np.stack(waves, 1).astype(np.float32) if waves else np.zeros((len(rows), 0), np.float32)


def _parts(stamps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Months since 1970-01, day of the month from 0, microseconds of the day."""
    moments = np.ascontiguousarray(stamps, dtype=np.int64).view("datetime64[us]")
    months, days = moments.astype("datetime64[M]"), moments.astype("datetime64[D]")
    day = (days - months.astype("datetime64[D]")).astype(np.int64)
    return months.astype(np.int64), day, stamps - days.astype("datetime64[us]").astype(np.int64)


def _assembled(
    month: np.ndarray, day: np.ndarray, clock: np.ndarray, month_end: bool
) -> np.ndarray:
    """The inverse of `_parts`; a day that the month lacks becomes its last."""
    first = month.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    last = (month + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) - 1
    days = last if month_end else np.minimum(first + day, last)
    moments: np.ndarray = days * DAY + clock
    return moments


def _with_phase(stamps: np.ndarray, step: int, kind: str, style: Style) -> Grid:
    """The grid of this step that most stamps lie on, from the first that does."""
    phases = stamps % step
    on_grid = phases == _most_common(phases)
    return Grid(kind, step, int(stamps[np.argmax(on_grid)]), style)


def _weekmask(stamps: np.ndarray) -> str:
    """The days of the week on which ascending daily stamps stand. Every day, unless some are absent
    throughout and most of the others are there."""
    days = stamps // DAY
    there = np.bincount((days + 3) % 7, minlength=7) > 0  # 1970-01-01 was a Thursday
    weeks = (days[-1] - days[0] + 1) // 7
    expected = (days[-1] - days[0] + 1) * there.sum() / 7
    if weeks < _FEWEST_WEEKS or len(np.unique(days)) < expected / 2:
        return EVERY_DAY
    return "".join("1" if day else "0" for day in there)


def _most_common(values: np.ndarray) -> int:
    counts = Counter(values.tolist())
    return int(min(counts, key=lambda value: (-counts[value], value)))


def _share(values: np.ndarray) -> float:
    return float(np.unique(values, return_counts=True)[1].max() / len(values))

"""Where the rows of two grids of the same steps stand, in words that tell them apart."""

import numpy as np

from elman.tasks.shared.time.grid import WEEKDAYS, Grid
from elman.tasks.shared.time.parsing import DAY

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip


def phases(one: Grid, other: Grid) -> tuple[str, str]:
    """Such as ("on Mondays", "on Sundays"): the coarsest difference."""
    for words in (_months, _days, _weekdays, _clock):
        found = words(one), words(other)
        if all(found) and found[0] != found[1]:
            return found
    return f"at {one.text(0)} and so on", f"at {other.text(0)} and so on"


def _months(grid: Grid) -> str:
    """The months of the year, if there are only some of them."""
    if grid.kind != "month" or grid.step == 1 or 12 % grid.step:
        return ""
    first = _moment(grid).astype("datetime64[M]").astype(int)
    months = sorted((first + grid.step * number) % 12 for number in range(12 // grid.step))
    return f"in {' and '.join(_MONTHS[month] for month in months)}"


def _days(grid: Grid) -> str:
    if grid.kind != "month":
        return ""
    if grid.month_end:
        return "on the last day of the month"
    moment = _moment(grid)
    day = moment.astype("datetime64[D]") - moment.astype("datetime64[M]").astype("datetime64[D]")
    return f"on day {day.astype(int) + 1} of the month"


def _weekdays(grid: Grid) -> str:
    if grid.kind != "time" or grid.step % (7 * DAY):
        return ""
    return f"on {WEEKDAYS[(grid.origin // DAY + 3) % 7]}s"  # 1970-01-01 was a Thursday


def _clock(grid: Grid) -> str:
    """The time of day, if it is the same in all rows."""
    if grid.kind == "index" or (grid.kind == "time" and grid.step % DAY):
        return ""
    time = str(_moment(grid)).split("T")[1]
    return f"at {time.removesuffix('.000000').removesuffix(':00')}"


def _moment(grid: Grid) -> np.datetime64:
    return np.datetime64(grid.origin, "us")

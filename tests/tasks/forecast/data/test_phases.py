"""Two grids of the same steps are told apart by the coarsest way in which they differ."""

import numpy as np
import pytest

from elman.tasks.forecast.data.phases import phases
from elman.tasks.shared.time.grid import DAY, HOUR, Grid
from elman.tasks.shared.time.style import INDEX, Style

DATED = Style("%Y-%m-%d %H:%M")


def grid(kind, step, start, month_end=False) -> Grid:
    origin = start if kind == "index" else int(np.datetime64(start, "us").astype(np.int64))
    return Grid(kind, step, origin, Style(INDEX) if kind == "index" else DATED, month_end)


@pytest.mark.parametrize(
    ("kind", "step", "one", "other", "words"),
    [
        ("time", 7 * DAY, "2024-01-01", "2024-01-07", ("on Mondays", "on Sundays")),
        ("time", 14 * DAY, "2024-01-01", "2024-01-08", ("at 2024-01-01 00:00 and so on",
                                                      "at 2024-01-08 00:00 and so on")),
        ("time", DAY, "2024-01-01T23", "2024-01-01", ("at 23:00", "at 00:00")),
        ("time", HOUR, "2024-01-01T23:30", "2024-01-01", ("at 2024-01-01 23:30 and so on",
                                                        "at 2024-01-01 00:00 and so on")),
        ("month", 1, "2024-01-15", "2024-01-01", ("on day 15 of the month",
                                                 "on day 1 of the month")),
        ("month", 1, "2024-01-01T06", "2024-01-01", ("at 06:00", "at 00:00")),
        ("month", 3, "2024-05-01", "2024-01-01",
         ("in February and May and August and November",
          "in January and April and July and October")),
        ("month", 12, "1969-11-30", "2024-01-01", ("in November", "in January")),
        ("index", 10, 5, 20, ("at 5 and so on", "at 20 and so on")),
    ],
)  # fmt: skip
def test_phases_in_words(kind, step, one, other, words):
    assert phases(grid(kind, step, one), grid(kind, step, other)) == words


def test_ends_of_months():
    ends, firsts = grid("month", 1, "2024-01-31", month_end=True), grid("month", 1, "2024-01-01")
    assert phases(ends, firsts) == ("on the last day of the month", "on day 1 of the month")

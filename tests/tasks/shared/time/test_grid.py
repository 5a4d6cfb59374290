"""The grid of time: rows and stamps are inverse, whatever the calendar does."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import ArgumentError
from elman.tasks.shared.time.grid import DAY, HOUR, MINUTE, Grid, calendar_features, infer_grid
from elman.tasks.shared.time.style import INDEX, Style

DATED, COUNTED = Style("%Y-%m-%d %H:%M:%S"), Style(INDEX)


def stamp(text: str) -> int:
    return int(np.datetime64(text, "us").astype(np.int64))


@st.composite
def grids(draw):
    kind = draw(st.sampled_from(["index", "month", "time"]))
    if kind == "index":
        step, origin = draw(st.integers(1, 1000)), draw(st.integers(-1000, 1000))
        return Grid("index", step, origin, COUNTED)
    if kind == "time":
        step = draw(st.sampled_from([MINUTE, 15 * MINUTE, HOUR, DAY, 7 * DAY]))
        return Grid("time", step, stamp("1969-12-28") + draw(st.integers(0, 9999)) * HOUR, DATED)
    month, step = draw(st.integers(0, 600)), draw(st.sampled_from([1, 3, 12]))
    end = draw(st.booleans())
    month_start = np.datetime64("1950-01") + np.timedelta64(month, "M")
    day = -1 if end else draw(st.integers(0, 27))
    first = (month_start + 1 if end else month_start).astype("datetime64[us]").astype(np.int64)
    return Grid("month", step, int(first) + day * DAY + 6 * HOUR, DATED, end)


@given(grids(), st.lists(st.integers(0, 500), min_size=3, max_size=40, unique=True))
def test_rows_and_stamps_are_inverse(grid, rows):
    rows = np.sort(np.array(rows))
    stamps = grid.stamps(rows)
    back, on_grid = grid.rows(stamps)
    assert on_grid.all()
    assert np.array_equal(back, rows)
    assert (np.diff(stamps) > 0).all()
    _, off = grid.rows(stamps + 1)
    assert not off.any() or grid.step == 1


@given(grids(), st.sets(st.integers(1, 50), max_size=10))
def test_a_grid_is_found_from_its_stamps_even_with_gaps(grid, gaps):
    rows = np.array([row for row in range(60) if row not in gaps])
    found = infer_grid(grid.stamps(rows), grid.style, "when")
    assert found.kind == grid.kind
    assert found.step == grid.step
    assert np.array_equal(found.stamps(np.arange(60)), grid.stamps(np.arange(60)))


@pytest.mark.parametrize(
    ("kind", "step", "season"),
    [
        ("month", 1, 12), ("month", 3, 4), ("month", 12, 1), ("time", 7 * DAY, 52),
        ("time", DAY, 7), ("time", HOUR, 24), ("time", 15 * MINUTE, 96), ("index", 1, 1),
        ("time", 2 * DAY, 1), ("month", 5, 1),
    ],
)  # fmt: skip
def test_the_season_follows_from_the_calendar(kind, step, season):
    style = COUNTED if kind == "index" else DATED
    assert Grid(kind, step, 0, style).season == season


MASKS = st.lists(st.booleans(), min_size=7, max_size=7).filter(lambda days: 2 < sum(days) < 7)


@given(MASKS, st.integers(-400, 400), st.integers(0, 23), st.sets(st.integers(8, 60), max_size=5))
def test_days_of_the_week_that_never_occur_stay_out(mask, start, hour, gaps):
    """Against a walk over the calendar, day by day; holidays are rows that are missing."""
    walk = [
        moment
        for moment in (datetime(2020, 1, 1, hour) + timedelta(start + day) for day in range(250))
        if mask[moment.weekday()]
    ]
    stamps = np.array([stamp(moment.isoformat()) for moment in walk])
    kept = np.array([row for row in range(70) if row not in gaps])
    grid = Grid("weekday", 1, int(stamps[0]), DATED, weekmask="".join(map(str, map(int, mask))))
    assert np.array_equal(grid.stamps(np.arange(len(walk))), stamps)
    rows, on_grid = grid.rows(stamps)
    assert on_grid.all()
    assert np.array_equal(rows, np.arange(len(walk)))
    earlier, _ = grid.rows(stamps - 7 * DAY)
    assert np.array_equal(earlier, rows - sum(mask))
    if (np.diff(stamps[kept]) == DAY).mean() > 0.55:
        found = infer_grid(stamps[kept], DATED, "when")
        assert (found.kind, found.weekmask) == (grid.kind, grid.weekmask)
        assert np.array_equal(found.stamps(np.arange(80, 100)), stamps[80:100])


@given(grids(), st.integers(0, 10**18))
def test_a_grid_ends_with_the_calendar(grid, far):
    """Against the rows that have a date: all up to one, none after it."""
    assert grid.reaches(0)
    if grid.kind == "index":
        assert grid.reaches(far)
        return
    known, beyond = 0, 10**18
    while beyond - known > 1:
        middle = (known + beyond) // 2
        known, beyond = (middle, beyond) if grid.reaches(middle) else (known, middle)
    assert datetime.fromisoformat(grid.text(known)).year >= 9999 - grid.step // 12
    with pytest.raises(ArgumentError, match="years 1 to 9999"):
        grid.text(beyond)
    assert grid.reaches(far) == (far <= known)


def test_business_days_by_name():
    days = np.array([stamp(f"2024-01-{day:02d}") for day in range(1, 29) if (day - 1) % 7 < 5])
    grid = infer_grid(days, DATED, "when")
    assert (grid.name, grid.season) == ("daily without Saturday and Sunday", 5)
    assert grid.same_steps(Grid("time", DAY, 0, DATED))
    assert not grid.same_steps(Grid("time", HOUR, 0, DATED))
    assert infer_grid(days[:8], DATED, "when").name == "daily"  # too short to tell


def test_calendar_features_are_places_on_circles():
    hourly = Grid("time", HOUR, stamp("2024-01-01 06:00"), DATED)  # a Monday
    found = calendar_features(hourly, np.arange(24 * 14))
    assert found.shape == (24 * 14, 6)
    assert found[0, :2] == pytest.approx([1.0, 0.0], abs=1e-6)  # a quarter of the day
    assert np.allclose(found[:24, 2:4], found[7 * 24 : 8 * 24, 2:4], atol=1e-6)
    assert np.allclose((found**2).reshape(-1, 3, 2).sum(-1), 1.0, atol=1e-6)
    monthly = Grid("month", 1, stamp("2023-01-01"), DATED)
    assert np.allclose(
        *(calendar_features(monthly, np.arange(a, a + 12)) for a in (0, 12)), atol=1e-6
    )
    assert calendar_features(Grid("index", 1, 0, COUNTED), np.arange(5)).shape == (5, 0)
    assert calendar_features(Grid("month", 12, 0, DATED), np.arange(5)).shape == (5, 0)

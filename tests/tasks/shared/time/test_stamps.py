"""Stamps of every layout are what datetime says they are; what can't be told is refused."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elman.errors import DataError
from elman.tasks.forecast.data.columns import choose_columns
from elman.tasks.forecast.data.table import read_table
from elman.tasks.forecast.settings import ForecastSettings
from elman.tasks.shared.table import Table, whole_numbers
from elman.tasks.shared.time.grid import infer_grid
from elman.tasks.shared.time.stamps import looks_like_dates, read_stamps, stamps_of
from elman.tasks.shared.time.style import CLOCKS, DATES, DAYS, FORMATS, INDEX, Style
from tests.tasks.forecast.tables import days, write

EPOCH = datetime(1970, 1, 1)


def micro(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def read(texts, known=None):
    return read_stamps(pl.Series(texts, dtype=pl.String), "column 'when'", known)


def next_text(texts) -> str:
    """The stamp that would follow."""
    found = read(texts)
    assert found.bad is None
    grid = infer_grid(np.unique(found.values), found.style, "when")
    rows, on_grid = grid.rows(found.values)
    assert on_grid.all()
    return grid.text(int(rows.max()) + 1)


DAYS_ALONE = sorted({format for format in DAYS if "%y" not in format})


@pytest.mark.parametrize("clock", ["", *CLOCKS])
@pytest.mark.parametrize("day", DAYS_ALONE)
def test_layouts_mean_what_strptime_says(day, clock):
    format = f"{day} {clock}".strip()
    assert format in FORMATS
    texts = [
        (datetime(1999, 12, 28, 6, 30, 15) + timedelta(days=9 * i, hours=5 * i)).strftime(
            format.replace("%.f", ".%f")
        )
        for i in range(40)
    ]
    found = read(texts)
    expected = [micro(datetime.strptime(t, format.replace("%.f", ".%f"))) for t in texts]
    assert found.bad is None
    assert found.values.tolist() == expected
    assert [found.style.text(stamp) for stamp in expected] == texts


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from([format for format in DATES if "%q" not in format]),
    st.datetimes(datetime(1970, 1, 1), datetime(2060, 1, 1)),
)
@example("%d/%m/%y", datetime(2001, 1, 1))  # with the year first: Januaries and Februaries
def test_forty_hours_days_or_months_are_read_back(format, start):
    step = timedelta(hours=1) if "%H" in format else timedelta(days=1 if "%d" in format else 31)
    first = start.replace(minute=0, second=0, microsecond=0)
    texts = [(first + i * step).strftime(format) for i in range(40)]
    found = read(texts)
    assert found.values.tolist() == [micro(datetime.strptime(text, format)) for text in texts]


@pytest.mark.parametrize(
    ("texts", "after"),
    [
        (["2001Q3", "2001Q4", "2002Q1"], "2002Q2"),
        (["Q3 2001", "Q4 2001", "Q1 2002"], "Q2 2002"),
        (["2001-Q4", "2002-Q1", "2002-Q2"], "2002-Q3"),
        (["Jan 2005", "feb 2005", "MAR 2005"], "Apr 2005"),
        (["1/31/23", "2/1/23", "2/2/23"], "02/03/23"),
        (["01.11.68", "01.12.68"], "01.01.69"),
        (["201911", "201912", "202001"], "2020-02"),
        (["2023-01-01 22:00", "2023-01-01 23:00", "2023-01-02"], "2023-01-02 01:00"),
        (["2023-01-01 23:00", "2023-01-01 24:00", "2023-01-02 01:00"], "2023-01-02 02:00"),
        (["01/31/2023 11:00 AM", "01/31/2023 12:00 PM"], "01/31/2023 01:00 PM"),
        (["2023-01-01 00:00:00+00", "2023-01-01 01:00:00+00"], "2023-01-01 02:00:00+00"),
        (["2023-01-01 00:00:00 UTC", "2023-01-01 01:00:00 UTC"], "2023-01-01 02:00:00 UTC"),
        (["2023-01-01 00:00:00,250", "2023-01-01 00:00:00,500"], "2023-01-01 00:00:00.750000"),
        (["1949.0", "1950.0"], "1951"),
    ],
)
def test_the_next_stamp(texts, after):
    assert next_text(texts) == after


def test_day_and_month_are_told_apart_by_which_is_regular():
    months = [datetime(2018 + i // 12, i % 12 + 1, 1) for i in range(30)]
    assert next_text([m.strftime("%d/%m/%Y") for m in months]) == "01/07/2020"
    assert next_text([m.strftime("%m/%d/%Y") for m in months]) == "07/01/2020"
    days = [datetime(2023, 1, 1) + timedelta(days=i) for i in range(20)]
    assert next_text([d.strftime("%d-%m-%Y") for d in days]) == "21-01-2023"
    year = [m.strftime("%d/%m/%Y") for m in months[:12]]
    with pytest.raises(DataError, match=r"day or the month first.*'01/01/2018'.*2024-12-31"):
        read(year)
    known = Style("%d/%m/%Y")  # a run that was trained on more knows
    assert read(year, known).values.tolist() == [micro(m) for m in months[:12]]


def test_years_of_two_digits_turn_at_69_and_may_not_jump():
    assert read(["31.12.69", "31.12.70"]).values.tolist() == [
        micro(datetime(year, 12, 31)) for year in (1969, 1970)
    ]
    with pytest.raises(DataError, match=r"two-digit years that jump.*four digits"):
        read([f"31.12.{year % 100:02d}" for year in range(1950, 1980)])


def test_offsets_that_change():
    hours = ["2022-10-30T01:00:00+02:00", "2022-10-30T02:00:00+02:00", "2022-10-30T02:00:00+01:00"]
    found = read(hours)
    assert found.style.zone == "+00:00"
    assert np.diff(found.values).tolist() == [3_600_000_000] * 2
    assert "told in UTC" in found.note
    local = [
        f"2022-{m:02d}-01 00:00:00{'+02:00' if 3 < m < 11 else '+01:00'}" for m in range(1, 13)
    ]
    found = read(local)
    assert found.values.tolist() == [micro(datetime(2022, m, 1)) for m in range(1, 13)]
    assert "local time" in found.note
    found = read(["2022-01-01T00:00:00+05:30"] * 2, Style("%Y-%m-%dT%H:%M:%S", "Z"))
    assert found.values[0] == micro(datetime(2021, 12, 31, 18, 30))
    assert found.style.zone == "Z"


def test_a_run_on_a_local_clock_takes_its_offsets_one_by_one():
    def midnights(*offsets):
        return [f"{day}T00:00:00{zone}" for day, zone in zip(days(9), offsets * 9, strict=False)]

    style = read([*midnights("+01:00"), "2024-04-01T00:00:00+02:00"]).style
    assert [style.zone, *style.local] == ["", 3_600_000_000, 7_200_000_000]
    for offsets in (["+01:00"], ["+02:00"], ["+0200", "+01:00"]):
        found = read(midnights(*offsets), style)
        assert found.style == style
        assert found.values[0] == micro(datetime(2024, 1, 1))
    with pytest.raises(
        DataError, match=r"at -05:30 from UTC, but .* local times at \+01:00 and \+02"
    ):
        read(midnights("-05:30"), style)
    moments = pl.Series([datetime(2024, 7, 1), datetime(2024, 7, 2)]).dt.replace_time_zone(
        "Europe/Paris"
    )
    found = stamps_of(Table(pl.DataFrame({"t": moments}), "t.parquet"), "t", style)
    assert found.values[0] == micro(datetime(2024, 7, 1))
    one = Style("%Y-%m-%dT%H:%M:%S", "+01:00")
    assert "at +02:00 from UTC, the run at +01:00" in read(midnights("+02:00"), one).given
    assert read(midnights("+01:00"), one).given == ""


def test_what_no_microsecond_tells_is_refused():
    texts = [f"2024-01-01 00:00:00.{1500 * i:09d}" for i in range(4)]
    with pytest.raises(DataError, match=r"finer than a microsecond.*'2024-01-01 .*01500'; round"):
        read(texts)
    assert next_text([f"2024-01-01 00:00:00.00000{i}000" for i in range(4)]).endswith(".000004")


@pytest.mark.parametrize("zero", ["\u0660", "\uff10"])
@pytest.mark.parametrize("clock", ["", " 10:00"])
def test_digits_of_other_scripts_are_no_dates(tmp_path, zero, clock):
    script = {ord("0") + i: ord(zero) + i for i in range(10)}
    texts = [f"{day}{clock}".translate(script) for day in days(20)]
    assert not looks_like_dates(pl.Series(texts))
    mixed = [f"{day}{clock.translate(script)}" for day in days(20)]
    for cells in (texts, mixed if clock else texts):
        table = read_table(str(write(tmp_path / "t.csv", "ds,x", [(c, 1) for c in cells])))
        with pytest.raises(DataError, match=r"line 2: ds must be a time stamp"):
            stamps_of(table, "ds")


def test_numbers_are_no_dates():
    for cells in (["1.0850", "1.1023"], ["12.2005", "11.2004"], ["190413", "200199"], ["1.5", "2"]):
        assert not looks_like_dates(pl.Series(cells))
    assert read(["1609459200", "1609462800"]).style.format == INDEX
    floats = pl.Series([0.0, 0.5, 2.0, float("nan"), 1e300])
    assert whole_numbers(floats).to_list() == [0, None, 2, None, None]


@pytest.mark.parametrize(
    ("cells", "dtype", "first"),
    [
        ([0, 100], pl.Datetime("ms"), "1970-01-01 00:00:00.000000"),
        ([0, 2_000_000_000], pl.Datetime("ns"), "1970-01-01 00:00:00"),
        ([0, 1], pl.Date, "1970-01-01"),
        (["2020-01-31", "2020-02-29"], pl.Categorical, "2020-01-31"),
        ([7.0, 8.0], pl.Float32, "7"),
    ],
)
def test_typed_columns(tmp_path, cells, dtype, first):
    frame = pl.DataFrame({"t": pl.Series(cells).cast(dtype), "x": [1.0, 2.0]})
    frame.write_parquet(tmp_path / "t.parquet")
    found = stamps_of(read_table(str(tmp_path / "t.parquet")), "t")
    assert found.style.text(int(found.values[0])) == first
    assert found.values[1] > found.values[0]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (pl.Series([timedelta(1), timedelta(2)]), "must hold time stamps, got Duration"),
        (pl.Series([[1], [2]]), "must hold time stamps, got List"),
        (pl.Series([True, False]), "must hold time stamps, got Boolean"),
        (pl.Series([0.0, 0.5]), r"row 2: t must be a time stamp like 0.0, got 0.5"),
        (pl.Series([None, datetime(2024, 1, 1)]), r"row 1: .*like 2024-01-01.*empty cell"),
        (pl.Series([1, 1001]).cast(pl.Datetime("ns")), "finer than a microsecond"),
    ],
)
def test_columns_that_are_no_stamps(cells, words):
    with pytest.raises(DataError, match=words):
        stamps_of(Table(pl.DataFrame({"t": cells}), "t.parquet"), "t")


@pytest.mark.parametrize(
    ("cell", "dtype", "words"),
    [
        (1_704_067_200_000_000, pl.Datetime("ms"), "1704067200000000 milliseconds from 1970; if"),
        (1_704_067_200_000_000_000, pl.Datetime("us", "UTC"), "000 microseconds from 1970"),
        (9 * 10**17, pl.Datetime("ms"), "milliseconds from 1970"),
        (-(10**17), pl.Datetime("us"), "-100000000000000000 microseconds from 1970"),
        (2**31 - 1, pl.Date, "2147483647 days from 1970"),
    ],
)
def test_moments_beyond_the_calendar_are_named(cell, dtype, words):
    cells = pl.Series([0, None, cell]).cast(pl.Int32 if dtype == pl.Date else pl.Int64).cast(dtype)
    table = Table(pl.DataFrame({"t": cells, "x": [1.0, 2.0, 3.0]}), "t.parquet")
    assert choose_columns(table, ForecastSettings()).time == "t"
    with pytest.raises(DataError, match=rf"t.parquet, row 3: t must .* years 1 to 9999.*{words}"):
        stamps_of(table, "t")


def test_an_example_is_a_cell_that_could_be_read(tmp_path):
    path = write(tmp_path / "t.csv", "ts,x", [("12:00 noon", 1), ("2023-01-01 13:00", 2),
                                             ("2023-01-01 14:00", 3)])  # fmt: skip
    with pytest.raises(DataError, match=r"line 2: .* like 2023-01-01 13:00, got '12:00 noon'"):
        stamps_of(read_table(str(path)), "ts")

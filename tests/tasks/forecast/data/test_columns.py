"""Which column is what, as other programs write tables; nothing is dropped without a word."""

import datetime as dt

import polars as pl
import pytest

from elman.errors import DataError
from elman.tasks.forecast.data.columns import choose_columns, left_out
from elman.tasks.forecast.data.panel import build_panel
from elman.tasks.forecast.data.table import read_table
from elman.tasks.forecast.settings import ForecastSettings
from elman.tasks.shared.table import Table
from tests.tasks.forecast.tables import days, wave, write

COUNT = 40
DAYS, VALUES = days(COUNT), wave(COUNT).tolist()


def columns_of(path, **settings):
    table = read_table(str(path))
    columns = choose_columns(table, ForecastSettings(**settings))
    return columns, " ".join(left_out(table, columns))


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "Unnamed: 0.1", "index", "V1", "X", "id", "No"])
@pytest.mark.parametrize("start", [0, 1])
def test_a_column_that_numbers_the_rows_is_no_target(tmp_path, name, start):
    rows = [(start + i, day, VALUES[i]) for i, day in enumerate(DAYS)]
    columns, note = columns_of(write(tmp_path / "t.csv", f"{name},date,units", rows))
    assert (columns.time, columns.targets) == ("date", ("units",))
    assert note == f"not used: {name or 'Unnamed: 0'!r} (row numbers)"


def test_a_nameless_column_of_a_filtered_or_joined_frame(tmp_path):
    for numbers in (range(5, 5 + 3 * COUNT, 3), [*range(20), *range(20)], [*range(COUNT)][::-1]):
        rows = [(n, day, v) for n, day, v in zip(numbers, DAYS, VALUES, strict=True)]
        columns, _ = columns_of(write(tmp_path / "t.csv", ",date,units", rows))
        assert columns.targets == ("units",)


def test_a_counter_that_has_a_meaning_stays(tmp_path):
    rows = [(day, 1 + i) for i, day in enumerate(DAYS)]
    for name in ("units", "id", "x"):  # where nothing else could be forecast
        columns, note = columns_of(write(tmp_path / "t.csv", f"date,{name}", rows))
        assert (columns.targets, note) == ((name,), "")


def test_row_numbers_stand_for_time_as_a_last_resort(tmp_path):
    path = write(tmp_path / "t.csv", ",units", list(enumerate(VALUES)))
    columns, note = columns_of(path)
    assert (columns.time, columns.targets) == ("Unnamed: 0", ("units",))
    assert "no column holds dates; 'Unnamed: 0', which counts rows, stands for time" in note
    path = write(tmp_path / "u.csv", ",units", list(zip(DAYS, VALUES, strict=True)))
    assert columns_of(path) == (columns, "")  # pandas' index of dates has no name


@pytest.mark.parametrize("name", ["year", "t", "ds", "week"])
def test_numbers_named_like_time_may_stand_in_any_order_and_place(tmp_path, name):
    rows = [(v, 1960 + (7 * i) % COUNT) for i, v in enumerate(VALUES)]
    assert columns_of(write(tmp_path / "t.csv", f"units,{name}", rows))[0].time == name


def test_two_columns_of_dates(tmp_path):
    rows = [(f"2025-03-01 10:00:{i:02d}", day, VALUES[i]) for i, day in enumerate(DAYS)]
    path = write(tmp_path / "t.csv", "updated,date,units", rows)
    columns, note = columns_of(path)
    assert columns.time == "updated"
    assert "'updated' stands for time, as the first column of dates; 'date' could, too" in note
    table = read_table(str(path))
    chosen = choose_columns(table, ForecastSettings(time_column="date"))
    assert left_out(table, chosen, time_named=True) == ["not used: 'updated' (more dates)"]


def test_values_are_not_taken_for_time(tmp_path):
    shuffled = [(100 + (7 * i) % COUNT, v) for i, v in enumerate(VALUES)]
    with pytest.raises(DataError, match=r"no column of dates.*'units' begins with '100'"):
        columns_of(write(tmp_path / "t.csv", "units,price", shuffled))
    irregular = [(i * i, v) for i, v in enumerate(VALUES)]
    with pytest.raises(DataError, match="no column of dates and none that counts"):
        columns_of(write(tmp_path / "t.csv", "units,price", irregular))
    backwards = [(2000 - 10 * i, v) for i, v in enumerate(VALUES)]
    assert columns_of(write(tmp_path / "t.csv", "tick,price", backwards))[0].time == "tick"


def test_every_column_without_a_role_is_named_with_its_reason(tmp_path):
    frame = pl.DataFrame({
        "day": DAYS, "sales": VALUES, "kind": ["a", "b"] * 20, "open": [True, False] * 20,
        "empty": [None] * COUNT, "list": [[1]] * COUNT, "spent": [dt.timedelta(1)] * COUNT,
        "other": VALUES, "later": DAYS, "__index_level_0__": list(range(3, 3 + COUNT)),
    })  # fmt: skip
    frame.write_parquet(tmp_path / "t.parquet")
    columns, note = columns_of(tmp_path / "t.parquet")
    assert columns.targets == ("sales", "other")
    assert "'kind' (text, such as 'a'), 'open' (true and false), 'empty' (no values)" in note
    assert "'list' (no single values but List(Int64)), 'spent' (Duration" in note
    assert "'later' (more dates), '__index_level_0__' (row numbers)" in note
    columns, note = columns_of(tmp_path / "t.parquet", targets="sales", past="open")
    assert columns.past == ("open",)
    assert "'other' (not asked for)" in note
    wide = pl.DataFrame({"day": DAYS, "y": VALUES} | {f"c{i}": ["x"] * COUNT for i in range(900)})
    table = Table(wide, "wide")
    assert "and 892 more" in left_out(table, choose_columns(table, ForecastSettings()))[0]


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        ("year,month,n", "{y},{m},{v}", r"several columns \('year', 'month'\); join them"),
        ("No,year,month,n", "{i},{y},{m},{v}", r"several columns \('year', 'month'\)"),
        ("date,units", "week {i},{v}", r"line 2: column 'date' should hold time.*'week 0'"),
        ("2024-01-01,5", "{d},{v}", r"begin with the names of its columns, got 2024-01-01, 5"),
        ("date,y,y", "{d},{v},1", r"csv: two columns have the name 'y'"),
        ("date,kind", "{d},x", r"no numeric column.*not used: 'kind' \(text, such as 'x'\)"),
    ],
)
def test_tables_that_can_not_be_used(tmp_path, header, row, words):
    rows = [
        row.format(i=i, v=VALUES[i], y=2018 + i // 12, m=i % 12 + 1, d=DAYS[i])
        for i in range(COUNT)
    ]
    with pytest.raises(DataError, match=words):
        columns_of(write(tmp_path / "t.csv", header, rows))


def test_what_repeated_stamps_may_mean(tmp_path):
    shops = [(s, day, v) for s in "ab" for day, v in zip(DAYS, VALUES, strict=True)]
    hours = [(DAYS[i // 24], i % 24, v) for i, v in enumerate(VALUES)]
    entered = [(DAYS[i // 7], day, v) for i, (day, v) in enumerate(zip(DAYS, VALUES, strict=True))]
    for header, rows, words in (
        ("entered,date,y", entered, "if 'date' is the time instead, say so with --time-column"),
        ("unique_id,ds,y", shops, "need --id-column unique_id"),
        ("dteday,hr,cnt", hours, "if 'hr' holds the rest of the time, join it with 'dteday'"),
    ):
        table = read_table(str(write(tmp_path / "t.csv", header, rows)))
        with pytest.raises(DataError, match=words):
            build_panel(table, choose_columns(table, ForecastSettings()))

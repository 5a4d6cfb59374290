"""Reading tables: every style of time stamp, and one clear line for everything that is wrong."""

import numpy as np
import polars as pl
import pytest

from elman.errors import ArgumentError, DataError
from elman.tasks.forecast.data.columns import choose_columns
from elman.tasks.forecast.data.panel import Source, build_panel, to_frame
from elman.tasks.forecast.data.table import read_table
from elman.tasks.forecast.settings import ForecastSettings
from tests.tasks.forecast.tables import daily, days, shops, write


def read(path, **settings) -> Source:
    table = read_table(str(path))
    return build_panel(table, choose_columns(table, ForecastSettings(**settings)))


@pytest.mark.parametrize(
    ("stamps", "name", "second"),
    [
        (["1949-01", "1949-02", "1949-03"], "monthly", "1949-02"),
        (["1700", "1701", "1702"], "an index in steps of 1", "1701"),
        (["0", "10", "20"], "an index in steps of 10", "10"),
        (["19580329", "19580405", "19580412"], "weekly", "1958-04-05"),
        (["31.01.2024", "29.02.2024", "31.03.2024"], "monthly", "29.02.2024"),
        (["12/30/2024", "12/31/2024", "01/01/2025"], "daily", "12/31/2024"),
        (["2024-01-01 00:00", "2024-01-01 00:15", "2024-01-01 00:30"], "every 15 minutes",
         "2024-01-01 00:15"),
        (["2020-02-29", "2021-02-28", "2022-02-28"], "yearly", "2021-02-28"),
        (["2024-01-01", "2024-04-01", "2024-07-01"], "quarterly", "2024-04-01"),
        (["2024-01-01T00:00:00+02:00", "2024-01-01T01:00:00+02:00"], "hourly",
         "2024-01-01T01:00:00+02:00"),
        (["2024-01-01T00:00:00Z", "2024-01-01T00:00:01Z"], "every 1 seconds",
         "2024-01-01T00:00:01Z"),
        (["2024-01-01 00:00:00.5", "2024-01-01 00:00:01.0"], "every 500000 microseconds",
         "2024-01-01 00:00:01.000000"),
    ],
)  # fmt: skip
def test_styles_of_time_stamps(tmp_path, stamps, name, second):
    path = write(tmp_path / "t.csv", "when,x", [(stamp, i) for i, stamp in enumerate(stamps)])
    grid = read(path).grid
    assert grid.name == name
    assert grid.text(1) == second


def test_the_calendar_goes_on(tmp_path):
    path = write(
        tmp_path / "t.csv", "d,x", [("2024-11-30", 1), ("2024-12-31", 2), ("2025-01-31", 3)]
    )
    grid = read(path).grid
    assert [grid.text(row) for row in (3, 4, 15)] == ["2025-02-28", "2025-03-31", "2026-02-28"]
    assert grid.season == 12


def test_separators_quotes_blank_lines_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(
        '\ufeff"day";"x y"\n2024-01-01;1\n\n2024-01-02;"2"\n2024-01-03;NA\n\n'.encode()
    )
    source = read(path)
    assert source.panel.values[:2, 0].tolist() == [1.0, 2.0]
    assert source.panel.observed[:, 0].tolist() == [True, True, False]


@pytest.mark.parametrize("kind", ["date", "moment", "zone", "text"])
def test_parquet(tmp_path, kind):
    frame = pl.DataFrame({"x": [1.0, None, 3.0], "day": ["2024-01-01", "2024-01-02", "2024-01-03"]})
    cells = {
        "date": pl.col("day").str.to_date(),
        "moment": pl.col("day").str.to_datetime(),
        "zone": pl.col("day").str.to_datetime().dt.replace_time_zone("Europe/Paris"),
        "text": pl.col("day"),
    }
    frame.with_columns(cells[kind].alias("day")).write_parquet(tmp_path / "t.parquet")
    source = read(tmp_path / "t.parquet")
    assert source.grid.name == "daily"
    assert source.panel.observed[:, 0].tolist() == [True, False, True]
    assert source.grid.style.zone == ("+00:00" if kind == "zone" else "")


def test_a_gap_is_named_and_becomes_missing_values(tmp_path):
    source = read(daily(tmp_path / "t.csv", 20, gaps=(5, 6, 11), blank=(2,)))
    assert source.gaps.rows == 3
    assert source.gaps.where == "2024-01-06, after t.csv, line 6"
    missing = np.flatnonzero(~source.panel.observed[:, 0])
    assert missing.tolist() == [2, 5, 6, 11]
    assert (source.panel.values[missing] == 0).all()


def test_rows_may_stand_in_any_order(tmp_path):
    path = daily(tmp_path / "t.csv", 20)
    header, *rows = path.read_text().splitlines()
    (tmp_path / "u.csv").write_text("\n".join([header, *reversed(rows)]))
    assert np.array_equal(read(path).panel.values, read(tmp_path / "u.csv").panel.values)


def test_many_series_with_covariates(tmp_path):
    source = read(shops(tmp_path / "t.csv"), id_column="shop", targets="sales", future="price")
    panel = source.panel
    assert source.ids == ("a", "b")
    assert panel.first.tolist() == [0, 20]
    assert panel.lengths.tolist() == [100, 80]
    assert panel.ends.tolist() == [90, 70]  # the rows after them tell the price alone
    assert panel.last == 90


def test_a_panel_as_a_table_and_back(tmp_path):
    table = read_table(str(shops(tmp_path / "t.csv")))
    columns = choose_columns(table, ForecastSettings(id_column="shop", future="price"))
    source = build_panel(table, columns)
    to_frame(source.panel, source.ids, columns, source.grid).write_csv(tmp_path / "u.csv")
    again = build_panel(read_table(str(tmp_path / "u.csv")), columns)
    assert again.ids == source.ids
    assert np.array_equal(again.panel.values, source.panel.values)
    assert np.array_equal(again.panel.observed, source.panel.observed)


GOOD = [(day, number) for number, day in enumerate(days(6))]


def changed(place, row):
    rows: list = list(GOOD)
    rows[place] = row
    return rows


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (changed(3, ("2024-01-32", 3)), r"line 5: day must be a time stamp.*'2024-01-32'"),
        (changed(3, ("", 3)), r"line 5: day must be a time stamp.*empty cell"),
        (changed(3, ("2024-01-04", "many")), r"line 5: sales must be a finite number.*'many'"),
        (changed(3, ("2024-01-04", "inf")), r"line 5: sales must be a finite number.*'inf'"),
        (changed(3, ("2024-01-04", "1e999")), r"line 5: sales must be a finite number.*'1e999'"),
        (changed(3, ("2024-01-04", 3, 4)), r"line 5: expected 2 fields.*got 3"),
        (changed(3, ("2024-01-04",)), r"line 5: expected 2 fields.*got 1"),
        (changed(3, ("2024-01-03", 9)), r"line 5: day 2024-01-03 stands there twice.*line 4"),
        (changed(3, ("2024-01-04 12:00", 9)), r"line 5: day 2024-01-04 12:00 does not fit.*daily"),
        ([("2024-01-01 00:00:00", 1), ("2024-01-01 01:00:00", 1), ("2024-01-01 02:00:00", 1),
          ("2024-01-01 02:30:00", 1)],
         r"line 5: when 2024-01-01 02:30:00 does not fit.*hourly from 2024-01-01 00:00:00"),
        ([("2024-01-01T00:00:00", 1), ("2024-01-01T01:00:00+02:00", 1)],
         r"with a time zone \(\+02:00\) and without one"),
        ([("01/02/2024", 1), ("02/02/2024", 1), ("03/02/2024", 1)], "day or the month first"),
        ([("2024-01-01", 1)], "at least 2 different time stamps, got 1"),
        ([("2024-01-01", 1), ("2024-01-02", 1), ("2024-01-03", 1), ("2924-01-04", 1)],
         "nearly all would be missing"),
        ([], "a header but no rows"),
    ],
)  # fmt: skip
def test_bad_rows_are_named_with_their_line(tmp_path, rows, words):
    header = "when,x" if rows and ":" in str(rows[0][0]) else "day,sales"
    path = write(tmp_path / "bad.csv", header, rows)
    with pytest.raises(DataError, match=words) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert "bad.csv" in str(caught.value)


def test_lines_are_counted_through_blank_lines_and_quoted_breaks(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('day,x,note\n2024-01-01,1,"two\nlines"\n\n2024-01-02,2,\n2024-01-03,bad,\n')
    with pytest.raises(DataError, match=r"line 6: x must be.*'bad'"):
        read(path, targets="x")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"targets": "sale"}, "no column 'sale'; did you mean 'sales'. it has day, sales, note"),
        ({"time_column": "nothing"}, "no column 'nothing'; it has day, sales, note"),
        ({"future": "price"}, "no column 'price'"),
        ({"id_column": "shop"}, "no column 'shop'"),
        ({"targets": "sales", "past": "sales"}, "'sales' is named twice"),
    ],
)
def test_columns_that_do_not_exist(tmp_path, settings, words):
    path = write(tmp_path / "t.csv", "day,sales,note", [(*row, "x") for row in GOOD])
    with pytest.raises(ArgumentError, match=words):
        read(path, **settings)


def test_a_column_of_text_is_no_target_and_can_be_left_out(tmp_path):
    path = write(tmp_path / "t.csv", "day,sales,note", [(*row, "x") for row in GOOD])
    table = read_table(str(path))
    assert choose_columns(table, ForecastSettings()).targets == ("sales",)
    with pytest.raises(DataError, match=r"line 2: note must be a finite number"):
        read(path, targets="note")
    path = write(tmp_path / "u.csv", "day,note", [(day, "x") for day, _ in GOOD])
    with pytest.raises(DataError, match="no numeric column to forecast beside 'day'"):
        read(path)
    path = write(tmp_path / "v.csv", "a,b", [("x", 1), ("y", 2)])
    with pytest.raises(DataError, match=r"no column of dates.*'a' begins with 'x'.*--time-column"):
        read(path)


def test_a_number_of_nines_and_seasons_are_told(tmp_path):
    rows = [(day, -999.9 if n % 9 == 4 else n) for n, day in enumerate(days(40))]
    notes = read(write(tmp_path / "t.csv", "day,x", rows)).notes
    assert ["x: -999.9 stands 4 times" in note for note in notes] == [True]
    rows = [(f"{2000 + n}-{n + 1:02d}", n) for n in range(12)]
    (note,) = read(write(tmp_path / "t.csv", "season,x", rows)).notes
    assert note.startswith("season: 2000-01 and 2001-02 are read as months, 13 apart; if they are")


@pytest.mark.parametrize(
    ("repeated", "zone", "told"), [("02:00", "", True), ("13:00", "", False), ("02:00", "Z", False)]
)
def test_an_hour_that_comes_twice_may_be_the_end_of_summer_time(tmp_path, repeated, zone, told):
    hours = [f"{hour:02d}:00" for hour in range(24)]
    hours.insert(hours.index(repeated), repeated)
    rows = [(f"2024-10-27 {hour}{zone}", n) for n, hour in enumerate(hours)]
    with pytest.raises(DataError, match=r"stands there twice.*keep one of the two") as caught:
        read(write(tmp_path / "t.csv", "t,x", rows))
    assert ("end of summer time: then keep both, and write" in str(caught.value)) == told


def test_repeated_stamps_of_many_series_hint_at_the_id_column(tmp_path):
    with pytest.raises(DataError, match=r"line 82.*stands there twice.*need --id-column"):
        read(shops(tmp_path / "t.csv", 70), targets="sales")


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(DataError, match="from a file, got - for standard input"):
        read_table("-")
    with pytest.raises(DataError, match=r"no file .*nowhere.csv"):
        read(tmp_path / "nowhere.csv")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match=r"must be a Parquet file.*can't be read"):
        read(tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_bytes(b"day,x\n2024-01-01,\xff\n")
    with pytest.raises(DataError, match=r"must be UTF-8 text, but byte 17 \(line 2\)"):
        read(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(b"day,x,x\n2024-01-01,1,2\n")
    with pytest.raises(DataError, match="csv: two columns have the name 'x'"):
        read(tmp_path / "t.csv")
    (tmp_path / "e.csv").write_bytes(b"")
    with pytest.raises(DataError, match=r"e\.csv"):
        read(tmp_path / "e.csv")

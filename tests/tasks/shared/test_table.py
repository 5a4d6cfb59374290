"""Columns without a meaning, places, and lists of names, for the tables of all tasks."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import ArgumentError, DataError
from elman.tasks.shared.separated import parse_separated
from elman.tasks.shared.table import (
    Table,
    is_unnamed,
    listing,
    numbers_rows,
    parquet_cells,
    shown,
)


def test_columns_without_names_however_a_program_called_them(tmp_path):
    headers = {"pandas": "Unnamed: 0.1,Unnamed: 1_level_0", "Polars": "_duplicated_0",
               "pyarrow": "__index_level_0__", "readr": "...1", "none": ",x,"}  # fmt: skip
    for header in headers.values():
        cells = ",".join("1" for _ in header.split(","))
        names = parse_separated(f"{header}\n{cells}\n", "t.csv").frame.columns
        assert all(is_unnamed(name) for name in names if name != "x")
    assert is_unnamed("")  # as Parquet can hold it
    for name in ("a", "Unnamed", "Unnamed: x", "1", "index", " ", "duplicated_0"):
        assert not is_unnamed(name)


@given(
    start=st.integers(-1, 2), rows=st.integers(0, 9), step=st.integers(0, 2),
    dtype=st.sampled_from([pl.String, pl.Int64, pl.Float64, pl.UInt8]),
)  # fmt: skip
def test_numbers_of_rows(start, rows, step, dtype):
    if start < 0 and dtype == pl.UInt8:
        start = 0
    numbers = [start + step * row for row in range(rows)]
    cells = pl.Series([str(n) for n in numbers]) if dtype == pl.String else pl.Series(numbers)
    want = numbers in (list(range(rows)), list(range(1, rows + 1))) and rows > 2
    assert numbers_rows(cells.cast(dtype)) == want


def test_what_only_looks_like_numbers_of_rows():
    for cells in (["0", "1", "x"], [0.0, 1.5, 2.0], [0, None, 2], [True, True, True], [[0]] * 3):
        assert not numbers_rows(pl.Series(cells))
    assert numbers_rows(pl.Series(["0.0", "1.0", "2.0"]))


def test_places_and_missing_columns():
    frame = pl.DataFrame({"sales": ["1"], "day": ["2"]})
    assert Table(frame, "t.parquet").place(0) == "t.parquet, row 1"
    assert Table(frame, "t.csv", [7]).place(0) == "t.csv, line 7"
    Table(frame, "t.csv").require("day")
    for column, option, words in (
        ("sale", "", r"t.csv has no column 'sale'; did you mean 'sales'\? it has sales, day$"),
        ("x", "--past", r"t.csv has no column 'x' \(--past\); it has sales, day$"),
    ):
        with pytest.raises(ArgumentError, match=words):
            Table(frame, "t.csv").require(column, option)


def test_lists_and_cells_are_shown_up_to_a_length():
    names = [f"c{number}" for number in range(1010)]
    assert listing(names[:8]) == ", ".join(names[:8])
    assert listing(names) == ", ".join(names[:8]) + " and 1,002 more"
    assert (shown(None), shown(""), shown("a"), shown(2.5)) == (
        "an empty cell", "an empty cell", "'a'", "2.5"
    )  # fmt: skip
    assert len(shown("x" * 10_000)) < 70


def test_parquet_files_that_hold_nothing(tmp_path):
    pl.DataFrame({"a": []}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet holds no rows"):
        parquet_cells(str(tmp_path / "t.parquet"), "t.parquet")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match=r"t\.parquet must be a Parquet file.*can't be read"):
        parquet_cells(str(tmp_path / "t.parquet"), "t.parquet")

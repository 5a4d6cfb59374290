"""Numbers as people write them: read when the column leaves no doubt, else named."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import DataError
from elman.tasks.forecast.data.numbers import NumberReader, sentinel_note
from elman.tasks.shared.table import Table


def read(cells, separator=",", **others):
    frame = pl.DataFrame({"x": cells, **others}).with_columns(pl.col(pl.String).str.strip_chars())
    table = Table(frame, "t.csv", range(2, 2 + len(cells)), separator)
    return NumberReader(table).read("x")


@given(st.lists(st.floats(-1e15, 1e15, allow_nan=False), min_size=1, max_size=20))
def test_plain_numbers_are_what_python_reads(values):
    found = read([repr(value) for value in values])
    assert found.values.tolist() == values
    assert found.note == ""


@given(
    st.lists(st.decimals(0, 10**9, places=2, allow_nan=False), min_size=1, max_size=20),
    st.sampled_from([(",", "."), (".", ","), (" ", ","), ("'", "."), ("\u202f", ",")]),
    st.sampled_from(["{}", "-{}", "{} €", "$ {}", "{}%", "EUR {}", "({})", "\u2212{}"]),
)
def test_marks(values, marks, dress):
    """Two decimals leave no doubt about which mark is which."""
    group, point = marks
    cells = [
        dress.format(f"{value:,.2f}".translate(str.maketrans({",": group, ".": point})))
        for value in values
    ]
    sign = -1 if dress[0] in "-(\u2212" else 1
    assert read(cells).values.tolist() == [sign * float(value) for value in values]


@pytest.mark.parametrize(
    ("cells", "separator", "others", "expected"),
    [
        (["1,234", "5"], ",", {}, 1234),
        (["1,234", "5"], ";", {}, 1.234),
        (["0,234", "5"], ",", {}, 0.234),
        (["1,234", "1,234,567"], ";", {}, 1234),
        (["1,234", "5"], "\t", {"y": ["1.5", "2"]}, 1234),
        (["1.234", "5"], ",", {}, 1.234),
        (["1.234", "5"], ";", {"y": ["1,5", "2"]}, 1234),
        (["1.234", "1.234.567"], ",", {}, 1234),
        (["12,34,567.5", "5"], ",", {}, 1234567.5),
        (["1.459 €", "1.479 €"], ",", {}, 1.459),
        (["1.150 €", "950 €"], ",", {"y": ["1.5", "2"]}, 1.15),
        (["1.150 €", "950 €"], ";", {}, 1150),
    ],
)  # fmt: skip
def test_who_decides_what_a_comma_is(cells, separator, others, expected):
    assert read(cells, separator, **others).values[0] == expected


def test_unusual_cells_are_told_with_their_line():
    assert read(["5", "1,5"]).note == "x: '1,5' (t.csv, line 3) is read as 1.5"
    assert read(["1.234", "5"], ";").note == "x: '1.234' (t.csv, line 2) is read as 1.234"
    assert read(["1.234", "5.5"], ";").note == ""
    assert read(["900", "1.150"]).note == "x: '1.150' (t.csv, line 3) is read as 1.15"
    assert read(["5 €", "1,234 €"]).note == "x: '1,234 €' (t.csv, line 3) is read as 1234"
    assert read(["2.345", "1.234"]).note == ""


@pytest.mark.parametrize(
    ("cells", "separator", "words"),
    [
        (["1,234", "5,678"], "\t", r"line 2: x can be read in two ways, got '1,234', .* 1234 or"),
        (["950 €", "1.150 €"], ",", r"line 3: x can be read in two .*'1.150 €', .* 1.15 or 1150"),
        (["950 kr.", "", "1,150 kr."], ";", r"line 4: .* got '1,150 kr.', which is 1150 or 1.15"),
        (["5 €", "6 €", "1,234 $"], ",", r"line 4: .*'1,234 \$'"),
        (["5€50", "6€20"], ",", r"line 2: .*'5€50'"),
        (["٥٨", "٥٩"], ",", r"line 2: .*'٥٨'"),
        (["1.5", "2,5", "3.5"], ";", r"line 3: x must be a finite number.*'2,5'"),
        (["$5", "€5", "$6"], ",", r"line 3: .*'€5'"),
        (["5%", "5", "6%"], ",", r"line 3: .*'5'"),
        (["1", "1e301"], ",", r"line 3: .*'1e301', which is beyond 1e\+300"),
        (["1", "-Infinity"], ",", r"line 3: .*'-Infinity'"),
        (["1", "1_000"], ",", r"line 3: .*'1_000'"),
        (["1", "1,23.4"], ",", r"line 3: .*'1,23.4'"),
        (["1", "x" * 500], ",", r"line 3: .*'x{50,59}\.\.\.;"),
    ],
)
def test_cells_that_are_no_numbers(cells, separator, words):
    with pytest.raises(DataError, match=words):
        read(cells, separator)


def test_units():
    assert read(["5 €", "", "6 €"]).unit == "€"
    assert read(["5%", "6.5%"]).unit == "%"
    assert read(["5", "6.5"]).unit == read(["1,5", "2"]).unit == read([1.5, 2.0]).unit == ""


def test_missing_and_true():
    missing = ["", "NA", "-", "#N/A", "<NA>", "NaT", ".", "n/a", "NULL", None]
    found = read(["1", *missing])
    assert found.values[0] == 1
    assert np.isnan(found.values[1:]).all()
    assert read(["True", "false", "", "TRUE"]).values.tolist()[:2] == [1, 0]
    assert read([True, None, False]).values.tolist()[::2] == [1, 0]


def test_typed_columns():
    decimals = pl.Series(["1.25", "2.5"]).cast(pl.Decimal(10, 2))
    assert read(decimals).values.tolist() == [1.25, 2.5]
    assert np.isnan(read(pl.Series([1.0, float("nan")])).values[1])
    with pytest.raises(DataError, match=r"row 2|line 3: x must be a finite number.*inf"):
        read(pl.Series([1.0, float("inf")]))
    with pytest.raises(DataError, match="must be numeric, got List"):
        read(pl.Series([[1], [2]]))


USUAL = [310.0, 312.5, np.nan, 317.0, 311.0, 314.0]


def nines_note(values) -> str:
    table = Table(pl.DataFrame({"x": values}), "t.csv", range(2, 2 + len(values)))
    return sentinel_note(np.array(values, dtype=float), "x", table)


@pytest.mark.parametrize("nines", [-999.99, -99, -9, -9999.0, 9999, 999.9, 99999])
def test_numbers_of_nines_far_from_all_others(nines):
    found = nines_note([*USUAL, nines, 312, nines, nines])
    assert found.startswith(
        f"x: {nines:g} stands 3 times, far from all other values, first in t.csv"
    )
    assert "line 8" in found
    assert "leave these cells empty" in found


@pytest.mark.parametrize(
    "values",
    [
        USUAL,
        [*USUAL, -999.99],  # once: a mistake or a value
        [*USUAL, -1000, -1000],
        [*USUAL, -989.9, -989.9],
        [*USUAL, 99, 99],
        [0, 500, 700, 999, 999],  # near the others
        [-9, -9, 3, 24, 8],
        [-999.0] * 5,
        [np.nan] * 3,
        [1e300, -1e300, -999, -999],
    ],
)
def test_values_that_mean_themselves(values):
    assert nines_note(values) == ""

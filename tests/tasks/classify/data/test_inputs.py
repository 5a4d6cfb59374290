"""Several texts, numbers and categories of a row: how they are named, measured and encoded."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import ArgumentError, DataError, RunError
from elman.tasks.classify.data.inputs import (
    PLAIN,
    SEPARATOR,
    CategoryColumn,
    Inputs,
    NumberColumn,
    joined_texts,
    names_in,
    nowhere,
)
from elman.tasks.classify.data.sources import prepared, read_source
from elman.tasks.classify.settings import ClassifySettings

CELLS = {"price": ["1", "2", "", "4", "100"], "city": ["Oslo", "", "Rome", "Oslo", "Oslo"]}
INPUTS = Inputs.of(["title", "body"], ["price"], ["city"], CELLS, nowhere)
ROW = {"title": "A", "body": " b ", "price": 3, "city": "Rome"}


def test_names_have_commas_between_and_quotes_around():
    assert names_in("title, body") == ["title", "body"]
    assert names_in('"a,b",c') == ["a,b", "c"]
    assert names_in("a,b", ["a,b", "a", "b"]) == ["a,b"]
    assert names_in("") == []


@given(st.lists(st.lists(st.text(max_size=8), min_size=2, max_size=2), min_size=1, max_size=5))
def test_texts_of_several_columns_can_be_told_apart_again(rows):
    for row, text in zip(rows, joined_texts(list(zip(*rows, strict=True))), strict=True):
        assert text.split(SEPARATOR) == [c.replace(SEPARATOR, " ") for c in row] or not any(row)
        assert bool(text) == any(row)
        for ascii_only in (True, False):
            again = [prepared(c.replace(SEPARATOR, " "), ascii_only) for c in row]
            assert prepared(text, ascii_only) == (SEPARATOR.join(again) if any(again) else "")


@given(st.lists(st.floats(-1e38, 1e38), min_size=1, max_size=20), st.floats(-1e38, 1e38))
def test_numbers_keep_their_order_and_stay_in_reach(values, other):
    column = NumberColumn.of("x", list(map(repr, values)), nowhere)
    encoded = column.encode(list(map(repr, sorted([*values, other]))), nowhere)
    assert np.isfinite(encoded).all()
    assert (np.abs(encoded) <= 10).all()
    assert (np.diff(encoded) >= 0).all()


def test_an_outlier_moves_the_scale_of_the_others_by_little():
    cells = [str(number) for number in range(100)]
    one = NumberColumn.of("x", cells, nowhere).encode(cells, nowhere)
    other = NumberColumn.of("x", [*cells, "1e12"], nowhere).encode(cells, nowhere)
    np.testing.assert_allclose(one, other, atol=0.03)


def test_a_constant_column_and_one_without_numbers():
    assert NumberColumn.of("x", ["7", "7"], nowhere).encode(["7"], nowhere).tolist() == [0.0]
    with pytest.raises(DataError, match="'x' holds no number in the training part"):
        NumberColumn.of("x", ["", "NA"], nowhere)


@pytest.mark.parametrize("cell", ["cheap", "inf", "1,5", "-Infinity", "1e39"])
def test_a_cell_that_is_no_number_is_named(cell):
    with pytest.raises(DataError, match=f"row 2: 'x' must be a finite number.*'{cell}'"):
        NumberColumn.of("x", ["1", cell], nowhere)


def test_missing_numbers_are_nan_and_strange_categories_zero():
    encoded = INPUTS.encode({"price": ["", "nan", "2"], "city": ["", "Paris", "Rome"]}, 3, nowhere)
    assert np.isnan(encoded[:2, 0]).all()
    assert np.isfinite(encoded[2, 0])
    assert encoded[:, 1].tolist() == [1.0, 0.0, 3.0]  # "", Oslo, Rome
    assert PLAIN.encode({}, 3, nowhere).shape == (3, 0)


def test_rare_categories_beyond_the_most_are_not_known():
    column = CategoryColumn.of("x", [*"aab", *map(str, range(2000))])
    assert len(column.values) == 1000
    assert column.encode(["a", "1999"]).tolist() == [column.values.index("a") + 1, 0]


def test_mappings_are_read_by_name():
    text, cells = INPUTS.of_mapping({**ROW, "more": "ignored"})
    assert text == f"A{SEPARATOR}b"
    assert (cells["price"], cells["city"]) == ("3", "Rome")
    assert INPUTS.of_mapping({**ROW, "price": None})[1]["price"] == ""
    with pytest.raises(ArgumentError, match="lacks city; give None"):
        INPUTS.of_mapping({k: v for k, v in ROW.items() if k != "city"})
    with pytest.raises(ArgumentError, match="reads the columns title, body, price, city"):
        INPUTS.of_mapping("text")


def test_json_and_back_and_what_is_no_such_thing():
    kept = INPUTS.to_json()
    assert Inputs.from_json(kept) == INPUTS
    assert Inputs.from_json(None) == PLAIN
    broken = [
        5, [], {}, {**kept, "texts": "aa"}, {**kept, "numbers": [["price", 1.0, 0.0]]},
        {**kept, "numbers": [["price", float("nan"), 1.0]]},
        {**kept, "numbers": [["city", 0.0, 1.0]]},
        {**kept, "numbers": [["price", 1.0]]}, {**kept, "categories": [["city", ["a", "a"]]]},
        {**kept, "categories": [["city", [1]]]}, {**kept, "categories": [[["city"], ["a"]]]},
        {**kept, "texts": [1]},
    ]  # fmt: skip
    for value in copy.deepcopy(broken):
        with pytest.raises(RunError, match="under inputs"):
            Inputs.from_json(value)


@given(st.sampled_from([(0, 11.0), (0, np.inf), (1, 4.0), (1, -1.0), (1, 0.5), (1, np.nan)]))
def test_arrays_of_a_run_that_are_not_encoded_so_are_told(fault):
    encoded = INPUTS.encode(CELLS, 5, nowhere)
    assert INPUTS.fit(encoded, 5)
    column, value = fault
    encoded[3, column] = value
    assert not INPUTS.fit(encoded, 5)
    assert not INPUTS.fit(encoded[:4], 5)
    assert not INPUTS.fit(encoded.astype(np.float64), 5)


@pytest.fixture
def of(tmp_path):
    def read(content, **settings):
        path = tmp_path / "a.csv"
        path.write_text(content)
        return read_source(str(path), ClassifySettings(**settings))

    return read


def test_tables_give_texts_numbers_and_categories(of):
    found = of(
        "title,body,n,c,label\na,b,1,x,l\n,d,,y,m\n,,3,z,l\n",
        text_column="body,title", number_columns="n", category_columns="c",
    )  # fmt: skip
    assert found.items == [f"b{SEPARATOR}a", f"d{SEPARATOR}", ""]
    assert found.beside == {"n": ["1", "", "3"], "c": ["x", "y", "z"]}
    assert found.texts == ["body", "title"]
    assert not found.notes


def test_the_only_column_left_is_the_text(of):
    assert of("words,n,label\na,1,l\nb,2,m\n", number_columns="n").items == ["a", "b"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"text_column": "a,z"}, r"no column 'z' \(--text-column\)"),
        ({"text_column": "a,label"}, "'label' can't be both the text and the label"),
        ({"text_column": "a,b", "number_columns": "b"}, "column 'b' can be read in one way only"),
        ({"text_column": "a,a"}, "column 'a' can be read in one way only"),
        ({"number_columns": "b", "category_columns": "b"}, "column 'b' can be read in one way"),
        ({"number_columns": "q"}, r"no column 'q' \(--number-columns\)"),
        ({"number_columns": "a,b"}, "no column of texts.*elman reads sequences"),
    ],
)
def test_columns_that_can_not_be_read_so(of, settings, words):
    with pytest.raises(ArgumentError, match=words):
        of("a,b,label\n1,2,x\n3,4,y\n", label_column="label", **settings)

"""Rows of CSV, read back by programs of others."""

import csv
import io

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.tasks.shared.csv_rows import csv_bytes, csv_row

FIELD = st.text(st.sampled_from('ab ",;\r\n\t\0\ud800é\u2028=|'), max_size=6)


def whole(text):
    return text.replace("\0", "\ufffd").replace("\ud800", "\ufffd")


@given(st.lists(st.tuples(FIELD, FIELD), max_size=5))
def test_python_reads_what_was_written(rows):
    text = csv_bytes(("one", "two"), rows).decode()
    found = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert found == [["one", "two"], *([whole(a), whole(b)] for a, b in rows)]


@given(st.lists(st.tuples(FIELD, FIELD), min_size=1, max_size=5))
def test_polars_reads_what_was_written(rows):
    schema = {"one": pl.String, "two": pl.String}
    frame = pl.read_csv(csv_bytes(list(schema), rows), schema=schema)
    assert frame.fill_null("").rows() == [(whole(a), whole(b)) for a, b in rows]


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\r\nb", 'a"b', "a,b"])
def test_what_would_break_a_row_is_quoted(text):
    assert csv_row([text]) == '"' + text.replace('"', '""') + '"\n'

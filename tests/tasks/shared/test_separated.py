"""Tables of separated values: what programs write comes back, and what is broken is named."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import DataError
from elman.tasks.shared.separated import first_rows, parse_separated

CELLS = st.text(st.sampled_from(list("ab \"',;\t|\r\n\u2028é")), max_size=6)


def rows_of(content, usual=",", header=True):
    found = parse_separated(content, "t.csv", usual, header)
    return [found.frame.columns, *map(list, found.frame.rows())]


@given(
    cells=st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=6),
    separator=st.sampled_from([",", ";", "\t", "|"]),
    style=st.sampled_from(
        # Python's writer leaves line ends other than its own without quotes unless all have them.
        [(csv.QUOTE_MINIMAL, "\r\n"), *((csv.QUOTE_ALL, end) for end in ("\n", "\r\n", "\r"))]
    ),
)
def test_what_the_csv_module_writes_comes_back(cells, separator, style):
    """Any cell, however it must be quoted. Two numbers tell each row from a blank one."""
    quoting, end = style
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, quoting=quoting, lineterminator=end)
    writer.writerow(["n", "a", "b", "c", "m"])
    rows = [[str(number), *row, "1"] for number, row in enumerate(cells)]
    writer.writerows(rows)
    if quoting == csv.QUOTE_MINIMAL and separator != "\t":
        # A space at the start of an unquoted cell is not kept: tasks strip cells anyway.
        rows = [[cell if '"' in cell else cell.lstrip(" ") for cell in row] for row in rows]
        got = [[c if c is None or '"' in c else c.lstrip(" ") for c in row]
               for row in rows_of(text.getvalue(), separator)[1:]]  # fmt: skip
    else:
        got = rows_of(text.getvalue(), separator)[1:]
    assert got == [[cell or None for cell in row] for row in rows]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("usual", [",", "\t"])
def test_the_separator_is_found_by_the_rows(separator, usual):
    content = separator.join(["day", "note", "x"]) + "\n"
    content += "".join(separator.join([f"{n}", f'"a{separator}b"', "c"]) + "\n" for n in range(5))
    assert rows_of(content, usual)[1] == ["0", f"a{separator}b", "c"]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("day;x\n2024-01-01;1,5\n", [["day", "x"], ["2024-01-01", "1,5"]]),
        ("day;x;y\n1;1,5;2,5\n2;1,6;2,6\n",
         [["day", "x", "y"], ["1", "1,5", "2,5"], ["2", "1,6", "2,6"]]),
        ("a,b\nx;y,z\nu;v,w\n", [["a", "b"], ["x;y", "z"], ["u;v", "w"]]),
        ("sep=;\r\na;b\r\n1,5;x\r\n", [["a", "b"], ["1,5", "x"]]),
        ('"sep=;"\na;b\n1;x\n', [["a", "b"], ["1", "x"]]),
        ('a, b\n1, "x, y"\n', [["a", "b"], ["1", "x, y"]]),
        ("a\n1\n2\n", [["a"], ["1"], ["2"]]),
        ('a,b\n6" screen,x\n', [["a", "b"], ['6" screen', "x"]]),
        ("a,b\r1,x\r2,y\r", [["a", "b"], ["1", "x"], ["2", "y"]]),
        ("a,b\r\r\n1,x\r\r\n", [["a", "b"], ["1", "x"]]),
        ("a,b\n1,\u2028x\x0by\x0c\n", [["a", "b"], ["1", "\u2028x\x0by\x0c"]]),
        ("a\tb\n1\t\\N\n", [["a", "b"], ["1", None]]),
        (',a\n0,x\n1,y\n', [["Unnamed: 0", "a"], ["0", "x"], ["1", "y"]]),
        (',Unnamed: 0,a\n0,0,x\n', [["Unnamed: 0", "Unnamed: 0.1", "a"], ["0", "0", "x"]]),
        ('"a";"b"\n"1";"x";"y"\n"4";"u";"v"\n',
         [["Unnamed: 0", "a", "b"], ["1", "x", "y"], ["4", "u", "v"]]),
        ('" a\nb ",c\n1,2\n', [["a b", "c"], ["1", "2"]]),
    ],
)  # fmt: skip
def test_tables_as_programs_write_them(content, rows):
    assert rows_of(content) == rows


@pytest.mark.parametrize(
    ("content", "rows", "noted"),
    [
        ('l\tt\nx\t"a\ty"\n', [["x", "a\ty"]], False),
        ('l\tt\nx\t"a\nb"\ny\tc\n', [["x", "a\nb"], ["y", "c"]], False),
        ('l\tt\nx\t"say ""a"""\n', [["x", 'say "a"']], False),
        ('l\tt\nx\t"a\ny\tb"\n', [["x", '"a'], ["y", 'b"']], True),
        ('l\tt\nx\t"a" said b\ny\tc\n', [["x", '"a" said b'], ["y", "c"]], True),
        ('l\tt\nx\t"never closed\ny\tc\n', [["x", '"never closed'], ["y", "c"]], True),
    ],
)
def test_quotes_between_tabs_enclose_fields_only_if_they_can(content, rows, noted):
    found = parse_separated(content, "t.tsv", "\t")
    assert [list(row) for row in found.frame.rows()] == rows
    assert any("quotes are read as text" in note for note in found.notes) == noted


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('a,b\n1,"x\n2,y\n3,z\n', "line 2: a double quote opens a field that nothing closes"),
        ('a,b\n"1\n2","x\n3,y\n', "line 3: a double quote opens a field that nothing closes"),
        ('sep=,\na,b\n1,"x\n', "line 3: a double quote opens"),
        ('a,b\n\n1,"x\n2,"y"\n', "lines 3 to 4: the double quotes around a field do not pair up"),
        ('a,b\n"he \\"x\\"",y\n', "line 2: the double quotes around a field do not pair up"),
        ("a,b\n1,2\n1\n", "line 3: expected 2 fields.* got 1; add what is missing"),
        ("a,b\n1,2\n1,2,3\n", "line 3: expected 2 fields.* got 3; put double quotes around"),
        ("a,b\n1,2,\n3,4,\n", "line 2: .* got 3; remove each comma after the last field"),
        ("a,b\nx,1,2\ny,3,4\n", "line 2: expected 2 fields.* got 3"),
        ("a,b\n1,2,3\n2,4\n", "line 2: expected 2 fields.* got 3"),
        ('a,b\n"x\ny",1\n\n2\n', "line 5: expected 2 fields.* got 1"),
        ("# made by hand\na,b\n", "line 2: expected one field, .* no comma.* remove the comments"),
        (
            "text\nso good, really\n",
            "line 2: expected one field.* double quotes around a text that",
        ),
        (
            "My table\na,b\n",
            "line 2: expected one field.* begin with a line that names all columns",
        ),
        ("a,b\n", "a header but no rows"),
        (" \n\n", "is empty"),
        ("<!DOCTYPE html>\n<html>", "is an HTML page"),
        ("<?xml version='1.0'?>\n", "is an XML file"),
        ('[{"date": "2020-01-01", "value": 1}]', "is JSON.*read_json"),
        ('{"date": "2020-01-01", "value": 1}\n{"date": "2020-01-02"}\n', "is JSON.*read_ndjson"),
        ('[\n  {"date": "2020-01-01"}\n]', "is JSON"),
    ],
)
def test_what_is_broken_is_named_with_its_line(content, words):
    with pytest.raises(DataError, match=words) as caught:
        parse_separated(content, "t.csv")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["1949,0,5", "1950,1,5"], "a number with a decimal or thousands comma, or put a comma be"),
        (["1949,1,100", "1951,2,200"], "a number with a decimal or thousands comma"),
        (["0,so good, really", "1,so bad, really"], "quotes around a field that holds a comma, or"),
        (["1,2,5", "2,3,5", "3,4,5"], "a number with a decimal or thousands comma"),
    ],
)
def test_a_comma_too_many_in_every_row_makes_no_row_names(rows, words):
    """Which would move all cells one column on, in silence."""
    content = "\n".join(["a,b", *rows])
    with pytest.raises(DataError, match=f"line 2: expected 2 fields.* got 3; .*{words}"):
        parse_separated(content, "t.csv")
    assert rows_of(f",{content}")[0] == ["Unnamed: 0", "a", "b"]  # the advice
    for separator in (";", "|"):
        with pytest.raises(DataError, match="expected 2 fields"):
            parse_separated(content.replace(",", separator), "t.csv")


@pytest.mark.parametrize(
    "content",
    ['"a","b"\n"1","x","y"\n"7","u","v"\n', "a\tb\n1\tx\ty\n7\tu\tv\n", '"a"\n"1",5\n"2",6\n'],
)
def test_row_names_of_r_are_noted(content):
    found = parse_separated(content, "t.csv")
    assert found.frame.columns[:2] == ["Unnamed: 0", "a"]
    assert "the first is taken for the name of the row" in found.notes[0]


def test_following_the_advice_on_quotes_helps():
    with pytest.raises(DataError, match="part of a text twice, and one more before and after"):
        parse_separated('a,b\n"6 inch,x\n', "t.csv")
    assert rows_of('a,b\n"""6 inch",x\n')[1] == ['"6 inch', "x"]


def test_lines_are_those_of_the_file():
    found = parse_separated('a,b\n"x\ny",1\n\n,\nz,2\r\nu,3', "t.csv")
    assert list(found.lines) == [2, 6, 7]
    assert found.notes == ["rows without content left out: 1"]


def test_rows_that_quotes_may_have_swallowed_are_noted():
    found = parse_separated('a,b\n"x\ny, 2\nz",3\nu,4\n', "t.csv")
    assert found.frame.height == 2
    assert found.notes == []  # a line with one field is no row of its own
    found = parse_separated('a,b\nx,"1\ny,2\nz,3"\nu,4\n', "t.csv")
    assert found.notes[0].startswith("lines 2 to 4 are one row")


def test_first_rows_are_read_as_far_as_they_can_be():
    assert first_rows('sep=;\na;b\n\n1;2;3\n"x', ",", 9) == [["a", "b"], ["1", "2", "3"]]
    assert first_rows("a,b\n1,2\n3,4\n", ",", 2) == [["a", "b"], ["1", "2"]]
    assert first_rows("", ",", 2) == []


def test_names_that_stand_twice():
    found = parse_separated("a,a,b,a,,\n1,2,3,4,5,6\n", "t.csv")
    assert found.frame.columns == ["a", "a.1", "b", "a.2", "Unnamed: 4", "Unnamed: 5"]
    assert found.repeated == {"a"}
    assert parse_separated("a,a.1,a\n1,2,3\n", "t.csv").frame.columns == ["a", "a.1", "a.2"]


def test_no_header():
    assert rows_of("1,x\n2,y\n", header=False) == [["1", "2"], ["1", "x"], ["2", "y"]]


def test_fields_of_any_length_leave_the_limit_of_the_process_alone():
    before = csv.field_size_limit(1000)
    try:
        long = "z" * 200_000
        assert rows_of(f'a,b\n{long},1\n"{long}",2\n')[1:] == [[long, "1"], [long, "2"]]
        with pytest.raises(DataError):
            parse_separated("a,b\n1\n", "t.csv")
        assert csv.field_size_limit() == 1000
    finally:
        csv.field_size_limit(before)

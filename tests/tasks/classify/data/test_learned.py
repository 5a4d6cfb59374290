"""Data whose name tells no format is read as the run's data was, if it looks like that."""

import pytest

from elman.tasks.classify.data.dataset import Catalogue
from elman.tasks.classify.data.learned import Learned
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.classify.targets.one_label import OneLabel

LABELS = ("pos", "neg")
BARE = ClassifySettings(header=False, label_column="1", text_column="2")
OBJECT = '{"body": "so good"}\n'
LINES = "so good\nso bad, really\n"


def of(format, content, settings=None, **changes):
    learned = Learned(format, **{"columns": ("body",), "labels": LABELS, **changes})
    return learned.format_of(content, settings or ClassifySettings())


@pytest.mark.parametrize(
    ("format", "content", "settings", "found"),
    [
        ("csv", "id,body\n1,so good\n", None, "csv"),
        ("csv", "body\nso good\n", None, "csv"),
        ("csv", "sep=;\nid;body\n1;so good\n", None, "csv"),
        ("csv", 'body,id\n"so\ngood",1\n2,3,4\n', None, "csv"),  # reading will name line 4
        ("tsv", "body\tid\nso good\t1\n", None, "tsv"),
        ("parquet", "id,body\n1,so good\n", None, "csv"),
        ("jsonl", "\n" + OBJECT, None, "jsonl"),
        ("csv", OBJECT, None, "jsonl"),
        ("tsv", "pos\tso good\nneg\tso bad\n", BARE, "tsv"),
        ("csv", "neg,so good\npos,so bad\nother,so so\n", BARE, "csv"),
        ("ts", "@data\n1,2\n", None, "ts"),
    ],
)
def test_what_looks_like_the_data_of_the_run_is_read_alike(format, content, settings, found):
    assert of(format, content, settings)[0] == found


@pytest.mark.parametrize(
    ("format", "content", "settings", "option"),
    [
        ("csv", LINES, None, "csv"),
        ("csv", "body language\nid,text\n", None, "csv"),
        ("csv", "", None, "csv"),
        ("tsv", LINES, BARE, "tsv"),
        ("csv", "so good, really\nso bad, really\n", BARE, "csv"),
        ("csv", "pos\nneg\n", BARE, "csv"),
        ("jsonl", LINES, None, "jsonl"),
        ("jsonl", '{"other": 1}\n', None, "jsonl"),
        ("jsonl", "7\n", None, "jsonl"),
        ("jsonl", "[" * 100_000, None, "jsonl"),
        ("parquet", LINES, None, "csv"),
    ],
)
def test_lines_that_may_be_rows_are_noted(format, content, settings, option):
    found, (note,) = of(format, content, settings)
    assert found == "lines"
    assert note.startswith("each line is taken as one text, though the run learned from ")
    assert note.endswith(f"give --data-format {option} to read rows")


def test_a_run_of_lines_reads_lines():
    for format in ("folder", ""):
        assert of(format, "id,body\n1,so good\n") == ("lines", [])


def test_an_option_on_columns_asks_for_a_table():
    for format, found in (("folder", "csv"), ("tsv", "tsv"), ("jsonl", "csv")):
        kind, notes = of(format, "a,b\nso good,c\n", rows=True)
        assert (kind, notes) == (found, ["read as a table, as options tell of columns"])


@pytest.mark.parametrize(
    ("data", "settings", "channels", "format", "columns"),
    [
        ({"format": "csv", "text_columns": ["a,b", "c"]}, {}, 0, "csv", ("a,b", "c")),
        ({"format": "", "text_columns": []}, {"data_format": "tsv"}, 0, "", ()),
        ({"sources": ["a/b.JSONL"]}, {"text_column": "t,u"}, 0, "jsonl", ("t", "u")),
        ({"sources": ["b.csv"]}, {"data_format": "tsv"}, 0, "tsv", ()),
        ({"sources": ["-"]}, {}, 0, "", ()),
        ({"sources": ["a"]}, {}, 2, "ts", ()),
        ({"sources": 3, "format": 4, "text_columns": None}, {}, 0, "", ()),
        ({"sources": [5]}, {}, 0, "", ()),
    ],
)
def test_what_a_run_tells_of_its_data(data, settings, channels, format, columns):
    catalogue = Catalogue(OneLabel(LABELS, (1, 1)), channels=channels)
    found = Learned.of(data, ClassifySettings(**settings), catalogue)
    assert found == Learned(format, columns, LABELS)


def test_all_columns_of_texts_must_be_there():
    for content, found in (("b,id,a\nx,1,y\n", "csv"), ("b,id\nx,1\n", "lines")):
        assert of("csv", content, columns=("a", "b"))[0] == found
    for content, found in (('{"a": "x", "b": "y"}\n', "jsonl"), ('{"a": "x"}\n', "lines")):
        assert of("jsonl", content, columns=("a", "b"))[0] == found

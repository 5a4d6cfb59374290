"""Labelled lines: where labels stand, and what is no labelled line."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import DataError
from elman.tasks.classify.data.learned import Learned
from elman.tasks.classify.data.lines import is_fasttext, labels_stand, parse_lines
from elman.tasks.classify.data.sources import read_source
from elman.tasks.classify.settings import ClassifySettings

WORD = st.text("abcdé", min_size=1, max_size=6)
TEXT = st.lists(WORD, min_size=1, max_size=5).map(" ".join)
LABELS = ("Pos", "Neg", "so-so")


def pairs(examples):
    return list(zip(examples.labels, examples.items, strict=True))


def lines(form, count=40, labels=LABELS):
    rng = random.Random(0)
    texts = [" ".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(count)]
    return "".join(form.format(labels[i % len(labels)], text) for i, text in enumerate(texts))


@given(st.lists(st.tuples(st.sampled_from(LABELS), TEXT), min_size=1))
def test_fasttext(found):
    before = "".join(f"__label__{label} {text}\n" for label, text in found)
    behind = "".join(f"{text}\t__label__{label} \r\n" for label, text in found)
    for content in (before, behind):
        assert is_fasttext(content)
        assert pairs(parse_lines(content, "a", "fasttext")) == found


@given(st.lists(st.tuples(st.sampled_from(LABELS), TEXT), min_size=1))
def test_labels_before_and_behind(found):
    for separator in (" ", "\t"):
        content = "".join(f"{label}{separator}{text}\n" for label, text in found)
        assert pairs(parse_lines(content, "a", "label-text")) == found
    content = "".join(f"{text}\t{label}\n" for label, text in found)
    assert pairs(parse_lines(content, "a", "text-label")) == found


def test_blank_lines_keep_their_places():
    found = parse_lines("__label__a x\n\n__label__b\n", "a", "fasttext")
    assert pairs(found) == [("a", "x"), ("", ""), ("b", "")]
    assert found.rows == [1, 2, 3]
    assert pairs(parse_lines("a\tx y\n\nb z\tw\n", "a", "label-text"))[2] == ("b z", "w")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("__label__a x\ny\n", "line 2: expected __label__LABEL before the text, got 'y'"),
        ("__label__a x\n__label__ y\n", "line 2: __label__ must be followed by a label"),
        (
            "".join(f"__label__{n % 2},text{n} y\n" for n in range(9)),
            "line 1: expected a space between label and text, got '__label__0,text0'",
        ),
    ],
)
def test_bad_lines_of_fasttext(content, words):
    with pytest.raises(DataError, match=words) as caught:
        parse_lines(content, "a", "fasttext")
    assert "\n" not in str(caught.value)


def test_a_label_twice_in_a_line_is_one():
    found = parse_lines("__label__a x __label__a\n", "a", "fasttext")
    assert found.labels == ["a"]


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (lines("{}\t{}\n"), "label-text"),
        (lines("{} {}\n"), "label-text"),
        (lines("{1}\t{0}\n"), "text-label"),
        (lines("{0}:x {1}\n"), "label-text"),
        (lines("{}\t{}\n", 4, ("a", "b")), "label-text"),
        (lines("{1}\n"), None),  # few words begin them, but they are words of the texts
        (lines("{}\n"), None),
        (lines("{0}\t{0}\n"), None),
        (lines("{}\t{}\n", labels=("a",)), None),
        (lines("{}\t{}\n", labels=tuple(map(str, range(40)))), None),
        (lines("{}\t{}\tx\n"), None),
        ("", None),
    ],
)
def test_where_labels_stand(content, where):
    if where is None and content == lines("{}\t{}\tx\n"):
        where = "label-text"  # by the space that a tab is, too
    assert labels_stand(content) == where


def test_known_labels_tell_it_of_a_few_lines():
    assert labels_stand("Pos a b\nNeg c\n", LABELS) == "label-text"
    assert labels_stand("a b\tPos\nc\tNeg\n", LABELS) == "text-label"
    assert labels_stand("a b\nc d\n", LABELS) is None


@pytest.mark.parametrize(
    ("name", "content", "kind", "note"),
    [
        ("train.ft.txt", "__label__a x\n__label__b y\n", "fasttext", "read as fastText's lines"),
        (
            "SMSSpamCollection",
            lines("{}\t{}\n"),
            "label-text",
            "as label, a tab, text; labels: N",
        ),
        ("a.label", lines("{} {}\n"), "label-text", "as label, a space, text"),
        ("a.txt", lines("{1}\t{0}\n"), "text-label", "as text, a tab, label"),
        ("a.txt", "text,label\na,x\nb,y\n", "csv", "as a table, by the first line"),
        ("a.txt", "label;id;text\nx;1;a\ny;2;b\n", "csv", "as a table, by the first line"),
        ("a.txt", '{"text": "a", "label": "x"}\n', "jsonl", "as JSON lines, by the first line"),
        ("a.txt", "@data\n1,2:a\n3,4:b\n", "ts", "as a .ts file, by the first line"),
    ],
)
def test_files_whose_name_tells_no_format(tmp_path, name, content, kind, note):
    path = tmp_path / name
    path.write_text(content)
    found = read_source(str(path), ClassifySettings())
    assert found.format == kind
    assert note in found.notes[0]
    assert found.files == [str(path)] * len(found)


def test_a_file_without_any_known_label_is_read_as_the_run_learned(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("Egg a b\nHam c\n")
    learned = Learned("label-text", labels=LABELS)
    assert read_source(str(path), ClassifySettings(), learned=learned).labels == ["Egg", "Ham"]
    found = read_source(str(path), ClassifySettings(), labelled=False, learned=learned)
    assert found.items == ["Egg a b", "Ham c"]
    path.write_text("Pos a b\nNeg c\n")
    found = read_source(str(path), ClassifySettings(), labelled=False, learned=learned)
    assert found.items == ["a b", "c"]


def test_what_is_not_clear_is_refused(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(lines("{1}\n"))
    with pytest.raises(DataError, match="nor where its labels are; say --data-format csv"):
        read_source(str(path), ClassifySettings())
    found = read_source(str(path), ClassifySettings(data_format="label-text"))
    assert set(map(len, found.labels)) == {1}
    path.write_text("a,x\nb,y\n")
    found = read_source(str(path), ClassifySettings(header=False, label_column="2"))
    assert found.labels == ["x", "y"]


def test_lines_of_several_labels_are_lists():
    content = "__label__a x\n\n__label__b __label__c y __label__b\nz __label__d, e __label__a\n"
    found = parse_lines(content, "a", "fasttext")
    assert found.labels == ['["a"]', "", '["b", "c"]', '["d,", "a"]']
    assert found.items == ["x", "", "y", "z e"]

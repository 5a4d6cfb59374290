"""What kind of answers the data holds."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import ArgumentError, DataError
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.classify.targets.choice import choose


def place(row):
    return f"a.csv, row {row + 1}"


def chosen(labels, declared="", **settings):
    kind, notes = choose(ClassifySettings(**settings), declared, labels, place)
    return kind.name, notes


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["x", '["a", "b"]', '["a"]', "['b']"], "lists, as in a.csv, row 2: "),
        (["a", "a|b", "b|c", "c"], "the pieces of 'a|b' in a.csv, row 2 come again as labels"),
        (["a|b", "a|c", "b|c"], "the pieces of 'a|b' in a.csv, row 1"),
        (["joy", "joy, love", "love, fear", "fear"], "the pieces of 'joy, love' in a.csv, row 2"),
        (["a;b", "b; c", "c", "a"], "the pieces of 'a;b' in a.csv, row 1"),
    ],
)
def test_several_labels(labels, words):
    name, (note,) = chosen(labels)
    assert name == "labels"
    assert words in note
    assert "--target label" in note


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([str(n * 7) for n in range(300)], "300 different numbers (0, 7, 14, ...) for 300"),
        ([f"{n % 40}.5" for n in range(800)], "40 different numbers (0.5, 1.5, 2.5, ...)"),
        ([f"{n / 8}" for n in range(20)], "20 different numbers (0.0, 0.125, 0.25, ...)"),
        ([str(n * 3 % 156) for n in range(104)], "52 different numbers"),
    ],
)
def test_numbers(labels, words):
    name, (note,) = chosen(labels)
    assert name == "number"
    assert words in note


@pytest.mark.parametrize(
    "labels",
    [
        ["Washington, DC", "Portland, OR", "Salem, OR"],
        ["Congo, Republic of", "Congo, Democratic Republic of", "Chad"],
        ["red, big", "red, small", "blue, big", "blue, small"],  # one label of two words each
        ["a|b", "c"],
        ["[INFO]", "[WARN]"],
        ["(a, b)", "x", "y"],
        ["1", "2", "3", "4.5"] * 5,
        [f"{n % 10 / 2}" for n in range(100)],  # half stars
        [str(n) for n in range(20)],
        [f"id {n % 25}" for n in range(50)],
    ],
)
def test_one_label(labels):
    assert chosen(labels) == ("label", [])


def test_many_whole_numbers_with_many_examples_are_labels_and_noted():
    for labels in ([str(n % 150) for n in range(1500)],
                   [str(n % 52 + 1) for n in range(104)]):  # UCR's PigAirwayPressure  # fmt: skip
        name, (note,) = chosen(labels)
        assert name == "label"
        assert "each is learnt as a label of its own; if they are measured, give --target" in note


def test_labels_that_name_no_classes():
    with pytest.raises(DataError, match="50 examples have 50 different labels"):
        chosen([f"id {n}" for n in range(50)])


def test_what_was_said_goes_before_what_is_seen():
    numbers = [f"{n / 7}" for n in range(100)]
    assert chosen(numbers, declared="label") == ("label", [])
    assert chosen(["x", "y"], target="number") == ("number", [])
    assert chosen(numbers, declared="number", target="label") == ("label", [])
    assert chosen(["lo", "hi"], order="lo,hi") == ("ordered", [])
    with pytest.raises(ArgumentError, match="--order is for --target ordered, got --target label"):
        chosen(["lo", "hi"], order="lo,hi", target="label")


@given(st.lists(st.text("ab|,;[]'1.\n ", max_size=5)))
def test_any_labels_are_looked_at_without_a_fault(labels):
    with suppress(DataError):
        kind, _ = choose(ClassifySettings(), "", labels, place)
        answers, _ = kind.read(labels, place, ClassifySettings())
        assert kind.read(answers, place, ClassifySettings())[0] == answers

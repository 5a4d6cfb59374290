"""Labels that are no names of classes."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import DataError
from elman.tasks.classify.data.labels import check_labels


def check(labels):
    return check_labels(labels, lambda row: f"a.csv, row {row + 1}")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["x", '["a", "b"]', '["a"]', "['b']"], r"row 2: expected one label, got a list of seve"),
        (["['a', 'b']", "['a']"], "row 1: expected one label, got a list of several, .'a', 'b'"),
        (["a", "a|b", "b|c", "c"], r"row 2: the label 'a\|b' looks like several labels"),
        (["a|b", "a|c", "b|c"], r"row 1: the label 'a\|b' looks like several.*\(3 labels do\)"),
        (["joy", "joy, love", "love, fear", "fear"], "row 2: the label 'joy, love' looks like"),
        (["a;b", "b; c", "c", "a"], "row 1: the label 'a;b' .*write the ; in another way"),
        ([str(n * 7) for n in range(300)], "300 different numbers .0, 7, 14, .*like a regression"),
        ([f"{n % 40}.5" for n in range(800)], r"40 different numbers \(0.5, 1.5, 2.5, \.\.\.\)"),
        ([f"id {n}" for n in range(50)], "50 examples have 50 different labels"),
    ],
)
def test_labels_that_name_no_classes(labels, words):
    with pytest.raises(DataError, match=words) as caught:
        check(labels)
    assert "\n" not in str(caught.value)


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
        [str(n) for n in range(20)],
        [f"id {n % 25}" for n in range(50)],
    ],
)
def test_labels_that_may_be_classes(labels):
    assert check(labels) == []


def test_many_whole_numbers_with_many_examples_are_noted():
    (note,) = check([str(n % 150) for n in range(1500)])
    assert note.startswith("the labels are 150 different numbers (0, 1, 2, ...): each is learnt as")
    (note,) = check([str(n % 52 + 1) for n in range(104)])  # as in UCR's PigAirwayPressure
    with pytest.raises(DataError, match="like a regression"):
        check([str(n * 3 % 156) for n in range(104)])


@given(st.lists(st.text("ab|,;[]'1.\n ", max_size=5)))
def test_any_labels_are_checked_without_a_fault(labels):
    with suppress(DataError):
        assert isinstance(check(labels), list)

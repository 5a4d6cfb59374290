"""Labels that look the same are told to the user."""

import pytest

from elman.tasks.classify.targets.twins import twins


@pytest.mark.parametrize(
    "labels",
    [
        ["pos", "Pos"], ["pos", "pos\u200b"], ["pos", "\ufeffpos"], ["pos", "ｐｏｓ"],
        ["a b", "a\u00a0b"], ["a b", "a  b"], ["ß", "SS"], ["1", "1.0"], ["1", "1."],
        ["0.5", "0.50"], ["7", "007"], ["1", "＋１"], ["-2", "-2.0"], ["❤", "❤\ufe0f"],
    ],
)  # fmt: skip
def test_what_looks_the_same_is_noted(labels):
    (note,) = twins([*labels, "other", *labels])
    assert note.endswith(": " + ", ".join(map(repr, sorted(labels))))


@pytest.mark.parametrize(
    "labels",
    [
        ["a", "b"], ["1", "-1"], ["1", "10"], ["0.1", "0.01"], ["e", "é"], ["1.0", "1.0.0"],
        ["x", ""], ["1" * 5000, "2" * 5000], ["C", "C+", "C++", "C#"],
    ],
)  # fmt: skip
def test_what_looks_different_is_not(labels):
    assert twins(labels) == []


def test_an_unseen_character_is_shown():
    assert r"'pos\u200b'" in twins(["pos", "pos\u200b"])[0]

"""What texts are read as."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import RunError
from elman.tasks.classify.data.tokens import (
    Bytes,
    Characters,
    Words,
    cut,
    from_json,
    learned,
    note_of_cut,
)
from elman.tasks.classify.data.words import COLUMNS
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.shared.characters import code_points

SENTENCES = ["the cat sat here", "the cat ran off", "a dog"]


@pytest.mark.parametrize(
    ("texts", "level"), [(SENTENCES, "word"), (["Anna", "Bo"], "char"), (["我们去北京吧"], "char")]
)
def test_the_default_goes_by_the_median_of_words(texts, level):
    found, notes = learned(texts, ClassifySettings())
    assert found.level == level
    assert bool(notes) == (level == "word")


def test_words_with_a_vector_stand_twice_in_training():
    found, _ = learned(SENTENCES, ClassifySettings(level="word"))
    assert found.words == ("the", "cat")
    numbers = found.encode(code_points("Cat THE dog"))
    assert numbers.shape == (3, COLUMNS)
    assert numbers[:, 0].tolist() == [2, 1, 0]
    assert (numbers[:, 1:4] > 0).all()


def test_characters_are_those_that_are_read():
    found, _ = learned(["abXXcd", "é"], ClassifySettings(level="char", max_length=4))
    assert found.points == (97, 98, 99, 100, 233)
    assert found.encode(code_points("abzzzzdc")).tolist() == [1, 2, 4, 3]


def test_bytes_are_those_of_utf_8():
    assert Bytes(9).encode(code_points("é\ud800")).tolist() == [0xC4, 0xAA, 0xEE, 0xA1, 0x81]


@pytest.mark.parametrize("tokens", [Bytes(9), Characters(9, (97,)), Words(9, ("a", "b"))])
@given(text=st.text(min_size=1))
def test_no_text_is_empty_and_all_numbers_are_there(tokens, text):
    numbers = tokens.encode(code_points(text))
    first = numbers.reshape(len(numbers), -1)[:, 0]
    assert len(numbers)
    assert first.min() >= 0
    assert first.max() < tokens.size


@given(st.text(), st.integers(1, 9))
def test_a_long_text_keeps_its_ends(text, longest):
    found = cut(code_points(text), longest).astype("<i4").tobytes().decode("utf-32-le")
    assert len(found) == min(longest, len(text))
    if len(text) > longest:
        half = longest // 2
        assert found == text[: longest - half] + text[len(text) - half :]


def test_cut_texts_are_counted():
    assert note_of_cut([3, 4], 4) == []
    [note] = note_of_cut([3, 1_000_000, 7], 4)
    assert "2 of 3, the longest 1,000,000" in note


@pytest.mark.parametrize("tokens", [Bytes(9), Characters(9, (97, 98)), Words(9, ("a", "b"))])
def test_tokens_survive_json(tokens):
    assert from_json(tokens.to_json()) == tokens


@pytest.mark.parametrize(
    "change",
    [{"level": "x"}, {"longest": 0}, {"longest": True}, {"words": ["a", "a"]}, {"words": [1]}],
)
def test_no_tokens_are_believed(change):
    with pytest.raises(RunError, match=r"vocabulary\.json must hold tokens"):
        from_json({**Words(9, ("a",)).to_json(), **change})
    with pytest.raises(RunError):
        from_json({"level": "char", "longest": 9, "characters": [np.pi]})


def test_pieces_of_a_text_are_its_words():
    points = code_points("the cat, 東京")
    assert Words(9, ()).bounds(points).tolist() == [0, 4, 7, 9, 10, 11]
    assert Bytes(9).bounds(points).tolist() == list(range(12))

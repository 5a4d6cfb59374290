"""Words of any script."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.tasks.classify.data.words import BUCKETS, COLUMNS, plain, word_features, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's 5.00, state-of-the-art!!!", ["It's", "5.00", ",", "state-of-the-art", "!!!"]),
        ("see https://a.b/c?d=1 now", ["see", "https://a.b/c?d=1", "now"]),
        ("@home #new a.", ["@home", "#new", "a", "."]),
        ("東京 ok", ["東", "京", "ok"]),
        ("ไป", ["ไ", "ป"]),
        ("राजस्थान में", ["राजस्थान", "में"]),
        ("😀😀😁", ["😀😀", "😁"]),
        (" \n", []),
    ],
)
def test_words(text, words):
    assert words_of(text) == words


@given(st.text())
def test_words_lose_nothing_but_blanks_and_marks_that_stand_alone(text):
    joined = "".join(words_of(text))
    kept = [c for c in text if c.isalnum() or c == "_"]
    assert [c for c in joined if c.isalnum() or c == "_"] == kept
    assert not any(c.isspace() for c in joined)


def test_the_plain_form_has_no_case_and_no_digits():
    assert plain("Straße07") == plain("STRASSE93") == "strasse00"


@given(st.text(min_size=1, max_size=60))
def test_features_are_buckets_that_never_change(word):
    found = word_features(word)
    assert found.shape == (COLUMNS - 1,)
    assert found.dtype == np.int32
    assert found.min() >= 0
    assert found.max() < BUCKETS
    assert found[0] > 0


def test_words_that_are_alike_share_n_grams():
    one, other, far = (set(word_features(w)[1:]) - {0} for w in ("greatly", "Great", "xyz"))
    assert len(one & other) >= 5
    assert not one & far
    assert word_features("great")[0] != word_features("Great")[0]
    assert word_features("great")[:4].tolist() == [7606, 13734, 11816, 16154]

"""Missing characters, against the probability of every filling."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import ArgumentError
from elman.tasks.language import TrainedLanguage, Vocabulary
from elman.tasks.language.use import infill as module
from tests.tasks.language.models import VOCABULARY, model_of

TRAINED = TrainedLanguage(model_of("lstm"), VOCABULARY)


def by_hand(text):
    """Every filling with the log-probability of the whole text, the likeliest first."""
    gaps = text.count("_")
    found = []
    for letters in itertools.product("\nabcde", repeat=gaps):
        whole = text.replace("_", "{}").format(*letters)
        found.append((-TRAINED.score(whole).double().sum().item(), whole))
    return sorted(found, reverse=True)


@settings(max_examples=25, deadline=None)
@given(st.text("abc_", min_size=1, max_size=7), st.integers(1, 5))
def test_a_wide_beam_finds_every_filling_in_order(text, ahead):
    text = text + "_" if "_" not in text else text
    text = text[:1] + text[1:].replace("_", "a", max(0, text[1:].count("_") - 2))
    expected = by_hand(text)
    before, module._AHEAD = module._AHEAD, ahead
    try:
        found = TRAINED.infill(text, beam=len(expected))
    finally:
        module._AHEAD = before
    assert sum(one.probability for one in found) == pytest.approx(1)
    scores = {whole: log_probability for log_probability, whole in expected}
    assert {one.text for one in found} == scores.keys()
    for one, (log_probability, _) in zip(found, expected, strict=True):
        assert one.log_probability == pytest.approx(log_probability, abs=1e-4)
        assert one.log_probability == pytest.approx(scores[one.text], abs=1e-4)


def test_what_follows_decides():
    """The guess from the left alone is another one for some text, and the right one wins."""
    differ = 0
    for left, right in itertools.product(["a", "bc", "de"], ["aaab", "ecec", "dbdb"]):
        (best, *_) = TRAINED.infill(f"{left}_{right}")
        assert best.text == by_hand(f"{left}_{right}")[0][1]
        assert best.missing == best.text[len(left)]
        differ += best.missing != TRAINED.infill(f"{left}_")[0].missing
    assert differ


def test_a_narrow_beam_keeps_as_many_as_it_may():
    found = TRAINED.infill("a_b__c", beam=3)
    assert len(found) == 3
    assert found[0].text.startswith("a")
    assert len(TRAINED.infill("a?", "?", beam=1)) == 1


def test_what_cannot_be_filled_is_refused():
    for text, gap in (("abc", "_"), ("a_", "__"), ("a_", "")):
        with pytest.raises(ArgumentError, match="gap"):
            TRAINED.infill(text, gap)
    with pytest.raises(ArgumentError, match="never seen"):
        TRAINED.infill("§_")
    with pytest.raises(ArgumentError, match="beam"):
        TRAINED.infill("a_", beam=0)
    with pytest.raises(ArgumentError, match="model of characters"):
        TrainedLanguage(model_of("rnn"), Vocabulary("byte")).infill("a_")

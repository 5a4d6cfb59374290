"""Writing text: whole characters, allowed ones, and the likeliest ones."""

import itertools
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elman.cells import CELLS
from elman.errors import ArgumentError
from elman.tasks.language import LanguageSettings, Sampling, TrainedLanguage, Vocabulary
from elman.tasks.language.model import build_model
from elman.tasks.language.use import beam
from elman.tasks.language.use.allowed import Allowed
from elman.tasks.language.use.beam import BeamSettings
from elman.tasks.setup import Setup
from tests.tasks.language.models import VOCABULARY, model_of

TRAINED = TrainedLanguage(model_of("gru"), VOCABULARY)


def of_bytes():
    chosen = LanguageSettings(cell="rnn", hidden_size=4, level="byte")
    return TrainedLanguage(build_model(256, chosen, Setup(CELLS["rnn"])), Vocabulary("byte"))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 9999), length=st.integers(0, 12), temperature=st.floats(0, 3))
def test_bytes_always_make_whole_characters(seed, length, temperature):
    text = of_bytes().generate("é", length, seed=seed, temperature=temperature)
    assert "\ufffd" not in text  # which a model so small as this one never writes by itself
    assert length <= len(text.encode("utf-8")) <= length + 3


@given(st.binary(max_size=4))
@example(b"\xed\xb2")  # of a surrogate, which Python's decoder takes until the third byte
@example(b"a\xf4\x90")
@example(b"\xe0\x80")
def test_what_may_be_pending_is_what_can_become_a_character(content):
    """Against a search for a way to finish it."""
    rest = Allowed(Vocabulary("byte"))._rest(content)
    middle = [bytes([0x80]), bytes([0x90]), bytes([0xA0]), bytes([0xBF])]
    tails = (b"".join(parts) for n in range(4) for parts in itertools.product(middle, repeat=n))
    can_be_finished = any(_is_text(content + tail) for tail in tails)
    if rest is None:
        assert not content or not can_be_finished
    else:
        assert can_be_finished
        assert _is_text(content[: len(content) - len(rest)])


def _is_text(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("allow", ["a-c", "^ab\n", r"\n", "éà", "😀ß", r"\d\-"])
def test_only_allowed_characters_are_written(allow):
    for trained in (TRAINED, of_bytes()):
        one = re.compile(f"[{allow}]")
        if trained is TRAINED and not any(map(one.match, "\nabcde")):
            with pytest.raises(ArgumentError, match="no character that the model can write"):
                trained.generate("", 5, allow=allow)
            continue
        for text in (
            trained.generate("ab", 40, seed=1, allow=allow, temperature=2),
            trained.beam_search("ab", 9, beam=3, allow=allow)[0].text,
        ):
            assert len(text) >= 3
            assert all(map(one.fullmatch, text))


@pytest.mark.parametrize("allow", ["", "z-a", "[", "\\"])
def test_what_is_no_class_is_refused(allow):
    with pytest.raises(ArgumentError, match="--allow"):
        TRAINED.generate("", 5, allow=allow)


def test_writing_in_turns_equals_writing_at_once():
    whole, turns = TRAINED.writer(seed=3), TRAINED.writer(seed=3)
    whole.read("abca")
    turns.read("ab")
    turns.read("ca")
    once = "".join(whole.write(12, Sampling()))
    assert "".join(turns.write(5, Sampling())) + "".join(turns.write(7, Sampling())) == once
    assert once == TRAINED.generate("abca", 12, seed=3)
    assert turns.written == 12
    assert turns.log_probability == pytest.approx(whole.log_probability)
    expected = TRAINED.score("abca" + once), TRAINED.score("abca")
    read_on = TrainedLanguage(TRAINED.model, VOCABULARY).writer(0)  # judged after a line break
    read_on.read("\nabca")
    text = "".join(read_on.write(12, Sampling()))
    expected = TRAINED.score("abca" + text).sum() - TRAINED.score("abca").sum()
    assert read_on.log_probability == pytest.approx(-expected.item(), rel=1e-4)


def test_reset_forgets_everything():
    writer, fresh = TRAINED.writer(seed=3), TRAINED.writer(seed=3)
    writer.read("abcabc")
    writer.reset()
    assert "".join(writer.write(9, Sampling())) == "".join(fresh.write(9, Sampling()))


def all_continuations(prompt, length):
    """Every text of `length` characters with its log-probability, the likeliest first."""
    found = []
    before = TRAINED.score(prompt).sum().item()
    for letters in itertools.product("\nabcde", repeat=length):
        text = "".join(letters)
        found.append((before - TRAINED.score(prompt + text).sum().item(), text))
    return sorted(found, reverse=True)


def test_a_wide_beam_finds_the_likeliest_texts():
    expected = all_continuations("\nab", 3)
    # `score` judges the first character after a line break; so does this prompt.
    found = TRAINED.beam_search("\n\nab", 3, beam=216)
    assert {one.text for one in found} == {text for _, text in expected}
    for one, (log_probability, _) in zip(found, expected, strict=True):
        assert one.log_probability == pytest.approx(log_probability, abs=1e-4)
        assert one.tokens == 3
    assert TRAINED.beam_search("ab", 0)[0].text == ""


def test_a_beam_of_one_takes_the_likeliest_each_time():
    (found,) = TRAINED.beam_search("ab", 12, beam=1)
    assert found.text == TRAINED.generate("ab", 12, temperature=0)


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
def test_texts_that_stop_compete_by_their_length(penalty):
    """Against all texts up to a length, those with the stop text cut where it begins."""
    ended = {}
    for length in range(1, 5):
        for log_probability, text in all_continuations("\nab", length):
            stopped = text.find("c")
            if stopped == length - 1 or (stopped < 0 and length == 4):
                ended[text] = BeamSettings(length_penalty=penalty).score(log_probability, length)
    found = TRAINED.beam_search("\n\nab", 4, beam=2000, stop="c", length_penalty=penalty)
    assert sorted(one.text for one in found) == sorted(text.removesuffix("c") for text in ended)
    scored = BeamSettings(length_penalty=penalty).score
    scores = [scored(one.log_probability, one.tokens) for one in found]
    assert scores == sorted(scores, reverse=True)
    assert scores == pytest.approx(sorted(ended.values(), reverse=True), abs=1e-4)


@pytest.mark.parametrize("penalty", [0.0, 0.5, 1.0, 3.0])
def test_a_search_that_ends_early_finds_the_same(monkeypatch, penalty):
    found = TRAINED.beam_search("a", 14, beam=3, stop="b", length_penalty=penalty)
    monkeypatch.setattr(beam._Ended, "can_change", lambda self, live, length: bool(live))
    assert found == TRAINED.beam_search("a", 14, beam=3, stop="b", length_penalty=penalty)
    assert len(found) == 3


def test_what_no_beam_can_be_is_refused():
    with pytest.raises(ArgumentError, match="beam"):
        TRAINED.beam_search("a", 3, beam=0)
    with pytest.raises(ArgumentError, match="length_penalty"):
        TRAINED.beam_search("a", 3, length_penalty=-1)
    with pytest.raises(ArgumentError, match="length"):
        TRAINED.beam_search("a", -1)

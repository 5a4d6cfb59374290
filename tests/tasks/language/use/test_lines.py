"""Lines scored one by one."""

import math
import tracemalloc
from itertools import islice, repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.cells import CELLS
from elman.errors import ArgumentError
from elman.tasks.language import LanguageSettings, TrainedLanguage, Vocabulary
from elman.tasks.language.data.sources import read_lines
from elman.tasks.language.model import build_model
from elman.tasks.language.use import lines as lines_module
from elman.tasks.setup import Setup
from tests.tasks.language.models import VOCABULARY, model_of

TRAINED = TrainedLanguage(model_of("gru"), VOCABULARY)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text("abcde", max_size=30), max_size=12))
def test_each_line_gets_the_sum_of_its_own_score(lines):
    found = list(TRAINED.score_lines(lines))
    assert [one.line for one in found] == list(range(1, len(lines) + 1))
    assert [one.text for one in found] == lines
    for one in found:
        nats = TRAINED.score(one.text)
        assert one.nats == pytest.approx(nats.sum().item(), rel=1e-5)
        if one.text:
            assert one.nats_per_character == pytest.approx(nats.mean().item(), rel=1e-5)
            assert one.perplexity == pytest.approx(nats.mean().exp().item(), rel=1e-4)
        else:
            assert one.nats_per_character is None
            assert one.perplexity is None


def test_a_line_longer_than_a_pass_carries_its_state(monkeypatch):
    text = "abcde" * 9
    expected = TRAINED.score(text).sum().item()
    monkeypatch.setattr(lines_module, "_CHUNK", 7)
    (found,) = TRAINED.score_lines([text])
    assert found.nats == pytest.approx(expected, rel=1e-5)


def test_unknown_characters_are_impossible_or_left_out_or_an_error():
    (found,) = TRAINED.score_lines(["ab§c"])
    assert (found.characters, found.unknown, found.nats) == (4, 1, math.inf)
    assert found.nats_per_character == found.perplexity == math.inf
    (found,) = TRAINED.score_lines(["ab§c"], unknown="skip")
    assert found.nats_per_character == pytest.approx(TRAINED.score("abc").mean().item(), rel=1e-5)
    (found,) = TRAINED.score_lines(["§"], unknown="skip")
    assert found.nats_per_character is None
    with pytest.raises(ArgumentError, match="never seen"):
        list(TRAINED.score_lines(["ab§c"], unknown="error"))
    with pytest.raises(ArgumentError, match="impossible, skip, error"):
        TRAINED.score_lines([], unknown="no")


def test_bytes_are_scored_per_character():
    model = build_model(256, LanguageSettings(cell="rnn", hidden_size=4), Setup(CELLS["rnn"]))
    trained = TrainedLanguage(model, Vocabulary("byte"))
    (found,) = trained.score_lines(["é\udcffx"])  # a letter of two bytes, a stray byte, a letter
    assert (found.characters, found.unknown) == (3, 0)
    assert found.nats_per_character == pytest.approx(found.nats / 3)
    assert found.nats == pytest.approx(trained.score("é\udcffx").sum().item(), rel=1e-5)


def test_memory_does_not_grow_with_the_number_of_lines():
    def peak(count):
        tracemalloc.start()
        for _ in islice(TRAINED.score_lines(repeat("abcde" * 4)), count):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(600)
    assert peak(6000) < 1.5 * peak(1200)


@pytest.mark.parametrize("level", ["char", "byte"])
def test_lines_of_a_file_whatever_ends_them(tmp_path, monkeypatch, level):
    path = tmp_path / "lines.txt"
    content = "é\n\nb\r\nc\rd d\u2028d\n\nlast".encode()
    expected = ["é", "", "b", "c", "d d\u2028d", "", "last"]
    for size in (1, 2, 3, 100):
        monkeypatch.setattr("elman.tasks.shared.text.CHUNK", size)
        path.write_bytes(content)
        assert list(read_lines(str(path), level)) == expected
        path.write_bytes(content + b"\r\n")
        assert list(read_lines(str(path), level)) == expected


def test_stray_bytes_are_lines_of_a_model_of_bytes(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes("voilà\n".encode("latin-1"))
    assert list(read_lines(str(path), "byte")) == ["voil\udce0"]

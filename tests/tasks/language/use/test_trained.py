"""Scoring and writing text with a model."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from elman.cells import CELLS
from elman.errors import ArgumentError, DataError
from elman.tasks.language import LanguageSettings, Sampling, TrainedLanguage, Vocabulary
from elman.tasks.language.model import build_model
from elman.tasks.language.use import score
from elman.tasks.language.use.generate import until
from elman.tasks.setup import CPU, Setup
from tests.tasks.language.models import VOCABULARY, model_of


def test_scores_equal_a_sum_written_out():
    model, tokens = model_of("lstm"), np.random.default_rng(0).integers(0, 6, 37)
    with torch.no_grad():
        logits, _ = model(torch.from_numpy(tokens[:-1])[:, None], model.initial_state(1))
    expected = F.cross_entropy(logits[:, 0], torch.from_numpy(tokens[1:])).item()
    loss = score.carried(model, tokens, CPU, VOCABULARY)
    assert loss.tokens == 36
    assert loss.nats == pytest.approx(expected, rel=1e-6)
    assert loss.bits == pytest.approx(expected / math.log(2))
    assert loss.perplexity == pytest.approx(math.exp(expected))
    assert score.in_streams(model, tokens, CPU, VOCABULARY, 1).nats == pytest.approx(
        expected, rel=1e-6
    )
    whole = score.in_windows(model, tokens, CPU, VOCABULARY, 36).nats
    assert whole == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("window", [1, 5, 100])
def test_windows_begin_with_a_zero_state_and_leave_nothing_out(window):
    model, tokens = model_of("gru"), np.random.default_rng(0).integers(0, 6, 37)
    total = 0.0
    for start in range(0, 36, window):
        piece = torch.from_numpy(tokens[start : start + window + 1])
        with torch.no_grad():
            logits, _ = model(piece[:-1, None], model.initial_state(1))
        total += F.cross_entropy(logits[:, 0], piece[1:], reduction="sum").item()
    loss = score.in_windows(model, tokens, CPU, VOCABULARY, window)
    assert loss.tokens == 36
    assert loss.nats == pytest.approx(total / 36, rel=1e-6)


def test_bytes_are_measured_per_character_too():
    model = build_model(256, LanguageSettings(cell="rnn", hidden_size=4), Setup(CELLS["rnn"]))
    trained = TrainedLanguage(model, Vocabulary("byte"))
    text = "née à Zürich, 東京"
    found = trained.evaluate("\n" + text)
    assert found.carried.unit == "byte"
    assert found.carried.tokens == found.windows.tokens == len(text.encode())
    assert found.carried.characters == found.windows.characters == len(text)
    total = found.carried.nats * len(text.encode())
    assert found.carried.nats_per_character == pytest.approx(total / len(text))
    assert found.to_json()["carried"]["nats_per_character"] == found.carried.nats_per_character


def test_score_gives_every_character_its_nats():
    trained = TrainedLanguage(model_of("rnn"), VOCABULARY)
    nats = trained.score("abcd")
    assert nats.shape == (4,)
    both = score.carried(trained.model, VOCABULARY.encode("\nabcd"), CPU, VOCABULARY)
    assert nats.mean().item() == pytest.approx(both.nats, rel=1e-6)
    assert trained.score("").shape == (0,)


def test_generation_repeats_with_its_seed_and_reads_the_prompt():
    trained = TrainedLanguage(model_of("lstm"), VOCABULARY)
    assert trained.generate("abc", 30, seed=1) == trained.generate("abc", 30, seed=1)
    assert trained.generate("abc", 30, seed=1) != trained.generate("abc", 30, seed=2)
    assert len(trained.generate("", 30)) == 30
    assert trained.generate("abc", 0) == ""
    greedy = trained.generate("aab", 5, temperature=0)
    text = "aab"
    for _ in range(5):
        tokens = torch.from_numpy(VOCABULARY.encode(text))[:, None]
        with torch.no_grad():
            logits, _ = trained.model(tokens, trained.model.initial_state(1))
        text += VOCABULARY.decode([int(logits[-1, 0].argmax())])
    assert greedy == text[3:]


def test_bytes_that_are_no_text_do_not_break_a_run():
    chosen = LanguageSettings(cell="rnn", hidden_size=4, level="byte")
    model = build_model(256, chosen, Setup(CELLS["rnn"]))
    text = TrainedLanguage(model, Vocabulary("byte")).generate("é", 50, seed=0)
    assert text.encode("utf-8").decode("utf-8") == text


LOGITS = torch.log(torch.tensor([0.5, 0.25, 0.15, 0.1]))


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(temperature=1), [0.5, 0.25, 0.15, 0.1]),
        (Sampling(temperature=0), [1, 0, 0, 0]),
        (Sampling(temperature=1, top_k=2), [2 / 3, 1 / 3, 0, 0]),
        (Sampling(temperature=1, top_k=9), [0.5, 0.25, 0.15, 0.1]),
        (Sampling(temperature=1, top_p=0.7), [2 / 3, 1 / 3, 0, 0]),
        (Sampling(temperature=1, top_p=0.01), [1, 0, 0, 0]),
        (Sampling(temperature=1, min_p=0.25), [5 / 9, 2.5 / 9, 1.5 / 9, 0]),
        (Sampling(temperature=0.5, top_k=2), [0.8, 0.2, 0, 0]),
    ],
)
def test_sampling_keeps_what_it_says(sampling, expected):
    found = sampling.probabilities(LOGITS)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.double), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "bad",
    [
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"min_p": -0.1},
    ],
)
def test_sampling_out_of_range_is_refused(bad):
    with pytest.raises(ArgumentError, match=next(iter(bad))):
        Sampling(**bad)


@settings(max_examples=200)
@given(st.text("ab", max_size=20), st.text("ab", min_size=1, max_size=4), st.integers(1, 3))
def test_generation_ends_before_the_stop_text(text, stop, size):
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    assert "".join(until(iter(pieces), stop)) == text.split(stop)[0]


def test_evaluate_refuses_what_it_cannot_score():
    trained = TrainedLanguage(model_of("rnn"), VOCABULARY)
    with pytest.raises(ArgumentError, match="no text of its own"):
        trained.evaluate()
    with pytest.raises(ArgumentError, match="never seen"):
        trained.evaluate("xyz")
    with pytest.raises(DataError, match="at least 2"):
        trained.evaluate("a")
    with pytest.raises(ArgumentError, match="window"):
        trained.evaluate("abc", window=0)
    assert trained.evaluate("axbyc", unknown="skip").carried.tokens == 2

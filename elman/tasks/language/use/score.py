"""How well a model predicts a text, in nats (natural logarithm) a token."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.errors import DataError
from elman.nest import Nest
from elman.tasks.language.data.batches import Streams
from elman.tasks.language.data.vocabulary import Vocabulary
from elman.tasks.language.model import LanguageModel

_CHUNK = 1024  # time steps of one forward pass; bounds the memory, changes nothing else
_ROWS = 64  # windows side by side


@dataclass(frozen=True)
class Loss:
    """The mean over `tokens` predictions. unit: "character" or "byte". characters: that the tokens
    begin, for numbers that do not depend on what a token is."""

    nats: float
    tokens: int
    unit: str
    characters: int

    @property
    def bits(self) -> float:
        return self.nats / math.log(2)

    @property
    def nats_per_character(self) -> float:
        return self.nats * self.tokens / max(self.characters, 1)

    @property
    def perplexity(self) -> float:
        return math.exp(self.nats) if self.nats < 700 else math.inf

    def to_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "bits": self.bits,
            "perplexity": self.perplexity,
            "nats_per_character": self.nats_per_character,
        }


def carried(
    model: LanguageModel, tokens: np.ndarray, device: torch.device, vocabulary: Vocabulary
) -> Loss:
    """One pass over the text in order, from the first state, which is carried to the end.

    The first token is given, so N tokens make N - 1 predictions.
    """
    return _mean(_stream_losses(model, tokens, device, rows=1), vocabulary)


def in_streams(
    model: LanguageModel,
    tokens: np.ndarray,
    device: torch.device,
    vocabulary: Vocabulary,
    rows: int,
) -> Loss:
    """Like `carried`, but over `rows` equal parts side by side: faster, and each part begins
    anew. What training reports while it runs."""
    return _mean(_stream_losses(model, tokens, device, rows), vocabulary)


def in_windows(
    model: LanguageModel,
    tokens: np.ndarray,
    device: torch.device,
    vocabulary: Vocabulary,
    window: int,
) -> Loss:
    """Consecutive windows of `window` predictions, each from the first state; the last may be
    shorter. Every token but the first is predicted once."""
    return _mean(_window_losses(model, tokens, device, window), vocabulary)


def token_losses(model: LanguageModel, tokens: Tensor, device: torch.device) -> Tensor:
    """`(N,)` nats of every token of `(N + 1,)` but the first, the state carried through."""
    pieces = _stream_losses(model, tokens.numpy(), device, rows=1)
    return torch.cat([losses.flatten() for losses, _ in pieces]).cpu()


def _stream_losses(
    model: LanguageModel, tokens: np.ndarray, device: torch.device, rows: int
) -> Iterator[tuple[Tensor, Tensor]]:
    if len(tokens) < 2:
        raise DataError(f"a text needs at least 2 tokens to be scored, got {len(tokens)}")
    length = min(_CHUNK, (len(tokens) - 1) // min(rows, len(tokens) - 1))
    streams = Streams(tokens, rows, length)
    state = model.initial_state(streams.rows)
    for step in range(streams.steps_per_epoch):
        batch = streams.batch(step)
        losses, state = _losses(model, batch.inputs, batch.labels, state, device)
        yield losses, batch.labels


def _window_losses(
    model: LanguageModel, tokens: np.ndarray, device: torch.device, window: int
) -> Iterator[tuple[Tensor, Tensor]]:
    if len(tokens) < 2:
        raise DataError(f"a text needs at least 2 tokens to be scored, got {len(tokens)}")
    full = (len(tokens) - 1) // window
    for start in range(0, full, _ROWS):
        rows = min(_ROWS, full - start)
        block = tokens[start * window : (start + rows) * window + 1].astype(np.int64)
        inputs = torch.from_numpy(block[:-1].reshape(rows, window).T.copy())
        labels = torch.from_numpy(block[1:].reshape(rows, window).T.copy())
        yield _losses(model, inputs, labels, model.initial_state(rows), device)[0], labels
    rest = torch.from_numpy(tokens[full * window :].astype(np.int64))[:, None]
    if len(rest) > 1:
        yield _losses(model, rest[:-1], rest[1:], model.initial_state(1), device)[0], rest[1:]


def _losses(
    model: LanguageModel, inputs: Tensor, labels: Tensor, state: Nest, device: torch.device
) -> tuple[Tensor, Nest]:
    return model.nats(inputs.to(device), labels.to(device), state)


def _mean(pieces: Iterator[tuple[Tensor, Tensor]], vocabulary: Vocabulary) -> Loss:
    """pieces: losses, and the tokens that they are of."""
    # Summed in float64: a long text has millions of terms.
    total, count, characters = 0.0, 0, 0
    for losses, labels in pieces:
        total += losses.double().sum().item()
        count += losses.numel()
        characters += vocabulary.characters(labels)
    return Loss(total / count, count, vocabulary.unit, characters)

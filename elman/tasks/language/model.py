"""The language models: token numbers in, scores for the next token out."""

import itertools
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.errors import ArgumentError
from elman.nest import Nest
from elman.tasks.language.settings import LanguageSettings
from elman.tasks.setup import Setup
from elman.tasks.shared.stack import stack


class LanguageModel(nn.Module):
    """What training, scoring and generation use of a model."""

    def initial_state(self, rows: int) -> Nest:
        """The state of `rows` rows before the first token."""
        raise NotImplementedError

    def forward(self, tokens: Tensor, state: Nest) -> tuple[Tensor, Nest]:
        """Tokens `(T, B)` to logits `(T, B, V)` and the state after them."""
        raise NotImplementedError


class RecurrentLanguageModel(LanguageModel):
    """One-hot or embedded tokens, recurrent layers, and a linear map to V scores."""

    def __init__(self, vocabulary_size: int, settings: LanguageSettings, setup: Setup) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.embedding = (
            nn.Embedding(vocabulary_size, settings.embedding_size)
            if settings.embedding_size
            else None
        )
        self.recurrent = stack(settings, setup, input_size(vocabulary_size, settings))
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(cast(int, self.recurrent.output_size), vocabulary_size)

    def initial_state(self, rows: int) -> Nest:
        return self.recurrent.initial_state(rows)

    def forward(self, tokens: Tensor, state: Nest) -> tuple[Tensor, Nest]:
        if self.embedding is None:
            features = F.one_hot(tokens, self.vocabulary_size).to(self.head.weight.dtype)
        else:
            features = self.dropout(self.embedding(tokens))
        hidden, state = self.recurrent(features, state)
        return self.head(self.dropout(hidden)), state


class WindowPerceptron(LanguageModel):
    r"""The model without a hidden state: a perceptron on the last k tokens (Y. Bengio et al., "A
    neural probabilistic language model", JMLR 3, 2003).

    .. math:: \hat y_t = W_2\, \mathrm{relu}(W_1 [e(x_{t-k+1}), \dots, e(x_t)] + b_1) + b_2

    Its "state" is no learned summary but the last k - 1 token numbers themselves, `(B, k - 1)`.
    Places before the beginning of a text hold the number V.
    """

    def __init__(self, vocabulary_size: int, settings: LanguageSettings) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.window = settings.window
        size = settings.embedding_size or 32
        self.embedding = nn.Embedding(vocabulary_size + 1, size)
        widths = [self.window * size, *[settings.hidden_size] * settings.layers]
        hidden = [
            layer
            for fan_in, fan_out in itertools.pairwise(widths)
            for layer in (nn.Linear(fan_in, fan_out), nn.ReLU(), nn.Dropout(settings.dropout))
        ]
        self.perceptron = nn.Sequential(*hidden, nn.Linear(widths[-1], vocabulary_size))

    def initial_state(self, rows: int) -> Tensor:
        device = self.embedding.weight.device
        return torch.full((rows, self.window - 1), self.vocabulary_size, device=device)

    def forward(self, tokens: Tensor, state: Nest) -> tuple[Tensor, Nest]:
        seen = torch.cat([cast(Tensor, state).t(), tokens])
        windows = seen.unfold(0, self.window, 1)  # (T, B, k)
        logits = self.perceptron(self.embedding(windows).flatten(2))
        return logits, seen[len(seen) - self.window + 1 :].t()


def build_model(vocabulary_size: int, settings: LanguageSettings, setup: Setup) -> LanguageModel:
    """The model that the settings describe, on the setup's device.

    Raises:
        ArgumentError: a setting of recurrent layers, with the perceptron.
    """
    if setup.cell is not None:
        return RecurrentLanguageModel(vocabulary_size, settings, setup).to(setup.device)
    for name in ("residual", "layer_norm", "learned_state"):
        if getattr(settings, name):
            raise ArgumentError(
                f"--{name.replace('_', '-')} is for recurrent layers; the perceptron has none, so "
                f"leave it out or choose a cell, such as --cell lstm"
            )
    return WindowPerceptron(vocabulary_size, settings).to(setup.device)


def input_size(vocabulary_size: int, settings: LanguageSettings) -> int:
    """Features of a token as the first layer reads it."""
    return settings.embedding_size or vocabulary_size

"""The language models: token numbers in, scores for the next token out."""

import itertools
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.layers import Recurrent
from elman.nest import Nest
from elman.tasks.cell import CellClass
from elman.tasks.language.settings import LanguageSettings


class LanguageModel(Protocol):
    """What training, scoring and generation use of a model."""

    def initial_state(self, rows: int) -> Nest: ...

    def __call__(self, tokens: Tensor, state: Nest) -> tuple[Tensor, Nest]:
        """Tokens `(T, B)` to logits `(T, B, V)` and the state after them."""
        ...


class RecurrentLanguageModel(nn.Module):
    """One-hot or embedded tokens, recurrent layers, and a linear map to V scores."""

    def __init__(
        self, vocabulary_size: int, settings: LanguageSettings, cell: CellClass, backend: str
    ) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.embedding = (
            nn.Embedding(vocabulary_size, settings.embedding_size)
            if settings.embedding_size
            else None
        )
        input_size = settings.embedding_size or vocabulary_size
        self.recurrent = Recurrent(
            lambda features: cell(features, settings.hidden_size),
            num_layers=settings.layers,
            dropout=settings.dropout,
            input_size=input_size,
            backend=backend,
        )
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


class WindowPerceptron(nn.Module):
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

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        seen = torch.cat([state.t(), tokens])
        windows = seen.unfold(0, self.window, 1)  # (T, B, k)
        logits = self.perceptron(self.embedding(windows).flatten(2))
        return logits, seen[len(seen) - self.window + 1 :].t()


def build_model(
    vocabulary_size: int, settings: LanguageSettings, cell: CellClass | None, backend: str
) -> nn.Module:
    """The model that the settings describe; `cell` is None for the perceptron."""
    if cell is None:
        return WindowPerceptron(vocabulary_size, settings)
    return RecurrentLanguageModel(vocabulary_size, settings, cell, backend)

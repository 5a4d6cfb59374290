"""The language models: token numbers in, scores for the next token out.

They are built of complete settings (`LanguageSettings.for_vocabulary`).
"""

import itertools
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.nest import Nest
from elman.tasks.language.model import cross_entropy, sampled
from elman.tasks.language.settings import LanguageSettings, Tokens
from elman.tasks.setup import Setup
from elman.tasks.shared.stack import stack


class LanguageModel(nn.Module):
    """What training, scoring and generation use of a model.

    A model gives `features` and the read-out's weights; scores and losses follow from these two.
    """

    def initial_state(self, rows: int) -> Nest:
        """The state of `rows` rows before the first token."""
        raise NotImplementedError

    def features(self, tokens: Tensor, state: Nest) -> tuple[Tensor, Nest]:
        """Tokens `(T, B)` to what the read-out sees, `(T, B, F)`, and the state after them."""
        raise NotImplementedError

    def read_out(self) -> tuple[Tensor, Tensor]:
        """Weight `(V, F)` and bias `(V,)` of the linear map from features to scores."""
        raise NotImplementedError

    @torch.no_grad()
    def begin_with(self, counts: Tensor) -> None:
        """Let an untrained model begin at the frequencies of the tokens, by its biases. Among
        thousands of tokens it would else spend most of its first steps on learning how rare they
        are. counts: `(V,)`; each is taken one higher, so that none is impossible."""
        shares = (counts + 1.0) / (counts + 1.0).sum()
        self.read_out()[1].copy_(shares.log())

    def forward(self, tokens: Tensor, state: Nest) -> tuple[Tensor, Nest]:
        """Tokens `(T, B)` to logits `(T, B, V)` and the state after them."""
        features, state = self.features(tokens, state)
        return F.linear(features, *self.read_out()), state

    def mean_nats(self, tokens: Tensor, labels: Tensor, state: Nest) -> tuple[Tensor, Nest]:
        """The mean of -log p(label), a scalar to differentiate, for tokens and labels `(T, B)`;
        and the state. The logits of all rows are never there at once, and of a large vocabulary
        each step sees a part (`sampled`)."""
        features, state = self.features(tokens, state)
        rows = features.flatten(0, 1), *self.read_out(), labels.flatten()
        return sampled.mean_nats(*rows), state

    def nats(self, tokens: Tensor, labels: Tensor, state: Nest) -> tuple[Tensor, Nest]:
        """-log p(label) of each label `(T, B)`, without gradients, and the state."""
        with torch.no_grad():
            features, state = self.features(tokens, state)
            rows = features.flatten(0, 1), *self.read_out(), labels.flatten()
            return cross_entropy.row_nats(*rows).view(labels.shape), state


class RecurrentLanguageModel(LanguageModel):
    r"""One-hot or embedded tokens, recurrent layers, and a linear map to V scores.

    The one of a one-hot token is the root of V, so that the token is as long as V features of unit
    variance, for which cells draw their first weights. With 1 the layers hardly heard their input:
    on Python's reference, 400 steps of an LSTM gave 2.18 nats then, and 1.57 so.

    Tied, the vectors that tokens are read as also score them (O. Press, L. Wolf, "Using the output
    embedding to improve language models", EACL 2017), with a map P to their size where the layers'
    output o has another one:

    .. math:: x_t = \sqrt{E}\, W[\text{token}_t], \qquad \text{logits}_t = W P o_t + b

    The factor lets W begin small enough for scores and x large enough for the layers.
    """

    one: Tensor

    def __init__(self, vocabulary_size: int, settings: LanguageSettings, setup: Setup) -> None:
        super().__init__()
        tokens = settings.tokens(vocabulary_size)
        self.vocabulary_size = vocabulary_size
        self.embedding = (
            nn.Embedding(vocabulary_size, tokens.embedding_size) if tokens.embedding_size else None
        )
        if self.embedding is None:
            self.register_buffer("one", torch.tensor(vocabulary_size**0.5))
        self.recurrent = stack(settings, setup, tokens.input_size)
        self.dropout = nn.Dropout(cast(float, settings.dropout))
        width = cast(int, self.recurrent.output_size)
        self.head = _Tied(width, tokens) if tokens.tied else nn.Linear(width, vocabulary_size)
        if tokens.tied and self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=tokens.embedding_size**-0.5)

    def initial_state(self, rows: int) -> Nest:
        return self.recurrent.initial_state(rows)

    def features(self, tokens: Tensor, state: Nest) -> tuple[Tensor, Nest]:
        hidden, state = self.recurrent(self._read(tokens), state)
        hidden = self.dropout(hidden)
        return self.head.project(hidden) if isinstance(self.head, _Tied) else hidden, state

    def read_out(self) -> tuple[Tensor, Tensor]:
        if isinstance(self.head, _Tied):
            return cast(nn.Embedding, self.embedding).weight, self.head.bias
        return self.head.weight, self.head.bias

    def _read(self, tokens: Tensor) -> Tensor:
        """What the first layer sees, `(T, B, I)`."""
        if self.embedding is None:
            features = self.one.new_zeros(*tokens.shape, self.vocabulary_size)
            return features.scatter_(2, tokens[:, :, None], self.one.expand(*tokens.shape, 1))
        vectors = self.embedding(tokens)
        if isinstance(self.head, _Tied):
            vectors = vectors * self.head.scale
        dropped: Tensor = self.dropout(vectors)
        return dropped


class _Tied(nn.Module):
    """The rest of a read-out whose table is the embedding: P, where sizes differ, and b."""

    def __init__(self, width: int, tokens: Tokens) -> None:
        super().__init__()
        size = tokens.embedding_size
        self.scale = size**0.5
        self.project = nn.Identity() if width == size else nn.Linear(width, size, bias=False)
        self.bias = nn.Parameter(torch.zeros(tokens.vocabulary_size))


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
        dropout = cast(float, settings.dropout)
        widths = [self.window * size, *[settings.hidden_size] * settings.layers]
        hidden = [
            layer
            for fan_in, fan_out in itertools.pairwise(widths)
            for layer in (nn.Linear(fan_in, fan_out), nn.ReLU(), nn.Dropout(dropout))
        ]
        self.perceptron = nn.Sequential(*hidden, nn.Linear(widths[-1], vocabulary_size))

    def initial_state(self, rows: int) -> Tensor:
        device = self.embedding.weight.device
        return torch.full((rows, self.window - 1), self.vocabulary_size, device=device)

    def features(self, tokens: Tensor, state: Nest) -> tuple[Tensor, Nest]:
        seen = torch.cat([cast(Tensor, state).t(), tokens])
        windows = seen.unfold(0, self.window, 1)  # (T, B, k)
        hidden: Tensor = self.perceptron[:-1](self.embedding(windows).flatten(2))
        return hidden, seen[len(seen) - self.window + 1 :].t()

    def read_out(self) -> tuple[Tensor, Tensor]:
        last = cast(nn.Linear, self.perceptron[-1])
        return last.weight, last.bias

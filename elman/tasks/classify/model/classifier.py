"""The network: a sequence in, the outputs that its target asks for out."""

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from elman.tasks.classify.data.dataset import Catalogue, Dataset
from elman.tasks.classify.data.tokens import Tokens, Words
from elman.tasks.classify.model.columns import ColumnReader
from elman.tasks.classify.model.linear_vote import LinearVote
from elman.tasks.classify.model.pools import largest, last, mean, within
from elman.tasks.classify.model.signals import SignalReader
from elman.tasks.classify.model.text import TextReader
from elman.tasks.classify.model.wide import NGrams
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.setup import Setup
from elman.tasks.shared.stack import stack


class SequenceClassifier(nn.Module):
    """Tokens or signal values, recurrent layers, a pool over time, and a linear map; of texts also
    the sum of what their n-grams say.

    Shapes: input `(T, B)` or `(T, B, C)` numbers of tokens, or `(T, B, C)` values, lengths `(B,)`,
    and what stands beside `(B, columns)`, None for nothing known, to outputs `(B, outputs)`. What
    stands beyond a row's length is never read.

    calibration: what the target fits on the validation part, such as log T of the probabilities
    softmax(outputs / T). vote: of signals, a linear model whose probabilities are mixed with these;
    its share of the mixture is `vote_share`. Both are saved with the weights.

    others: with `members` above 1 more networks like this one, from first weights of their own (L.
    Hansen and P. Salamon, 1990; B. Lakshminarayanan et al., arXiv 1612.01474). Each learns by its
    own loss, and what they say is averaged.
    """

    calibration: Tensor
    vote_share: Tensor

    def __init__(self, catalogue: Catalogue, settings: ClassifySettings, setup: Setup) -> None:
        super().__init__()
        self.reader = (
            SignalReader(catalogue.features, catalogue.length, settings)
            if catalogue.tokens is None
            else TextReader(
                catalogue.tokens, settings.embedding_size, settings.unknown_rate,
                settings.dropout,
            )
        )  # fmt: skip
        self.recurrent = stack(settings, setup, self.reader.output_size, settings.bidirectional)
        self.pool = settings.pool
        self.dropout = nn.Dropout(settings.dropout)
        width = cast(int, self.recurrent.output_size) * (2 if self.pool == "mean-max" else 1)
        if self.reads_signals:  # what convolutions found is pooled, too
            width += 2 * self.reader.output_size
        self.columns = ColumnReader(catalogue.inputs, settings.unknown_rate, settings.dropout)
        self.target = catalogue.target
        self.head = nn.Linear(width + self.columns.output_size, self.target.outputs)
        self.wide = None
        if catalogue.tokens is not None and (order := order_of(catalogue.tokens, settings)):
            self.wide = NGrams(order, self.target.outputs, settings.dropout)
        self.vote = None
        if isinstance(self.reader, SignalReader) and settings.vote and self.target.distributes:
            self.vote = LinearVote(
                self.reader, catalogue.features, catalogue.length, len(self.target.labels)
            )
        alone = replace(settings, members=1, vote=False)
        self.others = nn.ModuleList(
            SequenceClassifier(catalogue, alone, setup) for _ in range(settings.members - 1)
        )
        self.register_buffer("vote_share", torch.zeros(()))
        self.register_buffer("calibration", torch.zeros(self.target.calibrated))
        self.to(setup.device)

    @property
    def reads_signals(self) -> bool:
        return isinstance(self.reader, SignalReader)

    def forward(self, input: Tensor, lengths: Tensor, beside: Tensor | None = None) -> Tensor:
        members = self.each(input, lengths, beside)
        return members[0] if len(members) == 1 else self.target.together(torch.stack(members))

    def each(self, input: Tensor, lengths: Tensor, beside: Tensor | None = None) -> list[Tensor]:
        """The outputs of each member."""
        lengths = lengths.to(input.device)  # as masks over time need them
        members = (self, *self.others)
        return [member._own(input, lengths, beside) for member in members]

    def _own(self, input: Tensor, lengths: Tensor, beside: Tensor | None = None) -> Tensor:
        wide = 0.0 if self.wide is None else self.wide(input, lengths)
        features, lengths = self.reader(input, lengths)
        hidden, _ = self.recurrent(features, lengths=lengths)
        pooled = self._pooled(hidden, lengths)
        if self.reads_signals:
            inside = within(len(features), lengths)[..., None]
            features = torch.where(inside, features, 0.0)
            pooled = torch.cat([pooled, mean(features, lengths), largest(features, lengths)], 1)
        pooled = self.dropout(pooled)
        if self.columns.output_size:
            if beside is None:
                beside = self.columns.unknown(len(pooled))
            pooled = torch.cat([pooled, self.columns(beside)], 1)
        outputs: Tensor = self.head(pooled)
        return outputs + wide

    def voted(self, input: Tensor, lengths: Tensor, beside: Tensor) -> Tensor:
        """`(B, K)` logarithms of probabilities by the linear model beside the network."""
        assert self.vote is not None
        assert isinstance(self.reader, SignalReader)
        lengths = lengths.to(input.device)
        found: Tensor = self.vote(self.reader.by_channel(input, lengths), lengths)
        return found

    def _pooled(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        if self.pool == "last":
            return last(hidden, lengths, self.recurrent.bidirectional)
        if self.pool == "mean":
            return mean(hidden, lengths)
        if self.pool == "max":
            return largest(hidden, lengths)
        return torch.cat([mean(hidden, lengths), largest(hidden, lengths)], dim=1)

    @torch.no_grad()
    def measure(self, parts: Mapping[str, Dataset], class_weights: str) -> Tensor | None:
        """Take from the data what no gradient finds: how signals are standardised, and the linear
        model. class_weights: how much an example weighs by its label, as in the settings.

        Returns the votes of the linear model on the validation part, `(N, K)` logarithms of
        probabilities; None without one.
        """
        for other in self.others:
            cast(SequenceClassifier, other).measure(parts, class_weights)
        if not isinstance(self.reader, SignalReader):
            return None
        self.reader.measure(parts["train"])
        if self.vote is None:
            return None
        return self.vote.fit(parts["train"], parts["valid"], self.reader, class_weights)

    @property
    def calibrated(self) -> np.ndarray:
        """The calibration, on the CPU."""
        found: np.ndarray = self.calibration.cpu().numpy().astype(np.float64)
        return found

    def calibrate(self, values: np.ndarray) -> None:
        self.calibration.copy_(torch.from_numpy(values))


def input_size(catalogue: Catalogue, settings: ClassifySettings) -> int:
    """Features of a time step as the first layer reads it."""
    if catalogue.tokens is None:
        return SignalReader(catalogue.features, catalogue.length, settings).output_size
    return settings.embedding_size or catalogue.tokens.size


def order_of(tokens: Tokens, settings: ClassifySettings) -> int:
    """Tokens of the longest n-grams that are weighed."""
    usual = 2 if isinstance(tokens, Words) else 0
    return usual if settings.ngrams < 0 else settings.ngrams

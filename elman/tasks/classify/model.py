"""The classifier: a sequence in, a score for every label out."""

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.tasks.classify.data.dataset import UNKNOWN, Catalogue, Dataset
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.setup import Setup
from elman.tasks.shared.stack import stack


class SequenceClassifier(nn.Module):
    """Characters or signal values, recurrent layers, a pool over time, and a linear map.

    Shapes: input `(T, B)` character numbers or `(T, B, C)` values, lengths `(B,)`, to logits
    `(B, K)`. What stands beyond a row's length is never read.

    log_temperature: log T of the probabilities softmax(logits / T); fitted on the validation part,
    and saved with the weights.
    """

    log_temperature: Tensor

    def __init__(self, catalogue: Catalogue, settings: ClassifySettings, setup: Setup) -> None:
        super().__init__()
        self.reader = (
            SignalReader(catalogue.channels, settings.noise)
            if catalogue.channels
            else TextReader(
                catalogue.characters, settings.embedding_size, settings.unknown_rate,
                settings.dropout,
            )
        )  # fmt: skip
        self.recurrent = stack(settings, setup, self.reader.output_size, settings.bidirectional)
        self.pool = settings.pool
        self.dropout = nn.Dropout(settings.dropout)
        width = cast(int, self.recurrent.output_size) * (2 if self.pool == "mean-max" else 1)
        self.head = nn.Linear(width, len(catalogue.labels))
        self.register_buffer("log_temperature", torch.zeros(()))
        self.to(setup.device)

    def forward(self, input: Tensor, lengths: Tensor) -> Tensor:
        hidden, _ = self.recurrent(self.reader(input), lengths=lengths)
        logits: Tensor = self.head(self.dropout(self._pooled(hidden, lengths)))
        return logits

    def _pooled(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        if self.pool == "last":
            return last(hidden, lengths, self.recurrent.bidirectional)
        if self.pool == "mean":
            return mean(hidden, lengths)
        if self.pool == "max":
            return largest(hidden, lengths)
        return torch.cat([mean(hidden, lengths), largest(hidden, lengths)], dim=1)

    @property
    def temperature(self) -> float:
        return float(self.log_temperature.exp())

    def set_temperature(self, value: float) -> None:
        self.log_temperature.fill_(math.log(value))


def input_size(catalogue: Catalogue, settings: ClassifySettings) -> int:
    """Features of a time step as the first layer reads it."""
    return catalogue.channels or settings.embedding_size or catalogue.characters


class TextReader(nn.Module):
    """Character numbers `(T, B)` to vectors `(T, B, E)`: learned ones, or one-hot.

    While training, a share of the characters becomes the unknown one, whose vector else would never
    be learned, and values are dropped out.
    """

    def __init__(self, characters: int, size: int, unknown_rate: float, dropout: float) -> None:
        super().__init__()
        self.characters, self.unknown_rate = characters, unknown_rate
        self.embedding = nn.Embedding(characters, size) if size else None
        self.output_size = size or characters
        self.dropout = nn.Dropout(dropout)

    def forward(self, numbers: Tensor) -> Tensor:
        if self.training and self.unknown_rate > 0:
            hidden = torch.rand(numbers.shape, device=numbers.device) < self.unknown_rate
            numbers = numbers.masked_fill(hidden, UNKNOWN)
        if self.embedding is None:
            return F.one_hot(numbers, self.characters).float()
        vectors: Tensor = self.dropout(self.embedding(numbers))
        return vectors


class SignalReader(nn.Module):
    """Signal values `(T, B, C)`, standardised channel by channel as the training part is.

    While training, noise is added whose deviation is `noise` of the channel's.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int, noise: float) -> None:
        super().__init__()
        self.noise, self.output_size = noise, channels
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    def measure(self, training: Dataset) -> None:
        """Take mean and deviation from the training part. A constant channel stays as it is."""
        values = training.values.astype(np.float64)
        deviation = values.std(0)
        deviation[deviation <= 1e-6 * np.abs(values).max(0)] = 1.0
        self.mean.copy_(torch.from_numpy(values.mean(0)))
        self.deviation.copy_(torch.from_numpy(deviation))

    def forward(self, values: Tensor) -> Tensor:
        standard = (values - self.mean) / self.deviation
        if self.training and self.noise > 0:
            standard = standard + self.noise * torch.randn_like(standard)
        return standard


def mean(hidden: Tensor, lengths: Tensor) -> Tensor:
    """`(B, O)` mean over the time steps of each row; `hidden` `(T, B, O)` is zero beyond them."""
    return hidden.sum(0) / lengths.clamp(min=1)[:, None]


def largest(hidden: Tensor, lengths: Tensor) -> Tensor:
    """`(B, O)` largest value over the time steps of each row."""
    times = torch.arange(len(hidden), device=hidden.device)[:, None, None]
    return hidden.masked_fill(times >= lengths[:, None], -torch.inf).amax(0)


def last(hidden: Tensor, lengths: Tensor, bidirectional: bool) -> Tensor:
    """`(B, O)` output after the last step that was read: of the backward half, the first one."""
    ends = hidden[lengths - 1, torch.arange(len(lengths), device=hidden.device)]
    if not bidirectional:
        return ends
    half = hidden.shape[2] // 2
    return torch.cat([ends[:, :half], hidden[0, :, half:]], dim=1)

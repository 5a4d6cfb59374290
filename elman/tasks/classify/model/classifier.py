"""The network: a sequence in, the outputs that its target asks for out."""

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from elman.tasks.classify.data.dataset import Catalogue
from elman.tasks.classify.model.pools import largest, last, mean, within
from elman.tasks.classify.model.signals import SignalReader
from elman.tasks.classify.model.text import TextReader
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.setup import Setup
from elman.tasks.shared.stack import stack


class SequenceClassifier(nn.Module):
    """Characters or signal values, recurrent layers, a pool over time, and a linear map.

    Shapes: input `(T, B)` character numbers or `(T, B, C)` values, lengths `(B,)`, to outputs
    `(B, outputs)`. What stands beyond a row's length is never read.

    calibration: what the target fits on the validation part, such as log T of the probabilities
    softmax(outputs / T); saved with the weights.
    """

    calibration: Tensor

    def __init__(self, catalogue: Catalogue, settings: ClassifySettings, setup: Setup) -> None:
        super().__init__()
        self.reader = (
            SignalReader(catalogue.channels, catalogue.length, settings)
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
        if self.reads_signals:  # what convolutions found is pooled, too
            width += 2 * self.reader.output_size
        self.head = nn.Linear(width, catalogue.target.outputs)
        self.register_buffer("calibration", torch.zeros(catalogue.target.calibrated))
        self.to(setup.device)

    @property
    def reads_signals(self) -> bool:
        return isinstance(self.reader, SignalReader)

    def forward(self, input: Tensor, lengths: Tensor) -> Tensor:
        features, lengths = self.reader(input, lengths)
        hidden, _ = self.recurrent(features, lengths=lengths)
        pooled = self._pooled(hidden, lengths)
        if self.reads_signals:
            inside = within(len(features), lengths)[..., None]
            features = torch.where(inside, features, 0.0)
            pooled = torch.cat([pooled, mean(features, lengths), largest(features, lengths)], 1)
        outputs: Tensor = self.head(self.dropout(pooled))
        return outputs

    def _pooled(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        if self.pool == "last":
            return last(hidden, lengths, self.recurrent.bidirectional)
        if self.pool == "mean":
            return mean(hidden, lengths)
        if self.pool == "max":
            return largest(hidden, lengths)
        return torch.cat([mean(hidden, lengths), largest(hidden, lengths)], dim=1)

    @property
    def calibrated(self) -> np.ndarray:
        """The calibration, on the CPU."""
        found: np.ndarray = self.calibration.cpu().numpy().astype(np.float64)
        return found

    def calibrate(self, values: np.ndarray) -> None:
        self.calibration.copy_(torch.from_numpy(values))


def input_size(catalogue: Catalogue, settings: ClassifySettings) -> int:
    """Features of a time step as the first layer reads it."""
    if catalogue.channels:
        return SignalReader(catalogue.channels, catalogue.length, settings).output_size
    return settings.embedding_size or catalogue.characters

"""A linear model of signals that votes beside the network."""

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from elman.tasks.classify.data.batches import gather, in_order_of_length
from elman.tasks.classify.data.dataset import Dataset, joined
from elman.tasks.classify.model.pools import within
from elman.tasks.classify.model.random_convolutions import RandomConvolutions
from elman.tasks.classify.model.ridge import RidgeClassifier
from elman.tasks.classify.model.signals import SignalReader, by_example
from elman.tasks.classify.targets.one_label import label_weights

_MOST = 4000  # examples that it learns from: more would teach so few weights little
_FOR_BIASES = 20  # examples whose outputs tell the biases
_ROWS = 64
_WEIGHT = 10.0  # of a statistic, beside thousands of shares
_LEAST_WEIGHT = 1e-6  # of an example: one of none can't be left out
_LEAST_SHARE, _LEAST_STATISTIC = 0.01, 0.05  # deviations of features: less is noise


class LinearVote(nn.Module):
    """Signals `(T, B, C)` to the logarithms of probabilities `(B, K)`.

    Ridge regression on random convolutions of the values, standardised as the reader does it (by
    channel, by example, or both); on mean and deviation of each channel; and on the length.

    It is fitted in closed form before the network is trained, and needs few examples: of some
    thirty, a network learns little but the examples themselves. With many, the network is better.
    """

    level: Tensor
    scale: Tensor

    def __init__(self, reader: SignalReader, channels: int, length: int, labels: int) -> None:
        super().__init__()
        self.scaling = reader.scaling
        count = 2 if self.scaling == "both" else 1
        banks = [RandomConvolutions(channels, length) for _ in range(count)]
        self.banks = nn.ModuleList(banks)
        self.statistics = 2 * channels + 1
        features = sum(bank.output_size for bank in banks) + self.statistics
        self.register_buffer("level", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.ridge = RidgeClassifier(features, labels)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """values: standardised by channel, zeros beyond a row's length `(B,)`."""
        found: Tensor = self.ridge(self._standard(self._features(values, lengths)))
        return found

    @torch.no_grad()
    def fit(
        self, training: Dataset, validation: Dataset, reader: SignalReader, class_weights: str
    ) -> Tensor:
        """Fit, and return the logarithms of probabilities `(N, K)` for the validation part. Where
        examples are few, that part is learned from, too: each of its examples is then judged by all
        others. class_weights: as in the settings."""
        rng = np.random.default_rng(0)  # the same convolutions in every run
        both = len(training) + len(validation) <= _MOST
        chosen = (
            joined([training, validation])
            if both
            else training.take(np.sort(rng.permutation(len(training))[:_MOST]))
        )
        self._draw(chosen, reader, rng)
        features = self._of(chosen, reader)
        self._standardise(features)
        labels = torch.from_numpy(chosen.labels)
        weights = label_weights(chosen.labels, len(self.ridge.bias), class_weights)[labels]
        if chosen.weights is not None:
            weights = weights * torch.from_numpy(chosen.weights).float().clamp(min=_LEAST_WEIGHT)
        left_out = self.ridge.fit(self._standard(features).cpu(), labels, weights)
        if both:
            return left_out[len(training) :]
        found: Tensor = self.ridge(self._standard(self._of(validation, reader)))
        return found.cpu()

    def _draw(self, examples: Dataset, reader: SignalReader, rng: np.random.Generator) -> None:
        some = gather(examples, rng.permutation(len(examples))[:_FOR_BIASES])
        lengths = some.lengths.to(self.level.device)
        values = reader.by_channel(some.input.to(self.level.device), lengths)
        for bank, inputs in zip(self.banks, self._inputs(values, lengths), strict=True):
            cast(RandomConvolutions, bank).measure(inputs, lengths, rng)

    def _of(self, dataset: Dataset, reader: SignalReader) -> Tensor:
        """`(N, D)` features, in the order of the dataset."""
        features = torch.zeros(len(dataset), len(self.level))
        for batch in in_order_of_length(dataset, _ROWS):
            lengths = batch.lengths.to(self.level.device)
            values = reader.by_channel(batch.input.to(self.level.device), lengths)
            features[torch.from_numpy(batch.numbers)] = self._features(values, lengths).cpu()
        return features

    def _standardise(self, features: Tensor) -> None:
        """From the features `(N, D)` of the training part."""
        deviation, weight = features.std(0, correction=0), torch.ones(len(self.level))
        shares = len(weight) - self.statistics
        deviation[:shares].clamp_(min=_LEAST_SHARE)
        deviation[shares:].clamp_(min=_LEAST_STATISTIC)
        weight[shares:] = _WEIGHT
        self.level.copy_(features.mean(0))
        self.scale.copy_(weight / deviation)

    def _standard(self, features: Tensor) -> Tensor:
        return (features.to(self.level.device) - self.level) * self.scale

    def _features(self, values: Tensor, lengths: Tensor) -> Tensor:
        """`(B, D)`: the shares of all banks, then means, logarithms of deviations, and that of the
        length."""
        shares = [
            bank(inputs, lengths)
            for bank, inputs in zip(self.banks, self._inputs(values, lengths), strict=True)
        ]
        _, told = by_example(values, lengths)
        return torch.cat([*shares, told, lengths[:, None].to(told).log()], 1)

    def _inputs(self, values: Tensor, lengths: Tensor) -> list[Tensor]:
        """What each bank of convolutions reads."""
        if self.scaling == "channel":
            return [values]
        shape, _ = by_example(values, lengths)
        shape = torch.where(within(len(values), lengths)[..., None], shape, 0.0)
        return [values, shape] if self.scaling == "both" else [shape]

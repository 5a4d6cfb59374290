"""Signals as a classifier reads them: scaled, and many values to one time step."""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.tasks.classify.data.dataset import Dataset
from elman.tasks.classify.model.pools import within
from elman.tasks.classify.settings import ClassifySettings

STEPS = 100
"""Time steps that the recurrent layers shall have at most, or about so many, by default."""
_KERNEL = 5
_TINY = 1e-4  # added to deviations, in those of the channel: a constant example has none


class SignalReader(nn.Module):
    """Signal values `(T, B, C)` to features `(T', B, F)` with lengths `(B,)` of their own.

    Values are standardised channel by channel as the training part is ("channel"), example by
    example ("example", which adds what that takes away as channels: the mean, and the logarithm of
    the deviation), or both ways side by side. Convolutions follow, some with a stride.

    While training, examples are cropped and stretched, and noise is added.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int, length: int, settings: ClassifySettings) -> None:
        super().__init__()
        self.noise, self.augment, self.scaling = settings.noise, settings.augment, settings.scaling
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))
        features = channels * {"channel": 1, "example": 3, "both": 4}[self.scaling]
        strides = strides_of(settings.patch or patch_for(length), settings.convolutions)
        self.convolutions = Convolutions(features, settings.hidden_size // 2 or 1, strides)
        self.output_size = self.convolutions.output_size

    def measure(self, training: Dataset) -> None:
        """Take mean and deviation from the training part. A constant channel stays as it is."""
        values = training.values.astype(np.float64)
        deviation = values.std(0)
        deviation[deviation <= 1e-6 * np.abs(values).max(0)] = 1.0
        self.mean.copy_(torch.from_numpy(values.mean(0)))
        self.deviation.copy_(torch.from_numpy(deviation))

    def forward(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        values = self.by_channel(values, lengths)
        if self.training and self.augment > 0:
            values, lengths = resampled(values, lengths, self.augment)
        if self.training and self.noise > 0:
            values = values + self.noise * torch.randn_like(values)
        found: tuple[Tensor, Tensor] = self.convolutions(self._scaled(values, lengths), lengths)
        return found

    def by_channel(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Values `(T, B, C)` standardised as the training part is; 0 beyond the end of a row."""
        inside = within(len(values), lengths)[..., None]
        return torch.where(inside, values - self.mean, 0.0) / self.deviation

    def _scaled(self, values: Tensor, lengths: Tensor) -> Tensor:
        """`(T, B, F)` of standardised values `(T, B, C)`."""
        if self.scaling == "channel":
            return values
        shape, told = by_example(values, lengths)
        parts = [shape, told.expand(len(values), -1, -1)]
        return torch.cat([values, *parts] if self.scaling == "both" else parts, -1)


def by_example(values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Values `(T, B, C)`, each row and channel standardised for itself; and what that takes away,
    `(B, 2 C)`: means, and the logarithms of deviations."""
    inside, count = within(len(values), lengths)[..., None], lengths[:, None]
    mean = torch.where(inside, values, 0.0).sum(0) / count
    centred = values - mean
    variance = torch.where(inside, centred, 0.0).square().sum(0) / count
    deviation = variance.sqrt() + _TINY
    return centred / deviation, torch.cat([mean, deviation.log()], -1)


class Convolutions(nn.Module):
    """Convolutions over time, each followed by a norm over features and a ReLU.

    A row is as if alone: what stands beyond its end is zero before each of them. The first norm is
    over the features of a step, so that no row sees another.
    """

    def __init__(self, features: int, width: int, strides: list[int]) -> None:
        super().__init__()
        widths = [features, *[width] * len(strides)]
        self.layers = nn.ModuleList(
            nn.Conv1d(fan_in, width, kernel, stride, kernel // 2)
            for fan_in, stride in zip(widths, strides, strict=False)
            for kernel in [max(_KERNEL, 2 * stride + 1)]
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in strides)
        self.strides = strides
        self.output_size = widths[-1]

    def forward(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """`(T, B, F)` to `(T', B, F')`, and the lengths `(B,)` after all strides."""
        for layer, norm, stride in zip(self.layers, self.norms, self.strides, strict=True):
            values = torch.where(within(len(values), lengths)[..., None], values, 0.0)
            found = F.relu(norm(layer(values.permute(1, 2, 0))))
            lengths = (lengths + stride - 1) // stride
            values = found.permute(2, 0, 1)
        return values, lengths


def strides_of(patch: int, least: int) -> list[int]:
    """The strides of at least so many convolutions that together take `patch` values to one."""
    strides = []
    while patch > 1:
        stride = next((s for s in (2, 3, 5, 7) if patch % s == 0), patch)
        strides.append(stride)
        patch //= stride
    return [*strides, *[1] * (least - len(strides))]


def patch_for(length: int) -> int:
    """How many values of signals of that length one time step stands for: a power of two."""
    return 1 << max(0, math.ceil(math.log2(max(length, 1) / STEPS)))


def resampled(values: Tensor, lengths: Tensor, amount: float) -> tuple[Tensor, Tensor]:
    """Half of the rows of `(T, B, C)` cropped to a part of at least 1 - amount, and stretched or
    shortened by up to that share; the values between are interpolated."""
    rows, device = len(lengths), values.device

    def drawn() -> Tensor:
        return torch.rand(rows, device=device)

    chosen = drawn() < 0.5
    crop = torch.where(chosen, 1 - amount * drawn(), 1.0)
    pace = torch.where(chosen, 1 + amount * (drawn() - 0.5), 1.0)
    kept = (lengths * crop).clamp(min=2.0)
    begin = drawn() * (lengths - kept).clamp(min=0.0)
    after = torch.where(lengths < 2, lengths, (kept * pace).round().clamp(min=2).long())
    step = (kept - 1) / (after - 1).clamp(min=1)
    place = begin + torch.arange(int(after.max()), device=device)[:, None] * step  # (T', B)
    place = torch.minimum(place, (lengths - 1).to(place.dtype))
    before = place.floor().long()
    following = torch.minimum(before + 1, lengths - 1)
    share = (place - before)[..., None]
    index = torch.arange(rows, device=device)
    found = values[before, index] * (1 - share) + values[following, index] * share
    return found, after

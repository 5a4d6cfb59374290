"""Fixed features of signals: how often the outputs of random convolutions exceed a bias."""

import math
from collections.abc import Iterator
from itertools import combinations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.tasks.classify.model.pools import within

_WIDTH = 9
_HEAVY = list(combinations(range(_WIDTH), 3))  # where a kernel's three large weights stand
_DILATIONS = 8  # different ones, at most
_FEATURES = 2500
_TIE = 1e-4  # above a bias: signals have equal values, whose outputs differ by rounding only
_GOLDEN = (math.sqrt(5) + 1) / 2  # its multiples spread evenly over 0 to 1


class RandomConvolutions(nn.Module):
    """Signals `(T, B, C)` to features `(B, D)`, each between 0 and 1.

    A feature is the share of the time steps at which the output of a convolution exceeds a bias.
    The 84 kernels have three weights of 2 and six of -1, are spread over time by dilations up to
    an eighth of the `length`, and read some of the channels. Biases are quantiles of the outputs on
    training examples. This is MiniRocket (Dempster et al., arXiv 2012.08791) with fewer features,
    and with lengths: a row is as if alone.
    """

    channels: Tensor
    biases: Tensor

    def __init__(self, channels: int, length: int) -> None:
        super().__init__()
        self.dilations = dilations_of(length)
        each = max(1, round(_FEATURES / (len(_HEAVY) * len(self.dilations))))
        shape = (len(self.dilations), len(_HEAVY))
        self.register_buffer("channels", torch.ones(*shape, channels, dtype=torch.bool))
        self.register_buffer("biases", torch.zeros(*shape, each))
        self.output_size = self.biases.numel()

    def measure(self, values: Tensor, lengths: Tensor, rng: np.random.Generator) -> None:
        """Draw channels, and take biases from the outputs on some training examples."""
        self.channels.copy_(torch.from_numpy(_drawn_channels(self.channels.shape, rng)))
        dilations, kernels, _ = self.biases.shape
        shares = torch.arange(1, self.biases.numel() + 1, dtype=torch.float64) * _GOLDEN % 1
        shares = shares.to(values).view(self.biases.shape)
        rows = rng.integers(len(lengths), size=(dilations, kernels))
        for i, outputs in enumerate(self._outputs(values)):
            for kernel, row in enumerate(rows[i]):
                output = outputs[row, kernel, : lengths[row]]
                self.biases[i, kernel] = torch.quantile(output, shares[i, kernel]) + _TIE

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """values: zeros beyond a row's length `(B,)`."""
        inside = within(len(values), lengths).T[:, None]  # (B, 1, T)
        found = [
            ((output > bias[:, None]) & inside).sum(2) / lengths[:, None]
            for output, biases in zip(self._outputs(values), self.biases, strict=True)
            for bias in biases.T
        ]
        return torch.cat(found, 1)

    def _outputs(self, values: Tensor) -> Iterator[Tensor]:
        """`(B, 84, T)` for each dilation."""
        kernels = values.new_full((len(_HEAVY), _WIDTH), -1.0)
        kernels.scatter_(1, torch.tensor(_HEAVY, device=values.device), 2.0)
        rows = values.permute(1, 2, 0)
        for dilation, channels in zip(self.dilations, self.channels, strict=True):
            weight = kernels[:, None] * channels[..., None]
            reach = dilation * (_WIDTH // 2)
            yield F.conv1d(rows, weight, padding=reach, dilation=dilation)


def dilations_of(length: int) -> list[int]:
    """From 1 to the one at which a kernel is as wide as a signal, evenly by their logarithm."""
    most = max(1.0, (length - 1) / (_WIDTH - 1))
    count = min(_DILATIONS, int(math.log2(most)) + 1)
    return sorted({int(2**power) for power in np.linspace(0, math.log2(most), count)})


def _drawn_channels(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """`(dilations, kernels, C)` bool: few channels are likelier than many, at most nine."""
    *kernels, channels = shape
    most = math.log2(min(channels, _WIDTH) + 1)
    count = (2 ** rng.uniform(0, most, kernels)).astype(np.int64)
    order = rng.random(shape).argsort(-1)
    chosen: np.ndarray = order < count[..., None]
    return chosen

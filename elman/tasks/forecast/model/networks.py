"""The three networks: a normalised window in, all horizons out.

Each takes a `Seen` and a horizon and returns `(B, H, C, Q)`: for each of C targets Q quantiles.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.engine import scan
from elman.layers import Recurrent
from elman.nest import Nest, apply
from elman.tasks.forecast.settings import ForecastSettings
from elman.tasks.setup import Setup
from elman.tasks.shared.stack import stack

_SERIES_FEATURES = 8


@dataclass(frozen=True)
class Sizes:
    """What the data asks of a network. columns: numeric ones of the table. targets, past, known:
    features of each role, the calendar among the known. levels: the quantiles that are learned,
    with the median among them."""

    series: int
    columns: int
    targets: int
    past: int
    known: int
    look_back: int
    horizon: int
    segment: int
    levels: tuple[float, ...]

    @property
    def median(self) -> int:
        return self.levels.index(0.5)


@dataclass(frozen=True)
class Seen:
    """A normalised window without missing values.

    values, observed: `(B, L, C)` float. past: `(B, L, P)`. known: `(B, L + H, F)`, where H is the
    horizon that is learned, or a longer one that is asked for. series: `(B,)`.
    """

    values: Tensor
    observed: Tensor
    past: Tensor
    known: Tensor
    series: Tensor


class SegmentNetwork(nn.Module):
    r"""A recurrent net over segments that decodes all horizons at once (SegRNN; S. Lin et al.,
    arXiv 2308.11200).

    Channels are rows of their own with the same weights. The window is cut into n segments of w
    rows, which are the time steps of the net:

    .. math::
        s_i = \mathrm{relu}(W_e\, x_{(i-1)w+1 .. iw} + b_e), \quad h_n = \mathrm{cell}(s_{1..n})

    From the last state one more step is made for each of the m segments ahead, all at once. It
    reads where the segment stands and which channel it is, and a linear map gives its w values:

    .. math:: \hat y_j = W_o\, \mathrm{cell}([p_j, c] + W_k\, k_j, h_n) + b_o, \quad j = 1..m

    p and c are learned; k are covariates known ahead. Each segment also tells which of its values
    were observed. A window that is no multiple of w is extended at its beginning.
    """

    any_horizon = False

    def __init__(self, sizes: Sizes, settings: ForecastSettings, setup: Setup) -> None:
        super().__init__()
        self.sizes, self.segment = sizes, sizes.segment
        width, hidden = sizes.segment, settings.hidden_size
        self.ahead = -(-sizes.horizon // width)
        self.embed = nn.Linear(width * segment_features(sizes), hidden)
        self.recurrent = stack(settings, setup, hidden)
        half = hidden // 2
        self.position = nn.Parameter(torch.randn(self.ahead, hidden - half))
        self.channel = nn.Embedding(sizes.series * sizes.targets, half)
        self.known = nn.Linear(width * sizes.known, hidden) if sizes.known else None
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(_width(self.recurrent), width * len(sizes.levels))

    def forward(self, seen: Seen, horizon: int) -> Tensor:
        rows, _, targets = seen.values.shape
        steps = F.relu(self.embed(self._segments(seen)))
        _, state = self.recurrent(steps)
        questions = self._questions(seen)
        state = apply(lambda leaf: leaf.repeat(self.ahead, *[1] * (leaf.dim() - 1)), state)
        answers, _ = self.recurrent(questions.flatten(0, 1)[None], cast(tuple[Nest, ...], state))
        values = self.head(self.dropout(answers[0]))
        values = values.view(self.ahead, rows, targets, self.segment, len(self.sizes.levels))
        forecasts: Tensor = values.permute(1, 0, 3, 2, 4).flatten(1, 2)[:, :horizon]
        return forecasts

    def _segments(self, seen: Seen) -> Tensor:
        """`(n, B * C, w * features)`."""
        rows, length, targets = seen.values.shape
        shared = torch.cat([seen.past, seen.known[:, :length]], -1)
        own = torch.stack([seen.values, seen.observed], -1)  # (B, L, C, 2)
        both = torch.cat([own, shared[:, :, None].expand(-1, -1, targets, -1)], -1)
        both = F.pad(both, (0, 0, 0, 0, -length % self.segment, 0))
        cut = both.unflatten(1, (-1, self.segment))  # (B, n, w, C, features)
        segments: Tensor = cut.permute(1, 0, 3, 2, 4).reshape(cut.shape[1], rows * targets, -1)
        return segments

    def _questions(self, seen: Seen) -> Tensor:
        """`(m, B * C, hidden)`: place and channel of each segment ahead, and what is known."""
        _, length, targets = seen.values.shape
        number = seen.series[:, None] * targets + torch.arange(targets, device=seen.series.device)
        channel = self.channel(number).flatten(0, 1)
        place = self.position[:, None].expand(-1, len(channel), -1)
        asked = torch.cat([place, channel[None].expand(self.ahead, -1, -1)], -1)
        if self.known is None:
            return asked
        known = seen.known[:, length : length + self.ahead * self.segment]
        known = F.pad(known, (0, 0, 0, self.ahead * self.segment - known.shape[1]))
        known = known.unflatten(1, (self.ahead, self.segment)).flatten(2).transpose(0, 1)
        asked_and_known: Tensor = asked + self.known(known).repeat_interleave(targets, dim=1)
        return asked_and_known


class AutoregressiveNetwork(nn.Module):
    r"""One step a time, the state carried on, each forecast the next input.

    .. math:: o_t, h_t = \mathrm{cell}([y_t, m_t, p_t, k_{t+1}, e], h_{t-1}), \quad
        \hat y_{t+1} = y_t + W_o o_t + b_o

    y are the values, m says which were observed, p and k are covariates known up to now and ahead,
    e is a learned vector of the series. Behind the last value y is its own forecast (the median),
    m and p are zero. Training runs the same way, so the net learns from its own forecasts.
    """

    any_horizon = True

    def __init__(self, sizes: Sizes, settings: ForecastSettings, setup: Setup) -> None:
        super().__init__()
        self.sizes, self.backend = sizes, setup.backend
        self.series = _series_embedding(sizes)
        self.recurrent = stack(settings, setup, step_features(sizes))
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(_width(self.recurrent), sizes.targets * len(sizes.levels))

    def forward(self, seen: Seen, horizon: int) -> Tensor:
        length = seen.values.shape[1]
        next_known = seen.known[:, 1 : length + horizon]
        whose = _expanded(self.series, seen.series, length + horizon - 1)
        window = torch.cat(
            [seen.values, seen.observed, seen.past, next_known[:, :length], whose[:, :length]], -1
        )
        outputs, state = self.recurrent(window.transpose(0, 1))
        step = _OwnForecast(self.recurrent, self.head, self.sizes)
        first = step.read(self.dropout(outputs[-1]), seen.values[:, -1])
        forecasts = first[None]
        if horizon > 1:
            unknown = self.sizes.targets + self.sizes.past
            blank = seen.known.new_zeros(len(first), horizon - 1, unknown)
            ahead = torch.cat([blank, next_known[:, length:], whose[:, length:]], -1)
            carry = (step.median(first), state)
            rest, _ = scan(step, ahead.transpose(0, 1), carry, backend=self.backend)
            forecasts = torch.cat([forecasts, rest])
        found: Tensor = forecasts.unflatten(-1, (-1, self.sizes.targets)).permute(1, 0, 3, 2)
        return found


@dataclass(frozen=True)
class _OwnForecast:
    """A step that reads its own forecast of the step before. Forecasts are `(B, Q * C)`."""

    recurrent: Recurrent
    head: nn.Linear
    sizes: Sizes

    def __call__(
        self, rest: Tensor, carry: tuple[Tensor, tuple[Nest, ...]]
    ) -> tuple[Tensor, tuple[Tensor, tuple[Nest, ...]]]:
        value, states = carry
        output, after = self.recurrent.step(torch.cat([value, rest], -1), states)
        forecast = self.read(output, value)
        return forecast, (self.median(forecast), after)

    def read(self, output: Tensor, value: Tensor) -> Tensor:
        """The forecasts from a net's output and the value before."""
        levels: Tensor = self.head(output) + torch.cat([value] * len(self.sizes.levels), -1)
        return levels

    def median(self, forecast: Tensor) -> Tensor:
        place, targets = self.sizes.median, self.sizes.targets
        return forecast[:, place * targets : (place + 1) * targets]


class LastStepNetwork(nn.Module):
    r"""The classic form: read the window step by step, then a linear map on the last output.

    .. math:: o_t, h_t = \mathrm{cell}([y_t, m_t, p_t, k_t, e], h_{t-1}), \quad
        \hat y_{L+j} = W_j\, o_L + W_k\, k_{L+j} + b_j, \quad j = 1..H
    """

    any_horizon = False

    def __init__(self, sizes: Sizes, settings: ForecastSettings, setup: Setup) -> None:
        super().__init__()
        self.sizes = sizes
        self.series = _series_embedding(sizes)
        self.recurrent = stack(settings, setup, step_features(sizes))
        self.dropout = nn.Dropout(settings.dropout)
        numbers = sizes.targets * len(sizes.levels)
        self.head = nn.Linear(_width(self.recurrent), sizes.horizon * numbers)
        self.known = nn.Linear(sizes.known, numbers, bias=False) if sizes.known else None

    def forward(self, seen: Seen, horizon: int) -> Tensor:
        length = seen.values.shape[1]
        whose = _expanded(self.series, seen.series, length)
        window = torch.cat(
            [seen.values, seen.observed, seen.past, seen.known[:, :length], whose], -1
        )
        outputs, _ = self.recurrent(window.transpose(0, 1))
        values = self.head(self.dropout(outputs[-1])).unflatten(-1, (self.sizes.horizon, -1))
        values = values[:, :horizon]
        if self.known is not None:
            values = values + self.known(seen.known[:, length : length + horizon])
        found: Tensor = values.unflatten(-1, (self.sizes.targets, -1))
        return found


NETWORKS: dict[str, type[SegmentNetwork | AutoregressiveNetwork | LastStepNetwork]] = {
    "segment": SegmentNetwork,
    "autoregressive": AutoregressiveNetwork,
    "last-step": LastStepNetwork,
}


def segment_features(sizes: Sizes) -> int:
    """Numbers that a segment holds for each of its rows."""
    return 2 + sizes.past + sizes.known


def step_features(sizes: Sizes) -> int:
    """Numbers that one time step of a net without segments reads."""
    series = _SERIES_FEATURES if sizes.series > 1 else 0
    return 2 * sizes.targets + sizes.past + sizes.known + series


def _width(recurrent: Recurrent) -> int:
    return cast(int, recurrent.output_size)


def _series_embedding(sizes: Sizes) -> nn.Embedding | None:
    return nn.Embedding(sizes.series, _SERIES_FEATURES) if sizes.series > 1 else None


def _expanded(embedding: nn.Embedding | None, series: Tensor, steps: int) -> Tensor:
    """`(B, steps, E)`: the vector of each row's series at every step; E is 0 without one."""
    if embedding is None:
        return torch.zeros(len(series), steps, 0, device=series.device)
    vectors: Tensor = embedding(series)[:, None].expand(-1, steps, -1)
    return vectors


def network_input(sizes: Sizes, settings: ForecastSettings) -> int:
    """Width of what the first cell reads."""
    return settings.hidden_size if settings.model == "segment" else step_features(sizes)

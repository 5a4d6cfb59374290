"""The model that a run keeps: scaling of the data, a network, and calibrated intervals.

All that was fitted is in its `state_dict`, so that a model that was loaded forecasts the same, to
the bit.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from elman.tasks.forecast.data.windows import Batch
from elman.tasks.forecast.model.networks import NETWORKS, Seen, Sizes
from elman.tasks.forecast.settings import ForecastSettings
from elman.tasks.setup import Setup

_TINY = 1e-5  # added to the variance of a window, as in RevIN: a constant window has none


@dataclass(frozen=True)
class Prediction:
    """Forecasts of a batch in standardised units.

    values: `(B, H, C, Q)`, one for each quantile. spread: `(B, 1, C)`, the unit in which errors of
    this window are counted when intervals are calibrated.
    """

    values: Tensor
    spread: Tensor


class Forecaster(nn.Module):
    """A network between window normalisation and its inverse.

    Buffers, all float64: mean, scale: `(S, K)` of each series and column over the training part.
    seasonal_error: `(S, C)` mean absolute error of seasonal naive there, in standardised units.
    margins: `(H, C)` how far intervals reach beyond the outer quantiles (or the point), in spreads.
    """

    mean: Tensor
    scale: Tensor
    seasonal_error: Tensor
    margins: Tensor

    def __init__(self, sizes: Sizes, settings: ForecastSettings, setup: Setup) -> None:
        super().__init__()
        self.sizes = sizes
        self.normalisation = settings.normalisation
        self.network = NETWORKS[settings.model](sizes, settings, setup)
        self._buffer("mean", torch.zeros(sizes.series, sizes.columns))
        self._buffer("scale", torch.ones(sizes.series, sizes.columns))
        self._buffer("seasonal_error", torch.ones(sizes.series, sizes.targets))
        self._buffer("margins", torch.zeros(sizes.horizon, sizes.targets))
        self.to(setup.device)

    def _buffer(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value.double())

    def forward(self, batch: Batch, horizon: int | None = None) -> Prediction:
        """Forecasts of the rows after each window; a horizon beyond the trained one is reached by
        feeding medians back, unless the network itself goes step by step. `batch.known` must reach
        `rows_ahead(horizon)` beyond the window."""
        horizon = horizon or self.sizes.horizon
        if horizon <= self.sizes.horizon or self.network.any_horizon:
            return self._direct(batch.values, batch.observed, batch.past, batch, 0, horizon)
        return self._fed_back(batch, horizon)

    def rows_ahead(self, horizon: int) -> int:
        """How far ahead covariates are read: in whole steps of the trained horizon, so that a
        shorter forecast is the beginning of a longer one."""
        return -(-horizon // self.sizes.horizon) * self.sizes.horizon

    def _direct(
        self, values: Tensor, observed: Tensor, past: Tensor, batch: Batch, done: int, horizon: int
    ) -> Prediction:
        """Forecasts from a window that begins `done` rows after the batch's own."""
        filled, level, spread = normalised(values, observed, self.normalisation)
        ahead = max(horizon, self.sizes.horizon)
        known = batch.known[:, done : done + values.shape[1] + ahead]
        seen = Seen(filled, observed.to(filled.dtype), past, known, batch.series)
        found = self.network(seen, horizon)
        return Prediction(found * spread[..., None] + level[..., None], spread)

    def _fed_back(self, batch: Batch, horizon: int) -> Prediction:
        values, observed, past = batch.values, batch.observed, batch.past
        length, step = values.shape[1], self.sizes.horizon
        parts: list[Prediction] = []
        for done in range(0, horizon, step):
            size = min(step, horizon - done)
            found = self._direct(values, observed, past, batch, done, size)
            parts.append(found)
            medians = found.values[..., self.sizes.median]
            values = torch.cat([values, medians], 1)[:, -length:]
            observed = torch.cat([observed, torch.ones_like(medians, dtype=torch.bool)], 1)
            observed = observed[:, -length:]
            blank = past.new_zeros(past.shape[0], size, past.shape[2])
            past = torch.cat([past, blank], 1)[:, -length:]
        return Prediction(torch.cat([part.values for part in parts], 1), parts[0].spread)


def normalised(values: Tensor, observed: Tensor, how: str) -> tuple[Tensor, Tensor, Tensor]:
    """A window `(B, L, C)` without what its level and spread say, and these two, `(B, 1, C)`.

    A missing value becomes the last one before it, or the window's level if there is none.
    """
    values = torch.where(observed, values, 0.0)
    rows = torch.arange(values.shape[1], device=values.device)[None, :, None]
    last = torch.where(observed, rows, -1).cummax(dim=1).values
    filled = values.gather(1, last.clamp(min=0))
    none = torch.zeros_like(filled[:, -1:])
    level, spread = none, torch.ones_like(none)
    if how == "last":
        level = torch.where(last[:, -1:] >= 0, filled[:, -1:], none)
    elif how == "window":
        count = observed.sum(1, keepdim=True).clamp(min=1)
        level = values.sum(1, keepdim=True) / count
        deviation = torch.where(observed, values - level, 0.0)
        spread = (deviation.square().sum(1, keepdim=True) / count + _TINY).sqrt()
    return torch.where(last >= 0, (filled - level) / spread, 0.0), level, spread

"""Windows of standardised series: what a model sees, and what it is to forecast."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from elman.tasks.forecast.data.panel import Panel
from elman.tasks.shared.epochs import Epochs, cut
from elman.tasks.shared.time.grid import Grid, calendar_features


@dataclass(frozen=True)
class Batch:
    """B windows of L rows and the H rows after them, in standardised units.

    values: `(B, L, C)` targets up to now. observed: `(B, L, C)` bool, false where a value is
    missing; what stands there is never read. past: `(B, L, P)` covariates known up to now.
    known: `(B, L + H, F)` covariates known ahead. series: `(B,)` which series it is.
    targets, wanted: `(B, H, C)` what is to be forecast, and where it is known.
    """

    values: Tensor
    observed: Tensor
    past: Tensor
    known: Tensor
    series: Tensor
    targets: Tensor
    wanted: Tensor

    def to(self, device: torch.device) -> "Batch":
        return Batch(*(getattr(self, name).to(device) for name in Batch.__dataclass_fields__))


@dataclass(frozen=True)
class Features:
    """All N rows as a model reads them: float32, standardised.

    values `(N, C)`, observed `(N, C)`, past `(N, P)`, known `(N, F)`. Missing covariates are the
    last that were known before, or the training mean.
    """

    values: np.ndarray
    observed: np.ndarray
    past: np.ndarray
    known: np.ndarray


@dataclass(frozen=True)
class Windows:
    """Places of windows. series: `(W,)`. origin: `(W,)` which of the N rows is the first to be
    forecast."""

    series: np.ndarray
    origin: np.ndarray

    def __len__(self) -> int:
        return len(self.series)


def standardised(
    panel: Panel, grid: Grid, mean: np.ndarray, scale: np.ndarray, roles: tuple[int, int, int],
    calendar: bool,
) -> Features:  # fmt: skip
    """The rows of a panel as features. mean, scale: `(S, K)`. roles: how many of the K columns are
    targets, past and future covariates."""
    owner = np.repeat(np.arange(len(panel.lengths)), panel.lengths)
    scaled = (panel.values - mean[owner]) / scale[owner]
    scaled = np.where(panel.observed, scaled, 0.0)
    targets, past, _ = roles
    covariates = _carried_forward(panel, scaled, panel.observed)[:, targets:]
    known = covariates[:, past:]
    if calendar:
        within = np.arange(len(owner)) - panel.offsets[owner]
        known = np.concatenate([known, calendar_features(grid, panel.first[owner] + within)], 1)
    return Features(
        scaled[:, :targets].astype(np.float32),
        panel.observed[:, :targets],
        covariates[:, :past].astype(np.float32),
        known.astype(np.float32),
    )


def windows_between(
    panel: Panel, look_back: int, horizon: int, start: int, stop: int, stride: int = 1
) -> Windows:
    """All windows whose targets lie in rows `start` to `stop` of the grid; what the model sees may
    reach back before `start`."""
    series, origins = [], []
    for number, (first, end, offset) in enumerate(
        zip(panel.first, panel.ends, panel.offsets, strict=True)
    ):
        earliest = max(first + look_back, start)
        latest = min(first + end, stop) - horizon
        rows = np.arange(earliest, latest + 1, stride)
        origins.append(offset + rows - first)
        series.append(np.full(len(rows), number))
    return Windows(np.concatenate(series), np.concatenate(origins).astype(np.int64))


def gather(
    features: Features, windows: Windows, chosen: np.ndarray, look_back: int, horizon: int
) -> Batch:
    """The batch of the `chosen` windows."""
    origin = windows.origin[chosen][:, None]
    seen = origin + np.arange(-look_back, 0)
    ahead = origin + np.arange(horizon)
    both = np.concatenate([seen, ahead], 1)
    return Batch(
        torch.from_numpy(features.values[seen]),
        torch.from_numpy(features.observed[seen]),
        torch.from_numpy(features.past[seen]),
        torch.from_numpy(features.known[both]),
        torch.from_numpy(windows.series[chosen]),
        torch.from_numpy(features.values[ahead]),
        torch.from_numpy(features.observed[ahead]),
    )


def shuffled(count: int, size: int, seed: int) -> Epochs:
    """Batches of at most `size` of `count` windows, every window once an epoch."""
    return Epochs(-(-count // size), seed, lambda rng: cut(rng.permutation(count), size))


def _carried_forward(panel: Panel, values: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Missing values replaced by the last one before in the same series, else by zero."""
    row = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where(observed, row, -1), axis=0)
    begin = np.repeat(panel.offsets, panel.lengths)[:, None]
    filled = np.take_along_axis(values, np.maximum(last, 0), axis=0)
    return np.where(last >= begin, filled, 0.0)

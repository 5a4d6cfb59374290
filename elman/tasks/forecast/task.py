"""Forecasting as the training loop sees it."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.nest import Nest
from elman.tasks.base import StepLoss
from elman.tasks.forecast.data.checks import notes_of
from elman.tasks.forecast.data.layout import Layout
from elman.tasks.forecast.data.panel import Panel
from elman.tasks.forecast.data.scaling import seasonal_errors, training_scale
from elman.tasks.forecast.data.windows import (
    Batch,
    Windows,
    gather,
    shuffled,
    standardised,
    windows_between,
)
from elman.tasks.forecast.model.forecaster import Forecaster, Prediction
from elman.tasks.forecast.model.networks import Sizes
from elman.tasks.forecast.settings import (
    ForecastSettings,
    interval_coverage,
    quantile_levels,
)
from elman.tasks.forecast.use.predictor import ROWS, ordered
from elman.tasks.setup import Setup
from elman.tasks.shared.epochs import cut
from elman.tasks.shared.intervals import conformal_margins
from elman.tasks.shared.time.grid import calendar_features


class ForecastTask:
    """Predict the rows after a window. Implements `elman.tasks.base.Task`."""

    name = "forecast"
    unit = "value"
    highlights: tuple[str, ...] = ("scaled_mse", "scaled_mae")
    can_choose = True

    def __init__(
        self, settings: ForecastSettings, layout: Layout, panel: Panel, setup: Setup
    ) -> None:
        self._settings, self._layout, self._device = settings, layout, setup.device
        w = layout.windowing
        mean, scale = training_scale(panel, w.train_end)
        self.model = Forecaster(sizes_of(settings, layout), settings, setup)
        seasonal = seasonal_errors(panel, len(layout.columns.targets), w.season, w.train_end)
        for buffer, value in (
            (self.model.mean, mean),
            (self.model.scale, scale),
            (self.model.seasonal_error, seasonal / scale[:, : seasonal.shape[1]]),
        ):
            buffer.copy_(torch.from_numpy(value))
        self._levels = torch.tensor(quantile_levels(settings), device=setup.device)
        self.loss_name = f"{_loss_words(settings)} of scaled values"
        self._features = standardised(
            panel, layout.grid, mean, scale, layout.columns.roles, settings.calendar
        )
        self._training = windows_between(panel, w.look_back, w.horizon, 0, w.train_end)
        self._validation = windows_between(panel, w.look_back, w.horizon, w.train_end, w.valid_end)
        self._batches = shuffled(len(self._training), settings.batch_size, setup.seed)
        self.steps_per_epoch = self._batches.steps_per_epoch
        self.notes = notes_of(layout, panel)

    def initial_carry(self) -> Nest:
        return ()

    def loss(self, step: int, carry: Nest) -> StepLoss:
        batch = self._gathered(self._training, self._batches.batch(step))
        losses = self._losses(self.model(batch), batch)
        terms = int(batch.wanted.sum())
        return StepLoss(losses.sum() / max(terms, 1), terms, ())

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """Loss over all windows of the validation part. Also sets the margins of the model's
        intervals from their errors, so that they are saved with the weights that made them."""
        self.model.eval()
        total = squared = absolute = 0.0
        count = 0
        scores, counted = [], []
        for chosen in cut(np.arange(len(self._validation)), ROWS):
            batch = self._gathered(self._validation, chosen)
            found = self.model(batch)
            total += self._losses(found, batch).double().sum().item()
            values = ordered(found.values)
            error = (values[..., self.model.sizes.median] - batch.targets)[batch.wanted].double()
            squared += error.square().sum().item()
            absolute += error.abs().sum().item()
            count += int(batch.wanted.sum())
            outside = torch.maximum(values[..., 0] - batch.targets, batch.targets - values[..., -1])
            scores.append((outside / found.spread).double().cpu().numpy())
            counted.append(batch.wanted.cpu().numpy())
        coverage = interval_coverage(self._settings)
        margins = conformal_margins(np.concatenate(scores), np.concatenate(counted), coverage)
        self.model.margins.copy_(torch.from_numpy(margins))
        self.model.train()
        return {
            "valid_loss": total / count,
            "scaled_mse": squared / count,
            "scaled_mae": absolute / count,
        }

    def _losses(self, found: Prediction, batch: Batch) -> Tensor:
        """`(B, H, C)`, zero where the target is missing."""
        error = batch.targets[..., None] - found.values
        if self._settings.quantiles is not None:
            losses = torch.maximum(self._levels * error, (self._levels - 1.0) * error)
        else:
            losses = error.abs() if self._settings.loss == "mae" else error.square()
        return torch.where(batch.wanted, losses.mean(-1), 0.0)

    def _gathered(self, windows: Windows, chosen: np.ndarray) -> Batch:
        w = self._layout.windowing
        return gather(self._features, windows, chosen, w.look_back, w.horizon).to(self._device)


def sizes_of(settings: ForecastSettings, layout: Layout) -> Sizes:
    """What the data asks of the network."""
    w, columns = layout.windowing, layout.columns
    seasons = calendar_features(layout.grid, np.arange(1)).shape[1] if settings.calendar else 0
    return Sizes(
        series=len(layout.ids),
        columns=len(columns.numeric),
        targets=len(columns.targets),
        past=len(columns.past),
        known=len(columns.future) + seasons,
        look_back=w.look_back,
        horizon=w.horizon,
        segment=w.segment,
        levels=quantile_levels(settings),
    )


def _loss_words(settings: ForecastSettings) -> str:
    if settings.quantiles is not None:
        return "quantile loss"
    return "mean absolute error" if settings.loss == "mae" else "mean squared error"

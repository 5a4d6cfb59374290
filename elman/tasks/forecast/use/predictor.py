"""A model and the series it is used on: forecasts in the table's units, with intervals."""

import numpy as np
import torch
from torch import Tensor

from elman.errors import DataError
from elman.tasks.forecast.data.layout import Layout
from elman.tasks.forecast.data.panel import Panel
from elman.tasks.forecast.data.windows import Windows, gather, standardised
from elman.tasks.forecast.model.forecaster import Forecaster
from elman.tasks.forecast.settings import (
    ForecastSettings,
    delivered_levels,
    interval_coverage,
)
from elman.tasks.forecast.use.result import WindowForecasts
from elman.tasks.shared.epochs import cut

ROWS = 256
"""Windows of one forward pass; bounds the memory, changes nothing else."""


class Predictor:
    """A model with the rows of a panel, which gets enough empty rows at its end for one forecast.

    whose: `(S',)` number in the run of each of the panel's series; None if they are the run's own.
    notes: what the user should know about how the panel was read.
    """

    def __init__(
        self, model: Forecaster, settings: ForecastSettings, layout: Layout, panel: Panel,
        whose: np.ndarray | None = None, notes: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.model, self.layout, self.notes = model, layout, notes
        self.panel = panel.extended(model.sizes.horizon)
        self.levels, self.coverage = delivered_levels(settings), interval_coverage(settings)
        self.whose = np.arange(len(panel.lengths)) if whose is None else whose
        self.mean = model.mean.cpu().numpy()[self.whose]
        self.scale = model.scale.cpu().numpy()[self.whose]
        self._features = standardised(
            self.panel, layout.grid, self.mean, self.scale, layout.columns.roles, settings.calendar
        )

    @torch.no_grad()
    def forecasts(self, windows: Windows, chosen: np.ndarray, horizon: int) -> WindowForecasts:
        """The forecasts of the `chosen` windows, in the table's units. The model must be in
        evaluation mode.

        Raises:
            DataError: a forecast that is not finite.
        """
        look_back, sizes = self.layout.windowing.look_back, self.model.sizes
        whose = Windows(self.whose[windows.series], windows.origin)
        ahead = self.model.rows_ahead(horizon)
        batch = gather(self._features, whose, chosen, look_back, ahead)
        found = self.model(batch.to(self.model.mean.device), horizon)
        values = ordered(found.values).double()
        margins = self.model.margins[torch.arange(horizon).clamp(max=sizes.horizon - 1)]
        reach = margins * found.spread
        scale, mean = self._units(windows.series[chosen])
        median = values[..., sizes.median]
        lower = torch.minimum(values[..., 0] - reach, median)
        upper = torch.maximum(values[..., -1] + reach, median)
        inner = values if sizes.median == 0 else values[..., 1:-1]
        told = torch.cat([lower[..., None], inner, upper[..., None]], -1).sort(-1).values
        quantiles = told.cpu().numpy() * scale[..., None] + mean[..., None]
        if not np.isfinite(quantiles).all():
            raise DataError(
                "a forecast must be finite, but this one leaves the range of numbers; give data "
                "like that of the training part, or a smaller --horizon"
            )
        return WindowForecasts(quantiles, median.cpu().numpy() * scale + mean)

    def actual(
        self, windows: Windows, chosen: np.ndarray, horizon: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """What came, `(B, H, C)` in the table's units, and where it is known."""
        rows = windows.origin[chosen][:, None] + np.arange(horizon)
        targets = self.model.sizes.targets
        return self.panel.values[rows, :targets], self.panel.observed[rows, :targets]

    def units(self, series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`(B, 1, C)` each: the training part's deviation, and its mean absolute error of seasonal
        naive, in the table's units."""
        scale, _ = self._units(series)
        relative = self.model.seasonal_error.cpu().numpy()[self.whose]
        return scale, relative[series][:, None] * scale

    def _units(self, series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        targets = self.model.sizes.targets
        return self.scale[series, None, :targets], self.mean[series, None, :targets]


def ordered(quantiles: Tensor) -> Tensor:
    """Quantiles that do not cross: ascending along the last axis."""
    return quantiles.sort(-1).values


def pieces(windows: Windows) -> list[np.ndarray]:
    return cut(np.arange(len(windows)), ROWS)

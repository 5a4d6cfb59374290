"""A rolling backtest: forecasts from many points in time, beside the values that followed and
naive forecasts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.tasks.forecast.data.windows import Windows
from elman.tasks.forecast.use.metrics import Totals, errors, interval_errors
from elman.tasks.forecast.use.naive import Naive
from elman.tasks.forecast.use.predictor import Predictor, pieces

MODEL, NAIVE, SEASONAL = "model", "naive", "seasonal naive"


@dataclass(frozen=True)
class Backtest:
    """What a backtest found. Metrics by name, see `use.metrics`; a metric that is
    defined for no value is None.

    overall: of the model, of naive and of seasonal naive. by_horizon: the same, a list with one
    entry for each step ahead. by_column: the same, for each target. windows: forecasts made. first,
    last: time stamps of the first and the last row that was forecast. season: in rows. nominal: the
    share of values that the intervals are meant to hold. columns: the targets. notes: what the
    user should know about how the data was read.
    """

    overall: dict[str, dict[str, float | None]]
    by_horizon: dict[str, list[dict[str, float | None]]]
    by_column: dict[str, dict[str, dict[str, float | None]]]
    windows: int
    horizon: int
    stride: int
    season: int
    nominal: float
    first: str
    last: str
    columns: tuple[str, ...]
    retrained: bool = False
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "columns": list(self.columns), "notes": list(self.notes)}


def run_backtest(
    predictor: Predictor,
    windows: Windows,
    horizon: int,
    stride: int,
    retrain: Callable[[int], Predictor] | None = None,
) -> Backtest:
    """Score the forecasts of `windows`.

    retrain: gives the predictor to use for forecasts that begin at a row of the grid; None uses the
    same for all. Scaled metrics count in the units of `predictor` throughout.
    """
    panel, layout = predictor.panel, predictor.layout
    columns, season = layout.columns.targets, layout.windowing.season
    naive = Naive(panel, len(columns), season, predictor.mean[:, : len(columns)])
    totals = {MODEL: Totals(), NAIVE: Totals(), SEASONAL: Totals()}
    rows = panel.first[windows.series] + windows.origin - panel.offsets[windows.series]
    for chosen in pieces(windows) if retrain is None else _by_row(rows):
        used = predictor if retrain is None else retrain(int(rows[chosen[0]]))
        found = used.forecasts(windows, chosen, horizon)
        actual, known = predictor.actual(windows, chosen, horizon)
        scale, seasonal_error = predictor.units(windows.series[chosen])

        def score(point: np.ndarray) -> dict[str, np.ndarray]:
            return errors(actual, point, scale, seasonal_error)  # noqa: B023 - used at once

        intervals = interval_errors(actual, found.quantiles, used.levels)
        totals[MODEL].add({**score(found.point), **intervals}, known)
        totals[NAIVE].add(score(naive.last_value(windows, chosen, horizon)), known)
        totals[SEASONAL].add(score(naive.seasonal(windows, chosen, horizon)), known)
    return Backtest(
        overall={name: total.overall() for name, total in totals.items()},
        by_horizon={name: total.by_horizon() for name, total in totals.items()},
        by_column={name: total.by_column(columns) for name, total in totals.items()},
        windows=len(windows),
        horizon=horizon,
        stride=stride,
        season=season,
        nominal=predictor.coverage,
        first=layout.grid.text(int(rows.min())),
        last=layout.grid.text(int(rows.max()) + horizon - 1),
        columns=columns,
        retrained=retrain is not None,
        notes=predictor.notes,
    )


def _by_row(rows: np.ndarray) -> list[np.ndarray]:
    """The windows that begin at each row of the grid, earliest first."""
    return [np.flatnonzero(rows == row) for row in np.unique(rows)]

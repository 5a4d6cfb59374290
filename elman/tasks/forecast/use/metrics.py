"""How far forecasts are from the values that followed: errors of values, and means over many.

Values that are missing count nowhere.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

PERCENT = 100.0
NAMES = {
    "mse": "MSE", "mae": "MAE", "scaled_mse": "scaled MSE", "scaled_mae": "scaled MAE",
    "mape": "MAPE %", "smape": "sMAPE %", "mase": "MASE", "quantile_loss": "quantile loss",
    "coverage": "coverage", "width": "width",
}  # fmt: skip
"""Every metric and its heading."""


def errors(
    actual: np.ndarray, point: np.ndarray, scale: np.ndarray, seasonal_error: np.ndarray
) -> dict[str, np.ndarray]:
    r"""The errors of forecasts `(B, H, C)`, each of that shape, NaN where not defined.

    scale: `(B, 1, C)` deviation of the training part. seasonal_error: `(B, 1, C)` mean absolute
    error of seasonal naive there (R. Hyndman, A. Koehler, 2006).

    .. math::
        e = \hat y - y, \quad \mathrm{MAPE} = 100\,|e| / |y|, \quad
        \mathrm{sMAPE} = 200\,|e| / (|y| + |\hat y|), \quad \mathrm{MASE} = |e| / q

    MAPE is not defined for y = 0; sMAPE is 0 where both are 0. An error that float64 can't hold is
    infinite.
    """
    error = point - actual
    size = np.abs(error)
    both = np.abs(actual) + np.abs(point)
    with np.errstate(over="ignore"):
        squares = error**2
    return {
        "mse": squares,
        "mae": size,
        "scaled_mse": (error / scale) ** 2,
        "scaled_mae": size / scale,
        "mape": PERCENT * _ratio(size, np.abs(actual)),
        "smape": np.where(both == 0, 0.0, 2 * PERCENT * _ratio(size, both)),
        "mase": _ratio(size, np.broadcast_to(seasonal_error, size.shape)),
    }


def interval_errors(
    actual: np.ndarray, quantiles: np.ndarray, levels: tuple[float, ...]
) -> dict[str, np.ndarray]:
    """Mean loss of quantiles `(B, H, C, Q)`, coverage and width of the interval from the first to
    the last."""
    lower, upper = quantiles[..., 0], quantiles[..., -1]
    return {
        "quantile_loss": pinball(actual[..., None], quantiles, np.array(levels)).mean(-1),
        "coverage": ((lower <= actual) & (actual <= upper)).astype(np.float64),
        "width": upper - lower,
    }


def pinball(actual: np.ndarray, quantile: np.ndarray, level: np.ndarray) -> np.ndarray:
    r"""The loss whose minimum is the quantile: :math:`\max(\tau (y - q), (\tau - 1)(y - q))`."""
    error = actual - quantile
    loss: np.ndarray = np.maximum(level * error, (level - 1.0) * error)
    return loss


class Totals:
    """Sums of errors over windows, kept for each horizon and column, `(H, C)`."""

    def __init__(self) -> None:
        self._sums: dict[str, np.ndarray] = {}
        self._counts: dict[str, np.ndarray] = {}

    def add(self, terms: Mapping[str, np.ndarray], wanted: np.ndarray) -> None:
        """Errors `(B, H, C)` by name; only those count that are `wanted` and defined."""
        for name, values in terms.items():
            counts = wanted & ~np.isnan(values)
            sums = np.where(counts, values, 0.0).sum(0)
            self._sums[name] = self._sums.get(name, 0.0) + sums
            self._counts[name] = self._counts.get(name, 0) + counts.sum(0)

    def overall(self) -> dict[str, float | None]:
        """The mean of each metric over all values; None if it is defined for none, or float64 can't
        hold it."""
        return {name: self._mean(name, ...) for name in self._sums}

    def by_horizon(self) -> list[dict[str, float | None]]:
        horizon = len(next(iter(self._sums.values()), []))
        return [{name: self._mean(name, h) for name in self._sums} for h in range(horizon)]

    def by_column(self, columns: tuple[str, ...]) -> dict[str, dict[str, float | None]]:
        return {
            column: {name: self._mean(name, (slice(None), c)) for name in self._sums}
            for c, column in enumerate(columns)
        }

    def _mean(self, name: str, where: Any) -> float | None:
        """Over the part `where` of the horizons and columns."""
        count = self._counts[name][where].sum()
        if not count:
            return None
        mean = float(self._sums[name][where].sum() / count)
        return mean if np.isfinite(mean) else None


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, NaN where that would divide by zero."""
    with np.errstate(over="ignore"):
        ratio: np.ndarray = np.divide(
            above, below, out=np.full(above.shape, np.nan), where=below != 0
        )
        return ratio

"""What anybody could forecast: the last value, or the value of one season ago."""

import numpy as np

from elman.tasks.forecast.data.panel import Panel
from elman.tasks.forecast.data.windows import Windows


class Naive:
    """Naive and seasonal naive forecasts of the targets, in the table's units.

    A missing value is replaced by the one before, for seasonal naive by the one a season before; a
    series that has none yet is forecast as `otherwise`, `(S, C)`.
    """

    def __init__(self, panel: Panel, targets: int, season: int, otherwise: np.ndarray) -> None:
        self._panel, self._season = panel, season
        self._last = np.zeros((len(panel.values), targets))
        self._seasonal = np.zeros((len(panel.values), targets))
        for number, (offset, length) in enumerate(zip(panel.offsets, panel.lengths, strict=True)):
            rows = slice(offset, offset + length)
            values, observed = panel.values[rows, :targets], panel.observed[rows, :targets]
            last = _carried(values, observed, 1, otherwise[number])
            self._last[rows] = last
            seasonal = _carried(values, observed, season, np.full(targets, np.nan))
            self._seasonal[rows] = np.where(np.isnan(seasonal), last, seasonal)

    def last_value(self, windows: Windows, chosen: np.ndarray, horizon: int) -> np.ndarray:
        """`(B, H, C)`: the last value before each window's first forecast, again and again."""
        last = self._last[windows.origin[chosen] - 1]
        return np.repeat(last[:, None], horizon, axis=1)

    def seasonal(self, windows: Windows, chosen: np.ndarray, horizon: int) -> np.ndarray:
        """`(B, H, C)`: the values of the last season, again and again."""
        ahead = np.arange(horizon)
        back = self._season * (ahead // self._season + 1)
        origin = windows.origin[chosen][:, None]
        rows = origin + ahead - back
        begin = self._panel.offsets[windows.series[chosen]][:, None]
        seasonal = self._seasonal[np.maximum(rows, begin)]
        found: np.ndarray = np.where((rows >= begin)[..., None], seasonal, self._last[origin - 1])
        return found


def _carried(
    values: np.ndarray, observed: np.ndarray, step: int, otherwise: np.ndarray
) -> np.ndarray:
    """Missing values replaced by the one `step` rows before, as often as needed."""
    step = max(1, min(step, len(values)))  # a season of many millions must not cost their memory
    filled = np.where(observed, values, otherwise)
    blank = -len(values) % step
    seasons = np.pad(filled, ((0, blank), (0, 0))).reshape(-1, step, values.shape[1])
    known = np.pad(observed, ((0, blank), (0, 0))).reshape(seasons.shape)
    number = np.where(known, np.arange(len(seasons))[:, None, None], -1)
    last = np.maximum.accumulate(number, axis=0)
    carried = np.take_along_axis(seasons, np.maximum(last, 0), axis=0)
    carried = np.where(last >= 0, carried, otherwise)
    return carried.reshape(-1, values.shape[1])[: len(values)]

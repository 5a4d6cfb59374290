"""What the training part says about the size of values and changes; nothing later counts."""

from collections.abc import Iterator

import numpy as np

from elman.tasks.forecast.panel import Panel


def training_scale(panel: Panel, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """`(S, K)` mean and deviation of each series and column before row `stop` of the grid. A column
    that does not vary keeps its unit."""
    mean = np.zeros((len(panel.lengths), panel.values.shape[1]))
    scale = np.ones_like(mean)
    for number, rows in training_rows(panel, stop):
        values, observed = panel.values[rows], panel.observed[rows]
        count = np.maximum(observed.sum(0), 1)
        mean[number] = np.where(observed, values, 0.0).sum(0) / count
        deviation = np.where(observed, values - mean[number], 0.0)
        spread = np.sqrt((deviation**2).sum(0) / count)
        scale[number] = np.where(spread > 1e-12 * np.abs(mean[number]), spread, 1.0)
    return mean, scale


def seasonal_errors(panel: Panel, targets: int, season: int, stop: int) -> np.ndarray:
    """`(S, C)` mean absolute difference between values one season apart, before row `stop` of the
    grid; 0 where there is no such pair."""
    found = np.zeros((len(panel.lengths), targets))
    for number, rows in training_rows(panel, stop):
        values, observed = panel.values[rows, :targets], panel.observed[rows, :targets]
        both = observed[season:] & observed[:-season]
        size = np.abs(values[season:] - values[:-season])
        found[number] = np.where(both, size, 0.0).sum(0) / np.maximum(both.sum(0), 1)
    return found


def training_rows(panel: Panel, stop: int) -> Iterator[tuple[int, slice]]:
    """Every series and which of the N rows are its rows before row `stop` of the grid."""
    for number, (offset, first, end) in enumerate(
        zip(panel.offsets, panel.first, panel.ends, strict=True)
    ):
        yield number, slice(offset, offset + int(np.clip(stop - first, 0, end)))

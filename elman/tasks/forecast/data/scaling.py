"""What the training part says about the size of values and changes; nothing later counts."""

from collections.abc import Iterator

import numpy as np

from elman.tasks.forecast.data.panel import Panel


def training_scale(panel: Panel, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """`(S, K)` mean and deviation of each series and column before row `stop` of the grid. A column
    that does not vary keeps its unit.

    Both are counted from the first value and in units of the largest, so that neither values near
    the ends of float64 nor small changes of large values are lost."""
    mean = np.zeros((len(panel.lengths), panel.values.shape[1]))
    scale = np.ones_like(mean)
    for number, rows in training_rows(panel, stop):
        values, observed = panel.values[rows], panel.observed[rows]
        if not len(values):
            continue
        first = np.take_along_axis(values, observed.argmax(0)[None], axis=0)[0]
        change = np.where(observed, values - first, 0.0)
        unit = np.abs(change).max(0)
        unit = np.where(unit > 0, unit, 1.0)
        count = np.maximum(observed.sum(0), 1)
        centre = (change / unit).sum(0) / count
        deviation = np.where(observed, change / unit - centre, 0.0)
        spread = unit * np.sqrt((deviation**2).sum(0) / count)
        mean[number] = first + unit * centre
        scale[number] = np.where(spread > 0, spread, 1.0)
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

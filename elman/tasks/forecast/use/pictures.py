"""A forecast over its history, and the error of each step ahead, as PNG."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from elman import pictures
from elman.tasks.forecast.use.backtest import MODEL, NAIVE, SEASONAL, Backtest
from elman.tasks.shared.time.grid import Grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_PANELS = 4
_MOST_HISTORY = 4  # horizons
_LEAST_HISTORY = 60  # rows


@dataclass(frozen=True)
class Drawing:
    """One series of one column. rows: grid rows of the history `(N,)`. history: NaN where missing.
    ahead: rows of the forecast `(H,)`, and what it says. actual: the values that
    followed, if they are known. seasonal: what seasonal naive says, to compare with."""

    title: str
    rows: np.ndarray
    history: np.ndarray
    ahead: np.ndarray
    point: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    seasonal: np.ndarray
    actual: np.ndarray | None = None


def draw_forecasts(drawings: Sequence[Drawing], grid: Grid, coverage: float) -> bytes:
    """Forecasts with their intervals, one axis for each of the first four."""
    shown = list(drawings)[:_MOST_PANELS]
    figure = pictures.figure(8.0, 1.2 + 2.4 * len(shown))
    for index, drawing in enumerate(shown):
        axes = figure.add_subplot(len(shown), 1, index + 1)
        _draw(axes, drawing, grid, coverage)
        if len(drawings) > len(shown):
            axes.set_title(f"{index + 1} of {len(drawings)}", loc="right", fontsize=8)
        if index == 0:
            figure.legend(
                *axes.get_legend_handles_labels(), frameon=False, fontsize=8, ncols=5,
                loc="outside lower center",
            )  # fmt: skip
    return pictures.png(figure)


def draw_errors(backtest: Backtest) -> bytes:
    """Mean absolute error of each step ahead: the model beside what anybody could have said."""
    many = len(backtest.columns) > 1
    metric = "scaled_mae" if many else "mae"
    figure = pictures.figure(7.2, 4.2)
    axes = figure.add_subplot()
    steps = np.arange(1, backtest.horizon + 1)
    styles = {
        NAIVE: (pictures.GREY, "--", "naive: the last value"),
        SEASONAL: (pictures.RED, "-", f"seasonal naive: {backtest.season} rows ago"),
        MODEL: (pictures.BLUE, "-", "model"),
    }
    for name, (color, line, label) in styles.items():
        if name == SEASONAL and backtest.season == 1:
            continue  # the same as naive
        values = [entry.get(metric) for entry in backtest.by_horizon[name]]
        found = np.array([np.nan if value is None else value for value in values])
        marker = "o" if backtest.horizon <= 30 else None
        axes.plot(steps, found, color=color, ls=line, marker=marker, ms=3, label=label)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("steps ahead")
    axes.set_ylabel(
        "scaled MAE, all columns" if many else f"MAE, in units of {backtest.columns[0]}"
    )
    title = f"{backtest.windows:,} forecasts, {backtest.first} to {backtest.last}"
    axes.set_title(title, loc="left", fontsize=10)
    pictures.open_axes(axes)
    axes.legend(frameon=False)
    return pictures.png(figure)


def history_rows(horizon: int, look_back: int, season: int) -> int:
    """Rows of history that make a forecast readable."""
    return max(look_back, min(3 * season, _MOST_HISTORY * horizon), 2 * horizon, _LEAST_HISTORY)


def _draw(axes: "Axes", drawing: Drawing, grid: Grid, coverage: float) -> None:
    before, ahead = _moments(grid, drawing.rows), _moments(grid, drawing.ahead)
    axes.plot(before, drawing.history, color="#3d4852", lw=1.2, label="history")
    if drawing.actual is not None:
        axes.plot(ahead, drawing.actual, color="#3d4852", lw=1.2, ls=":", label="actual")
    axes.fill_between(
        ahead, drawing.lower, drawing.upper, color=pictures.BLUE, alpha=0.2, lw=0,
        label=f"{coverage:.0%} interval",
    )  # fmt: skip
    axes.plot(ahead, drawing.seasonal, color=pictures.RED, lw=0.9, ls="--", label="seasonal naive")
    marker = "o" if len(ahead) == 1 else None
    axes.plot(ahead, drawing.point, color=pictures.BLUE, lw=1.6, marker=marker, label="forecast")
    axes.set_title(drawing.title, loc="left", fontsize=10)
    pictures.open_axes(axes)
    if grid.style.dated:
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        places = AutoDateLocator()
        axes.xaxis.set_major_locator(places)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(places))


def _moments(grid: Grid, rows: np.ndarray) -> np.ndarray:
    """What matplotlib puts on the axis: dates, or the index."""
    stamps = grid.stamps(rows)
    return stamps.view("datetime64[us]") if grid.style.dated else stamps

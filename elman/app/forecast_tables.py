"""Backtests and forecasts as text for a terminal."""

from elman.tasks.forecast import Backtest, Forecast
from elman.tasks.forecast.use.backtest import MODEL, NAIVE, SEASONAL
from elman.tasks.forecast.use.metrics import NAMES

_OF_ANY_UNIT = ("scaled_mse", "scaled_mae", "mape", "smape", "mase", "coverage")
_OF_ONE_UNIT = ("mse", "mae", *_OF_ANY_UNIT[2:-1], "quantile_loss", "coverage", "width")
_STEPS = (1, 2, 3, 4, 6, 8, 12, 18, 24, 36, 48, 72, 96, 144, 192, 336, 720)
_MOST_STEPS = 14
_MOST_DIGITS = 1e15  # numbers from here on are told with an exponent


def backtest_table(backtest: Backtest, by_horizon: bool = True) -> str:
    """The scores of model, naive and seasonal naive; by step ahead, too, and by column if many."""
    many = len(backtest.columns) > 1
    metrics = _OF_ANY_UNIT if many else (*_OF_ONE_UNIT, "scaled_mse", "scaled_mae")
    how = ", trained anew for each" if backtest.retrained else ""
    parts = [
        f"{backtest.windows:,} forecasts of {backtest.horizon} rows, every {backtest.stride}, from "
        f"{backtest.first} to {backtest.last}{how}; intervals meant to hold {backtest.nominal:.0%}",
        _scores(backtest, metrics),
    ]
    if backtest.season == 1:
        parts.append("there is no season, so seasonal naive is naive; give one with --season")
    if many:
        rows = [
            [
                column,
                *(_number(backtest.by_column[name][column].get("scaled_mae")) for name in _NAMED),
            ]
            for column in backtest.columns
        ]
        parts.append(_aligned([["scaled MAE by column", *_NAMED.values()], *rows]))
    if by_horizon:
        parts.append(_by_horizon(backtest, "scaled_mae" if many else "mae"))
    return "\n\n".join(parts)


def forecast_table(forecast: Forecast) -> str:
    rows = [[_number(cell) for cell in row] for row in forecast.rows()]
    low, high = f"{forecast.levels[0]:.3g}", f"{forecast.levels[-1]:.3g}"
    head = _aligned([forecast.header, *rows], left=1 if forecast.id_column is None else 2)
    return (
        f"{head}\nlow and high are the quantiles {low} and {high}: {forecast.coverage:.0%} between"
    )


_NAMED = {MODEL: "model", NAIVE: "naive", SEASONAL: "seasonal naive"}


def _scores(backtest: Backtest, metrics: tuple[str, ...]) -> str:
    names = {**_NAMED, SEASONAL: f"seasonal naive ({backtest.season})"}
    rows = [
        [label, *(_number(backtest.overall[name].get(metric)) for metric in metrics)]
        for name, label in names.items()
    ]
    return _aligned([["", *(NAMES[metric] for metric in metrics)], *rows])


def _by_horizon(backtest: Backtest, metric: str) -> str:
    """The main error of all three, and what else is known of the model, for some steps."""
    steps = list(range(1, backtest.horizon + 1))
    if len(steps) > _MOST_STEPS:
        steps = sorted({step for step in _STEPS if step < backtest.horizon} | {backtest.horizon})
    model = backtest.by_horizon[MODEL]
    more = ("mape", "mase", "coverage")
    head = [
        f"{NAMES[metric]} by step",
        *_NAMED.values(),
        *(f"model {NAMES[name]}" for name in more),
    ]
    rows = [
        [
            str(step),
            *(_number(backtest.by_horizon[name][step - 1].get(metric)) for name in _NAMED),
            *(_number(model[step - 1].get(name)) for name in more),
        ]
        for step in steps
    ]
    return _aligned([head, *rows])


def _number(value: str | float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:,.1f}" if 1e5 <= abs(value) < _MOST_DIGITS else f"{value:.4g}"


def _aligned(rows: list[list[str]], left: int = 1) -> str:
    """Columns side by side, the first `left` to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )

"""What a forecasting model is made of and how its table is read."""

from dataclasses import dataclass

from elman.errors import ArgumentError
from elman.settings import changed, setting
from elman.tasks.shared.stack import StackSettings

MODELS = ("segment", "autoregressive", "last-step")
NORMALISATIONS = ("last", "window", "none")
LOSSES = ("mae", "mse")


@dataclass(frozen=True, kw_only=True)
class ForecastSettings(StackSettings):
    hidden_size: int = changed(StackSettings, "hidden_size", 128, minimum=2)
    dropout: float = changed(
        StackSettings,
        "dropout",
        0.3,
        help="share of values zeroed before the read-out and between layers",
    )
    model: str = setting(
        "segment",
        "segment: a recurrent net over segments, all horizons decoded at once; autoregressive: one "
        "step a time, its own forecasts fed back; last-step: a linear map on the last output",
        choices=MODELS,
    )
    look_back: int | None = setting(
        None, "rows that the model sees (default: from the frequency)", minimum=1
    )
    horizon: int | None = setting(
        None, "rows that it learns to forecast (default: from the frequency)", minimum=1
    )
    segment: int | None = setting(
        None, "rows in one segment, segment model only (default: from the horizon)", minimum=1
    )
    normalisation: str = setting(
        "last",
        "what is taken out of each window: last = its last value is subtracted, window = its mean "
        "and deviation, none = nothing",
        choices=NORMALISATIONS,
    )
    loss: str = setting("mae", "loss of a model without --quantiles", choices=LOSSES)
    quantiles: str | None = setting(
        None, "learn these quantiles, such as 0.1,0.5,0.9, instead of one point"
    )
    coverage: float = setting(
        0.9,
        "share of values that intervals should hold (without --quantiles)",
        above=0.0,
        below=1.0,
    )
    calendar: bool = setting(
        False, "the season of each row (month, week, weekday, hour) is an input known ahead"
    )
    time_column: str | None = setting(None, "column of time stamps (default: found by itself)")
    targets: str | None = setting(
        None, "columns to forecast, as a,b (default: all numeric ones without another role)"
    )
    past: str | None = setting(None, "columns known up to now only, as a,b")
    future: str | None = setting(None, "columns known ahead, as a,b")
    id_column: str | None = setting(None, "column that tells series apart, for many in one table")
    season: int | None = setting(
        None, "rows in a season, for seasonal naive (default: from the frequency)", minimum=1
    )
    validation_part: float = setting(
        0.1, "rows kept for validation: a share below 1, or a number of rows", above=0.0
    )
    test_part: float = setting(
        0.2, "rows at the end kept for the test: a share below 1, or a number of rows", minimum=0.0
    )
    preset: str = setting(
        "none",
        "ett: the protocol of the ETT hourly benchmarks (rows 8640, 2880, 2880; look-back 96)",
        choices=("none", "ett"),
    )
    batch_size: int = setting(64, "windows in one training step", minimum=1)


@dataclass(frozen=True, kw_only=True)
class BacktestSettings:
    """How a model is backtested."""

    horizon: int | None = setting(None, "rows ahead (default: as many as it learned)", minimum=1)
    stride: int = setting(1, "rows from one forecast to the next", minimum=1)
    retrain: bool = setting(False, "train anew for every forecast; slow")


def listed(text: str | None) -> list[str]:
    """The names in `a,b`."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def quantile_levels(settings: ForecastSettings) -> tuple[float, ...]:
    """The quantiles that the head learns, ascending; `(0.5,)` stands for a point.

    Raises:
        ArgumentError: not numbers between 0 and 1, or without the median.
    """
    if settings.quantiles is None:
        return (0.5,)
    try:
        levels = tuple(sorted({float(part) for part in listed(settings.quantiles)}))
    except ValueError:
        levels = ()
    if len(levels) < 3 or 0.5 not in levels or not 0.0 < levels[0] <= levels[-1] < 1.0:
        raise ArgumentError(
            f"quantiles must be numbers between 0 and 1, with 0.5 and one on each side of it, such "
            f"as 0.1,0.5,0.9; got {settings.quantiles!r}"
        )
    if not levels[0] < 0.5 < levels[-1]:
        raise ArgumentError(
            f"quantiles must have one below and one above 0.5, got {settings.quantiles!r}"
        )
    return levels


def delivered_levels(settings: ForecastSettings) -> tuple[float, ...]:
    """The quantiles that forecasts tell: the head's, or the point and its interval's ends."""
    levels = quantile_levels(settings)
    if len(levels) > 1:
        return levels
    tail = round((1.0 - settings.coverage) / 2, 10)
    return (tail, 0.5, round(1.0 - tail, 10))


def interval_coverage(settings: ForecastSettings) -> float:
    """The share of values that the intervals are meant to hold."""
    levels = quantile_levels(settings)
    return settings.coverage if len(levels) == 1 else round(levels[-1] - levels[0], 10)

"""The commands of the forecasting task."""

from typing import Annotated, Any

import typer

from elman.app import terminal
from elman.app.forecast_tables import backtest_table, forecast_table
from elman.app.loading import load_as
from elman.app.options import (
    AsJson,
    Device,
    OwnCell,
    Run,
    Threads,
    TrainOptions,
    trains,
)
from elman.app.retrain import Retraining
from elman.app.training import Report, train_run
from elman.artifacts.load import SavedRun
from elman.artifacts.run_folder import RunFolder
from elman.errors import ArgumentError
from elman.tasks import TASKS
from elman.tasks.forecast import Backtest, TrainedForecast

MEASURES = (
    "a rolling backtest over the test part, or over all of DATA: errors, and how many values the "
    "intervals held, beside naive (the last value again) and seasonal naive (the last season "
    "again). Scaled errors are in deviations of the training part."
)


def add_commands(app: typer.Typer, train: typer.Typer) -> None:
    """Put this task's commands into the program."""
    train.command("forecast")(train_forecast)
    app.command("forecast")(forecast)


@trains(TASKS["forecast"])
def train_forecast(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]",
            help="CSV or Parquet file with a column of time stamps. "
            "Without it: the weekly CO2 record of Mauna Loa (pip install 'elman[demo]').",
        ),
    ],
    options: TrainOptions,
) -> None:
    """Train a model of time series that can then go on with them.

    The last rows are kept for a test, which is made once at the end, beside naive forecasts.

    Examples:

    elman train forecast sales.csv --targets units --horizon 14

    elman train forecast shops.parquet --id-column shop --future price,holiday

    elman train forecast ETTh1.csv --preset ett
    """
    train_run("forecast", None if data is None else [data], options, report)


def report(folder: RunFolder, model: TrainedForecast) -> Report:
    """The results of training, and what to do next."""
    best = min(folder.read_metrics(), key=lambda record: record["valid_loss"])
    text = (
        f"best validation loss {best['valid_loss']:.4f} (scaled MSE {best['scaled_mse']:.4f}, "
        f"scaled MAE {best['scaled_mae']:.4f}) at step {best['step']}"
    )
    next = f"next: elman forecast {folder}   elman evaluate {folder}"
    if not model.keeps_test:
        return Report(text, [next])
    files = (
        f"pictures of the test: {folder.path / 'forecast.png'}   "
        f"{folder.path / 'errors.png'}   numbers: {folder.path / 'results.json'}"
    )
    test = model.evaluate()
    table = backtest_table(test, by_horizon=False)
    return Report(f"{text}\n{table}", [files, next], test.to_json())


def evaluate(
    run: SavedRun, model: TrainedForecast, data: str | None, given: dict[str, Any]
) -> Backtest:
    """`elman evaluate` for a forecasting run."""
    retrain = Retraining(run, model) if given.pop("retrain", False) else None
    return model.evaluate(data, **given, retrain=retrain)


table = backtest_table


def forecast(
    run: Run,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]",
            help="CSV or Parquet file with the columns of the run; the forecast goes on from its "
            "end. Without it: from the end of the data that the run was trained on.",
        ),
    ] = None,
    horizon: Annotated[
        int | None,
        typer.Option(metavar="N", help="Rows to forecast [default: as many as it learned]"),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: AsJson = False,
    picture: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also draw it, over its history, as PNG.")
    ] = None,
    cell: OwnCell = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Say how the series go on, with real dates and intervals.

    Covariates that are known ahead stand in rows after the last target, which leave it empty.

    Examples:

    elman forecast runs/forecast-001 --horizon 26

    elman forecast runs/forecast-001 newer.csv --csv > ahead.csv

    elman forecast runs/forecast-001 --picture ahead.png
    """
    if as_csv and as_json:
        raise ArgumentError("--csv and --json were both given; choose one")
    model = load_as(
        TrainedForecast, run, cell, device,
        "is no forecasting run; `elman forecast` goes on with one",
    )  # fmt: skip
    found = model.forecast(data, horizon)
    _tell(found.notes)
    if picture is not None:
        terminal.file(picture, model.draw(data, horizon))
        terminal.note(f"picture: {picture}")
    if as_json:
        terminal.result_as_json(found.to_json())
    elif as_csv:
        terminal.result(found.to_csv(), end="")
    else:
        terminal.result(forecast_table(found))
    if (horizon or 0) > model.horizon:
        terminal.note(
            f"note: the model learned {model.horizon} rows ahead; beyond them it reads its own "
            f"forecasts, and the intervals are only as wide as that of row {model.horizon}"
        )


def _tell(notes: tuple[str, ...]) -> None:
    for text in notes:
        terminal.note(f"note: {text}")

"""The commands for a run of any task: `resume` and `evaluate`."""

from types import ModuleType
from typing import Annotated, Any

import typer

from elman.app import classify, forecast, language, terminal
from elman.app.classify import DataFormat, Encoding, Header, TextColumn
from elman.app.language import Unknown
from elman.app.options import AsJson, Device, OwnCell, Run
from elman.app.progress import Watcher
from elman.app.retrain import Retraining
from elman.app.training import named_cell
from elman.artifacts.load import load
from elman.artifacts.run_folder import open_run
from elman.errors import ArgumentError
from elman.train.fit import resume as resume_run

COMMANDS: dict[str, ModuleType] = {
    "language": language,
    "classify": classify,
    "forecast": forecast,
}
"""What the command line does for each task: `add_commands(app, train)`, `report(folder, model)`,
`evaluate(model, data, as_json, **options)`."""


def add_commands(app: typer.Typer, train: typer.Typer) -> None:
    """Put the commands of all tasks into the program, and those that serve any task."""
    for commands in COMMANDS.values():
        commands.add_commands(app, train)
    app.command("resume")(resume)
    app.command("evaluate")(evaluate)


def resume(
    run: Run,
    steps: Annotated[int | None, typer.Option(metavar="N", help="New budget: steps in all")] = None,
    epochs: Annotated[float | None, typer.Option(metavar="N", help="New budget: epochs")] = None,
    minutes: Annotated[float | None, typer.Option(metavar="N", help="New budget: minutes")] = None,
    cell: OwnCell = None,
) -> None:
    """Go on with a run where it stopped, or with a larger budget.

    Examples:

    elman resume runs/language-001

    elman resume runs/language-001 --steps 10000
    """
    watcher = Watcher()
    folder = open_run(run)
    before = folder.read_metrics()
    try:
        model = resume_run(
            run, cell=named_cell(cell), listener=watcher, steps=steps, epochs=epochs,
            minutes=minutes,
        )  # fmt: skip
    finally:
        watcher.close()
    if before == folder.read_metrics():
        terminal.note(
            "the run is finished: its budget is used up, or it stopped getting better; give a "
            "larger budget, for example --steps, to go on"
        )
    COMMANDS[folder.read_config().task].report(folder, model)


def evaluate(
    run: Run,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]",
            help="Data to measure on, of the kind that the run was trained on; "
            "without it what the run kept for that.",
        ),
    ] = None,
    as_json: AsJson = False,
    window: Annotated[
        int | None,
        typer.Option(min=1, help="language: length of the windows from zero state [default: 256]"),
    ] = None,
    unknown: Annotated[
        Unknown | None,
        typer.Option(help="language: characters never seen in training: stop, or leave them out."),
    ] = None,
    data_format: DataFormat = None,
    header: Header = None,
    text_column: TextColumn = None,
    label_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="classify: column with the label [default: as in training]"
        ),
    ] = None,
    encoding: Encoding = None,
    horizon: Annotated[
        int | None,
        typer.Option(metavar="N", help="forecast: rows ahead [default: as many as it learned]"),
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option(metavar="N", help="forecast: rows from one forecast to the next [default: 1]"),
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="forecast: train anew for every forecast; slow.")
    ] = False,
    cell: OwnCell = None,
    device: Device = "cpu",
) -> None:
    """Measure how good a model is on data that it was not trained on.

    language: nats, bits and perplexity, with the state carried through the whole text and over
    windows that each begin with a zero state (how models that see a fixed window are scored).

    classify: accuracy, macro F1, log loss, calibration error, and a table of the labels; without
    DATA on the run's test part.

    forecast: a rolling backtest over the test part, or over all of DATA: errors, and how many
    values the intervals held, beside naive (the last value again) and seasonal naive (the last
    season again). Scaled errors are in deviations of the training part.

    Examples:

    elman evaluate runs/language-001

    elman evaluate runs/language-001 other.txt --window 128 --json

    elman evaluate runs/classify-001 other.csv --text-column name --label-column language

    elman evaluate runs/forecast-001 --horizon 6 --stride 3
    """
    options: dict[str, Any] = {
        "window": window, "unknown": unknown and unknown.value, "data_format": data_format,
        "header": header, "text_column": text_column, "label_column": label_column,
        "encoding": encoding, "horizon": horizon, "stride": stride, "retrain": retrain or None,
    }  # fmt: skip
    given = {name: value for name, value in options.items() if value is not None}
    own = named_cell(cell)
    model = load(run, cell=own, device=device)
    folder = open_run(run)
    task = folder.read_config().task
    commands = COMMANDS[task]
    _refuse_others(task, given, commands)
    if retrain:
        given["retrain"] = Retraining(folder, own, model)
    commands.evaluate(model, data, as_json, **given)


def _refuse_others(task: str, given: dict[str, Any], commands: ModuleType) -> None:
    """Raise on an option that says nothing to this task."""
    known = commands.evaluate.__kwdefaults__ or {}
    for name in given:
        if name not in known:
            flag = "--" + name.replace("_", "-")
            raise ArgumentError(f"{flag} is not for a {task} run; leave it out")

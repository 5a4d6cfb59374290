"""The commands for a run of any task: `resume` and `evaluate`."""

import inspect
from typing import Annotated, Any

import typer

from elman.app import terminal
from elman.app.folds import resume_folds
from elman.app.options import AsJson, Device, OwnCell, Run, Threads, options_of, takes, use_threads
from elman.app.progress import Watcher
from elman.app.tasks import COMMANDS
from elman.app.training import named_cell, tell
from elman.artifacts.load import read_run
from elman.artifacts.run_folder import fold_folders, open_run
from elman.errors import ArgumentError
from elman.settings import build, names
from elman.tasks import TASKS
from elman.tasks.setup import Setup
from elman.train.fit import resume as resume_run
from elman.train.settings import CHANGEABLE, TrainingSettings


def add_commands(app: typer.Typer, train: typer.Typer) -> None:
    """Put the commands of all tasks into the program, and those that serve any task."""
    for commands in COMMANDS.values():
        commands.add_commands(app, train)
    app.command("resume")(resume)
    app.command("evaluate", help=_help_of_evaluate())(evaluate)


@takes(options_of(TrainingSettings, {"patience": None}, only=CHANGEABLE))
def resume(run: Run, given: dict[str, Any], as_json: AsJson = False, cell: OwnCell = None) -> None:
    """Go on with a run where it stopped, or with another budget, counted from its beginning.

    Examples:

    elman resume runs/language-001

    elman resume runs/language-001 --steps 10000
    """
    if fold_folders(run):
        resume_folds(run, named_cell(cell), given, as_json)
        return
    watcher = Watcher()
    folder = open_run(run)
    settings = folder.read_config().settings | given
    use_threads(build(TrainingSettings, settings, "resume").threads)
    before = folder.read_metrics()
    try:
        model = resume_run(run, cell=named_cell(cell), listener=watcher, **given)
    finally:
        watcher.close()
    if before == folder.read_metrics():
        terminal.note(
            "the run is finished: its budget is used up, or it stopped getting better; give a "
            "larger budget, for example --steps, or --patience 0, to go on"
        )
    tell(folder, COMMANDS[folder.read_config().task].report(folder, model), as_json)


def _options_of_evaluate() -> list[inspect.Parameter]:
    """Those of all tasks; one that two tasks take is one option."""
    options: dict[str, inspect.Parameter] = {}
    for name, kind in TASKS.items():
        for option in options_of(kind.evaluation, prefix=f"{name}: "):
            options.setdefault(option.name, option)
    return list(options.values())


@takes(_options_of_evaluate())
def evaluate(
    run: Run,
    given: dict[str, Any],
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]",
            help="Data to measure on, of the kind that the run was trained on; "
            "without it what the run kept for that.",
        ),
    ] = None,
    as_json: AsJson = False,
    cell: OwnCell = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Measure how good a model is on data that it was not trained on."""
    saved = read_run(run, named_cell(cell))
    task = saved.kind.name
    _refuse_others(task, given, names(saved.kind.evaluation))
    model = saved.trained(Setup.of(saved.cell, device))
    found = COMMANDS[task].evaluate(saved, model, data, given)
    for text in found.notes:
        terminal.note(f"note: {text}")
    if as_json:
        terminal.result_as_json(found.to_json())
    else:
        terminal.result(COMMANDS[task].table(found))


def _help_of_evaluate() -> str:
    measures = [f"{name}: {commands.MEASURES}" for name, commands in COMMANDS.items()]
    return "\n\n".join([str(evaluate.__doc__), *measures, "Examples:", *_EXAMPLES])


_EXAMPLES = (
    "elman evaluate runs/language-001",
    "elman evaluate runs/language-001 other.txt --window 128 --json",
    "elman evaluate runs/classify-001 other.csv --text-column name --label-column language",
    "elman evaluate runs/forecast-001 --horizon 6 --stride 3",
)


def _refuse_others(task: str, given: dict[str, Any], known: list[str]) -> None:
    """Raise on an option that says nothing to this task."""
    for name in given:
        if name not in known:
            flag = "--" + name.replace("_", "-")
            raise ArgumentError(f"{flag} is not for a {task} run; leave it out")

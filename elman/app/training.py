"""What the commands `elman train TASK` and `elman resume` have in common."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tomli_w

from elman.app import terminal
from elman.app.options import TrainOptions, read_config_file, use_threads
from elman.app.progress import Watcher
from elman.artifacts.checkpoint import read_progress
from elman.artifacts.run_folder import RunFolder
from elman.settings import build, given, names, refuse_unknown
from elman.tasks import TASKS
from elman.tasks.cell import CellClass, find_cell
from elman.train.fit import resume, start, with_defaults
from elman.train.settings import TrainingSettings


@dataclass(frozen=True)
class Report:
    """The results of training. text: for people. notes: what helps, and what to do next. test:
    what `results.json` holds; None if the task has no test."""

    text: str
    notes: list[str]
    test: dict[str, Any] | None = None


def train_run(
    task: str,
    data: list[str] | None,
    options: TrainOptions,
    report: Callable[[RunFolder, Any], Report],
) -> None:
    """Train as the command line says, and tell the results; or print the settings."""
    classes, settings = (TASKS[task].settings, TrainingSettings), chosen(task, options)
    if options.print_config:
        complete = with_defaults(TASKS[task], settings)
        parts = (build(cls, complete, "settings") for cls in classes)
        values = {k: v for part in parts for k, v in given(part).items()}
        if options.as_json:
            terminal.result_as_json(values)
        else:
            terminal.result(tomli_w.dumps(values), "")
        return
    use_threads(build(TrainingSettings, settings, "settings").threads)
    watcher = Watcher()
    try:
        begun = start(task, data, options.run, force=options.force, listener=watcher, **settings)
        model = resume(begun.folder.path, cell=begun.cell, listener=watcher)
    finally:
        watcher.close()
    tell(begun.folder, report(begun.folder, model), options.as_json)


def tell(folder: RunFolder, report: Report, as_json: bool) -> None:
    """Print the results of training, and notes about them."""
    if as_json:
        terminal.result_as_json({**_kept(folder), "test": report.test})
    else:
        terminal.result(report.text)
    terminal.note(f"model: {folder.model}   curves: {folder.curves}")
    for text in report.notes:
        terminal.note(text)


def _kept(folder: RunFolder) -> dict[str, Any]:
    """A run, how far it has come, and the evaluation of the weights that it keeps."""
    progress = read_progress(folder)
    records = {record["step"]: record for record in folder.read_metrics()}
    return {
        "run": str(folder),
        "task": folder.read_config().task,
        "steps": progress.step,
        "seconds": progress.seconds,
        "kept": records.get(progress.kept_step),
    }


def chosen(task: str, options: TrainOptions) -> dict[str, Any]:
    """The settings that the user gave, on the command line or in a file."""
    classes = (TASKS[task].settings, TrainingSettings)
    config = options.config
    settings = read_config_file(config, *classes) if config else {}
    refuse_unknown(settings, names(*classes), str(config))
    if config:  # checked by itself first, so that a message names the file
        for cls in classes:
            build(cls, settings, config)
    return settings | options.settings


def named_cell(name: object) -> CellClass | None:
    """The class that `--cell` names."""
    return find_cell(name) if isinstance(name, str) else None

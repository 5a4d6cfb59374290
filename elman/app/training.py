"""What the commands `elman train TASK` and `elman resume` have in common."""

from pathlib import Path
from typing import Any

import tomli_w

from elman.app import terminal
from elman.app.options import TrainOptions, read_config_file
from elman.app.progress import Watcher
from elman.artifacts.run_folder import RunFolder
from elman.settings import build, given, names, refuse_unknown
from elman.tasks import TASKS
from elman.tasks.cell import CellClass, find_cell
from elman.train.fit import resume, start, with_defaults
from elman.train.settings import TrainingSettings


def train_run(
    task: str, data: list[str] | None, options: TrainOptions
) -> tuple[RunFolder, Any] | None:
    """Train as the command line says: the run and its model, or None if settings were printed."""
    classes, settings = (TASKS[task].settings, TrainingSettings), chosen(task, options)
    if options.print_config:
        complete = with_defaults(TASKS[task], settings)
        parts = (build(cls, complete, "settings") for cls in classes)
        terminal.result(tomli_w.dumps({k: v for part in parts for k, v in given(part).items()}), "")
        return None
    watcher = Watcher()
    try:
        begun = start(task, data, options.run, force=options.force, listener=watcher, **settings)
        return begun.folder, resume(begun.folder.path, cell=begun.cell, listener=watcher)
    finally:
        watcher.close()


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


def report_files(folder: Path) -> None:
    """Where the model and its picture lie."""
    terminal.note(f"model: {folder / 'model.safetensors'}   curves: {folder / 'curves.png'}")

"""`fit` and `resume`: from data, or from a run folder, to a trained model."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from elman.artifacts.checkpoint import read_progress
from elman.artifacts.load import cell_of, kind_of, load, restored
from elman.artifacts.run_folder import RunConfig, RunFolder, create_run, next_free, open_run
from elman.engine import BACKENDS
from elman.errors import ArgumentError, RunError
from elman.paths import paths_of
from elman.settings import build, names, recorded, refuse_unknown
from elman.tasks import TASKS, TaskKind
from elman.tasks.cell import CellClass, describe, find_cell
from elman.train.listener import Listener
from elman.train.loop import train
from elman.train.schedule import Origin, Schedule
from elman.train.settings import BUDGET, TrainingSettings


def fit(
    task: str,
    data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    run: str | os.PathLike[str] | None = None,
    *,
    cell: str | CellClass | None = None,
    force: bool = False,
    listener: Listener | None = None,
    **settings: Any,
) -> Any:
    """Train a model; what `elman train` does.

    Args:
        task: "language", "classify" or "forecast".
        data: a path or several (for language: UTF-8 files, folders, or "-" for standard input; for
            classify: one folder of LABEL.txt files, CSV, TSV, JSON lines or .ts file; for forecast:
            one CSV or Parquet file); None takes the task's built-in data.
        run: folder to write to; None counts up, `runs/language-001`.
        cell: a name as for `--cell`, or a class that is built as `cell(input_size, hidden_size)`.
        force: replace `run` if it is an older run.
        listener: is told how training goes.
        settings: those of the command line, with underscores: `hidden_size=128, minutes=3`.

    Returns:
        What `elman.load(run)` returns: the model that was best on validation.

    Raises:
        ArgumentError, DataError, RunError, TrainingError, Interrupted: see `elman.errors`.

    Example:
        >>> import elman
        >>> model = elman.fit("language", "book.txt", minutes=3)  # doctest: +SKIP
        >>> print(model.generate("Once upon"))  # doctest: +SKIP
    """
    folder = start(task, data, run, cell=cell, force=force, listener=listener, **settings)
    own = cell if callable(cell) or cell is None else find_cell(cell)
    return resume(folder.path, cell=own, listener=listener)


def start(
    task: str,
    data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    run: str | os.PathLike[str] | None = None,
    *,
    cell: str | CellClass | None = None,
    force: bool = False,
    listener: Listener | None = None,
    **settings: Any,
) -> RunFolder:
    """The first half of `fit`: a run folder with settings and data, ready for step 1."""
    if task not in TASKS:
        raise ArgumentError(f"task must be one of {', '.join(TASKS)}, got {task!r}")
    kind = TASKS[task]
    refuse_unknown(settings, names(kind.settings, TrainingSettings), "settings")
    found, named = _chosen_cell(cell)
    task_settings: Any = build(kind.settings, {**settings, **named}, "settings")
    training = build(TrainingSettings, with_defaults(kind, settings), "settings")
    if not named:
        found = find_cell(task_settings.cell)
    check_backend(training.backend)
    _device(training.device)

    def fill(folder: RunFolder) -> None:
        prepared = kind.prepare(paths_of(data), task_settings, found, folder.data, training.seed)
        folder.write_vocabulary(prepared.vocabulary)
        values = {**recorded(task_settings), **recorded(training)}
        folder.write_config(RunConfig(task, values, prepared.data, asdict(Origin())))

    folder = create_run(Path(run) if run is not None else next_free(task), force, fill)
    (listener or Listener()).created(folder)
    return folder


def resume(
    run: str | os.PathLike[str],
    *,
    cell: CellClass | None = None,
    listener: Listener | None = None,
    **budget: Any,
) -> Any:
    """Go on with a run where it stopped; what `elman resume` does.

    Args:
        run: its folder.
        cell: the class of the cell, if the run was started with one of your own.
        listener: is told how training goes.
        budget: `steps`, `epochs` or `minutes` in all, in place of the run's own budget. The
            learning-rate schedule then begins anew at the current step.

    Returns:
        What `elman.load(run)` returns. A finished run is loaded and left as it is.
    """
    refuse_unknown(budget, list(BUDGET), "resume")
    folder = open_run(run)
    config = folder.read_config()
    kind = kind_of(config, folder)
    cell = cell_of(config, folder, cell)
    if given_budget := {k: v for k, v in budget.items() if v is not None}:
        config = _with_budget(config, given_budget, folder)
    task_settings: Any = build(kind.settings, config.settings, f"{folder}/config.toml")
    training = build(TrainingSettings, config.settings, f"{folder}/config.toml")
    device = _device(training.device)
    with _torch_state(training):
        torch.manual_seed(training.seed)
        task = kind.open_task(
            task_settings, restored(folder, config), cell, training.seed, device, training.backend
        )
        schedule = Schedule(training, task.steps_per_epoch, _origin(config, folder))
        train(task, folder, training, schedule, listener or Listener())
        trained = load(folder.path, cell=cell, device=training.device, backend=training.backend)
        if outcome := kind.finish(trained):
            folder.write_outcome(outcome)
    return trained


def with_defaults(kind: TaskKind, settings: dict[str, Any]) -> dict[str, Any]:
    """Training settings completed by the task's own defaults, and by its budget if there is
    none."""
    chosen = {name: value for name, value in settings.items() if value is not None}
    budget = {} if chosen.keys() & set(BUDGET) else kind.budget
    return {**kind.training, **budget, **chosen}


def check_backend(name: str) -> None:
    if name not in BACKENDS:
        raise ArgumentError(f"backend must be one of {', '.join(BACKENDS)}, got {name!r}")


def _chosen_cell(cell: str | CellClass | None) -> tuple[CellClass | None, dict[str, str]]:
    """The class, and what the run records about it; nothing if the settings are to decide."""
    if cell is None:
        return None, {}
    if isinstance(cell, str):
        return find_cell(cell), {"cell": cell}
    return cell, {"cell": describe(cell)}


def _with_budget(config: RunConfig, budget: dict[str, Any], folder: RunFolder) -> RunConfig:
    """The configuration with another budget, on disk before the first step under it."""
    build(TrainingSettings, budget, "resume")
    settings = {k: v for k, v in config.settings.items() if k not in BUDGET} | budget
    if settings == config.settings:
        return config
    progress = read_progress(folder)
    origin = Origin(progress.step, progress.seconds)
    config = RunConfig(config.task, settings, config.data, asdict(origin))
    folder.write_config(config)
    return config


def _origin(config: RunConfig, folder: RunFolder) -> Origin:
    try:
        return Origin(int(config.schedule["step"]), float(config.schedule["seconds"]))
    except (KeyError, TypeError, ValueError):
        raise RunError(
            f"{folder}/config.toml: the [schedule] table must hold step and seconds"
        ) from None


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ArgumentError(f"device {name!r} can't be used here: {reason}; try cpu") from None
    return device


@contextmanager
def _torch_state(settings: TrainingSettings) -> Iterator[None]:
    """Thread count and random state of the process are put back after training."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng():
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads)

"""`fit` and `resume`: from data, or from a run folder, to a trained model."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from elman.artifacts.checkpoint import read_progress
from elman.artifacts.load import SavedRun, read_run
from elman.artifacts.lock import locked
from elman.artifacts.run_folder import RunConfig, RunFolder, create_run, open_run, place_for
from elman.errors import ArgumentError, RunError
from elman.paths import paths_of
from elman.settings import build, names, recorded, refuse_unknown
from elman.tasks import TASKS, TaskKind
from elman.tasks.cell import CellClass, describe, find_cell
from elman.tasks.setup import Setup
from elman.train.listener import Listener
from elman.train.loop import train
from elman.train.schedule import Origin, Schedule
from elman.train.settings import BUDGET, CHANGEABLE, TrainingSettings


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
    started = start(task, data, run, cell=cell, force=force, listener=listener, **settings)
    return resume(started.folder.path, cell=started.cell, listener=listener)


@dataclass(frozen=True)
class Started:
    """A run that is ready for step 1, and the class of its cell; None for the perceptron."""

    folder: RunFolder
    cell: CellClass | None


def start(
    task: str,
    data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    run: str | os.PathLike[str] | None = None,
    *,
    cell: str | CellClass | None = None,
    force: bool = False,
    listener: Listener | None = None,
    **settings: Any,
) -> Started:
    """The first half of `fit`: a run folder with settings and data."""
    if task not in TASKS:
        raise ArgumentError(f"task must be one of {', '.join(TASKS)}, got {task!r}")
    kind = TASKS[task]
    refuse_unknown(settings, names(kind.settings, TrainingSettings), "settings")
    named = cell if isinstance(cell, str | None) else describe(cell)
    given = settings if named is None else {**settings, "cell": named}
    task_settings: Any = build(kind.settings, given, "settings")
    training = build(TrainingSettings, with_defaults(kind, settings), "settings")
    found = cell if callable(cell) else find_cell(task_settings.cell)
    setup = Setup.of(found, training.device, training.backend, training.seed)

    def fill(folder: RunFolder) -> None:
        prepared = kind.prepare(paths_of(data), task_settings, setup, folder.data)
        folder.write_vocabulary(prepared.vocabulary)
        fitting = training
        if prepared.budget is not None:
            completed = with_defaults(kind, settings, prepared.budget)
            fitting = build(TrainingSettings, completed, "settings")
        values = {**recorded(task_settings), **recorded(fitting)}
        folder.write_config(RunConfig(task, values, prepared.data, asdict(Origin())))

    with place_for(task, run) as place:
        folder = create_run(place, force, fill)
    (listener or Listener()).created(folder)
    return Started(folder, found)


def resume(
    run: str | os.PathLike[str],
    *,
    cell: CellClass | None = None,
    listener: Listener | None = None,
    **changes: Any,
) -> Any:
    """Go on with a run where it stopped; what `elman resume` does.

    Args:
        run: its folder.
        cell: the class of the cell, if the run was started with one of your own.
        listener: is told how training goes.
        changes: `steps`, `epochs` or `minutes` in all, in place of the run's own budget: the
            learning-rate schedule then begins anew at the current step. And `patience`.

    Returns:
        What `elman.load(run)` returns. A finished run is loaded and left as it is.

    Raises:
        RunError: see `elman.load`; or something else trains the run at the same time.
    """
    refuse_unknown(changes, list(CHANGEABLE), "resume")
    with locked(open_run(run).path):
        return _go_on(run, cell, listener or Listener(), changes)


def _go_on(
    run: str | os.PathLike[str],
    cell: CellClass | None,
    listener: Listener,
    changes: dict[str, Any],
) -> Any:
    """`resume`, when the run is locked."""
    saved = read_run(run, cell)
    saved = _changed(saved, {k: v for k, v in changes.items() if v is not None})
    training = build(TrainingSettings, saved.config.settings, saved.source)
    setup = Setup.of(saved.cell, training.device, training.backend, training.seed)
    with _torch_state(training):
        torch.manual_seed(training.seed)
        task = saved.kind.open_task(saved.settings, saved.kept, setup)
        if not task.can_choose and training.keep == "auto":  # then stopping would be luck, too
            training = replace(training, patience=0)
        schedule = Schedule(training, task.steps_per_epoch, _origin(saved))
        train(task, saved.folder, training, schedule, listener)
        trained = saved.trained(setup)
        if outcome := saved.kind.finish(trained):
            saved.folder.write_outcome(outcome)
    return trained


def with_defaults(
    kind: TaskKind, settings: dict[str, Any], budget: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Training settings completed by the task's own defaults, and by its budget, or the one that
    its data asks for, if there is none."""
    chosen = {name: value for name, value in settings.items() if value is not None}
    usual = {} if chosen.keys() & set(BUDGET) else budget or kind.budget
    return {**kind.training, **usual, **chosen}


def _changed(saved: SavedRun, changes: dict[str, Any]) -> SavedRun:
    """The run with other settings, on disk before the first step under them. A new budget takes
    the place of the whole old one."""
    build(TrainingSettings, changes, "resume")
    config = saved.config
    has_budget = not changes.keys().isdisjoint(BUDGET)
    dropped = (*BUDGET, "least_steps") if has_budget else ()
    settings = {k: v for k, v in config.settings.items() if k not in dropped} | changes
    if settings == config.settings:
        return saved
    schedule = config.schedule
    if has_budget and any(settings.get(k) != config.settings.get(k) for k in BUDGET):
        progress = read_progress(saved.folder)
        schedule = asdict(Origin(progress.step, progress.seconds))
    config = replace(config, settings=settings, schedule=schedule)
    saved.folder.write_config(config)
    return replace(saved, config=config)


def _origin(saved: SavedRun) -> Origin:
    schedule = saved.config.schedule
    try:
        return Origin(int(schedule["step"]), float(schedule["seconds"]))
    except (KeyError, TypeError, ValueError):
        raise RunError(f"{saved.source}: the [schedule] table must hold step and seconds") from None


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

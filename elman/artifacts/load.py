"""`elman.load`: a trained model from its run folder."""

import os
from dataclasses import dataclass
from typing import Any

import torch

from elman.artifacts.lock import holder
from elman.artifacts.run_folder import RunConfig, RunFolder, open_run
from elman.artifacts.weights import fill_module, load_tensors
from elman.errors import ArgumentError, RunError
from elman.settings import build
from elman.tasks import TASKS, TaskKind
from elman.tasks.base import Restored
from elman.tasks.cell import CellClass, find_cell, is_own
from elman.tasks.setup import Setup


@dataclass(frozen=True)
class SavedRun:
    """A run folder that was read, once for all that is done with it.

    settings: the task's own. cell: the class of the cell; None for the perceptron. kept: what the
    task's kind makes of the data. made: the folder's `made` when it was read.
    """

    folder: RunFolder
    config: RunConfig
    kind: TaskKind
    settings: Any
    cell: CellClass | None
    kept: Any
    made: int

    @property
    def source(self) -> str:
        """What messages about its settings begin with."""
        return f"{self.folder}/config.toml"

    def trained(self, setup: Setup) -> Any:
        """The model with the weights that were best on validation.

        Raises:
            RunError: there are none yet, or they do not fit.
        """
        if not self.folder.model.exists():
            writer = holder(self.folder.path)
            why = (
                f"it is being trained by {writer}; wait for its first evaluation"
                if writer
                else f"training stopped before its first evaluation; go on with `elman resume "
                f"{self.folder}`"
            )
            raise RunError(f"{self.folder} has no model yet: {why}")
        with torch.random.fork_rng():  # the weights are drawn before they are filled in
            trained = self.kind.open_trained(self.settings, self.kept, setup)
        tensors, _ = load_tensors(self.folder.model)
        if self.folder.made != self.made:
            raise RunError(
                f"{self.folder} was replaced by another run while it was being read; try again"
            )
        fill_module(trained.model, tensors, self.folder.model)
        return trained


def read_run(run: str | os.PathLike[str], cell: CellClass | None = None) -> SavedRun:
    """The run in a folder. cell: its class, if it is one of the user's own.

    Raises:
        RunError: no run, damaged, or of a newer format.
        ArgumentError: the run was started with a class of the user's own and `cell` is missing.
    """
    folder = open_run(run)
    made = folder.made
    config = folder.read_config()
    kind = _kind_of(config, folder)
    settings: Any = build(kind.settings, config.settings, f"{folder}/config.toml")
    found = _cell_of(config, folder, cell)
    restored = Restored(folder.read_vocabulary(), config.data, folder.data)
    return SavedRun(folder, config, kind, settings, found, kind.restore(restored), made)


def load(
    run: str | os.PathLike[str],
    cell: CellClass | None = None,
    *,
    device: str = "cpu",
    backend: str = "auto",
) -> Any:
    """The trained model of a run folder, with the weights that were best on validation.

    Args:
        run: the folder.
        cell: the class of the cell, if the run was trained with a class of your own. A run folder
            records its name only, and nothing is imported because a run folder says so.
        device: where the model runs, "cpu" or "cuda".
        backend: what `elman.scan` runs on.

    Returns:
        For a language run a `TrainedLanguage`, with `generate`, `evaluate` and `score`; for a
        classification run a `TrainedClassifier`, with `predict`, `probabilities` and `evaluate`;
        for a forecasting run a `TrainedForecast`, with `forecast` and `evaluate`.

    Raises:
        RunError: no run, damaged, of a newer format, or not trained yet.
        ArgumentError: the run was trained with a class of your own and `cell` is missing; or a
            device or backend that is not there.
    """
    saved = read_run(run, cell)
    return saved.trained(Setup.of(saved.cell, device, backend))


def _kind_of(config: RunConfig, folder: RunFolder) -> TaskKind:
    try:
        return TASKS[config.task]
    except KeyError:
        raise RunError(
            f"{folder} holds a run of task {config.task!r}, which this elman does not know; "
            f"it knows {', '.join(TASKS)}"
        ) from None


def _cell_of(config: RunConfig, folder: RunFolder, cell: CellClass | None) -> CellClass | None:
    """The run's cell: `cell` if given, else the built-in one that the run names."""
    name = config.settings.get("cell", "")
    if cell is not None:
        return cell
    if not isinstance(name, str) or is_own(name):
        raise ArgumentError(
            f"{folder} was trained with a cell of your own, {name}; name it again, with --cell "
            f"file.py:Name or elman.load(run, cell=Name), since a run folder never imports code"
        )
    return find_cell(name)

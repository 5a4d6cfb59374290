"""The commands of each task: one row for one task."""

from typing import Any, Protocol

import typer

from elman.app import classify, forecast, language
from elman.app.training import Report
from elman.artifacts.load import SavedRun
from elman.artifacts.run_folder import RunFolder


class Evaluated(Protocol):
    """What was measured. notes: things that the user should know about the data."""

    @property
    def notes(self) -> tuple[str, ...]: ...

    def to_json(self) -> dict[str, Any]: ...


class TaskCommands(Protocol):
    """The module of a task."""

    MEASURES: str
    """What `elman evaluate` measures, for its help."""

    def add_commands(self, app: typer.Typer, train: typer.Typer) -> None:
        """Put the task's own commands into the program."""
        ...

    def report(self, folder: RunFolder, model: Any) -> Report:
        """The results of training, and what to do next."""
        ...

    def evaluate(
        self, run: SavedRun, model: Any, data: str | None, given: dict[str, Any]
    ) -> Evaluated:
        """Measure. given: options of the kind's `evaluation` class that the user gave."""
        ...

    def table(self, found: Any) -> str:
        """The same for people."""
        ...


COMMANDS: dict[str, TaskCommands] = {
    "language": language,
    "classify": classify,
    "forecast": forecast,
}

"""What somebody who watches a training run is told."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from elman.artifacts.checkpoint import Progress
from elman.artifacts.run_folder import RunFolder
from elman.tasks.base import Task

if TYPE_CHECKING:
    from elman.train.schedule import Schedule


class Listener:
    """Override what is of interest; every method does nothing by itself."""

    def created(self, folder: RunFolder) -> None:
        """The run folder is there, with configuration and data; no step was made yet."""

    def folds_created(self, folder: Path) -> None:
        """The run folders of a cross-validation are there, in `folder`."""

    def fold_begun(self, number: int, count: int) -> None:
        """Fold `number` of `count` begins, or goes on."""

    def started(self, task: Task, schedule: "Schedule", progress: Progress) -> None:
        """Training begins, or goes on from `progress`."""

    def stepped(self, progress: Progress, loss: float) -> None:
        """One training step is done."""

    def ended(self, progress: Progress, why: str) -> None:
        """The run is finished; `progress.kept_step` tells whose weights it keeps."""

    def evaluated(self, record: dict[str, Any]) -> None:
        """A line was added to `metrics.jsonl`; the best model so far is on disk."""

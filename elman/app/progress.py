"""Showing how training goes."""

import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar

from elman.app import terminal
from elman.app.pace import Pace, clock
from elman.artifacts.checkpoint import Progress
from elman.artifacts.run_folder import RunFolder
from elman.tasks.base import Task
from elman.train.listener import Listener
from elman.train.schedule import Schedule

_SILENT = 60.0  # seconds without a line, where there is no bar, and
_SHARE = 0.02  # share of the whole time, so that no log is flooded


class Watcher(Listener):
    """A progress bar on a terminal, and a line for every evaluation anywhere. Where there is no
    bar, as in a log, a line comes now and then between evaluations that are far apart."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or terminal.errors()
        self._bar: Bar | None = None
        self._row: TaskID | None = None
        self._schedule: Schedule | None = None
        self._pace: Pace | None = None
        self._said = 0.0
        self._unit = ""
        self._highlights: tuple[str, ...] = ()
        self._shown = 0.0

    def created(self, folder: RunFolder) -> None:
        self.say(f"run folder: {folder}")

    def folds_created(self, folder: Path) -> None:
        self.say(f"a run folder for each fold, in {folder}")

    def fold_begun(self, number: int, count: int) -> None:
        self.close()
        self.say(f"fold {number} of {count}")

    def started(self, task: Task, schedule: Schedule, progress: Progress) -> None:
        self._schedule, self._unit = schedule, task.unit
        self._highlights = task.highlights
        self._said = time.monotonic()
        self._pace = Pace(schedule, progress, self._said)
        for text in task.notes:
            self.say(f"note: {text}")
        if schedule.finished(progress):
            return
        parameters = sum(parameter.numel() for parameter in task.model.parameters())
        begun = f", going on from step {progress.step:,}" if progress.step else ""
        self.say(
            f"training {parameters:,} parameters, {self._length(schedule)}{begun}; "
            f"losses in {task.loss_name}"
        )
        if self.console.is_terminal:
            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(16),
                TaskProgressColumn(),
                TextColumn("{task.fields[pace]}"),
                console=self.console,
                transient=True,
            )
            self._row = self._bar.add_task("training", total=1.0, pace="")
            self._bar.start()

    def stepped(self, progress: Progress, loss: float) -> None:
        if self._schedule is None or self._pace is None:
            return
        now = time.monotonic()
        self._pace.stepped(now)
        if self._bar is None or self._row is None:
            if now - self._said > self._silence(self._pace):
                self._line(progress.step, f"training {progress.loss_sum / progress.loss_terms:.4f}")
        elif now - self._shown > 0.1:
            self._shown = now
            self._bar.update(
                self._row,
                completed=self._schedule.share(progress),
                description=f"step {progress.step:,}, loss {loss:.3f}",
                pace=" ".join(self._times(self._pace).split()),
            )

    def evaluated(self, record: dict[str, Any]) -> None:
        if self._pace is not None:
            self._pace.evaluated(time.monotonic())
        self._line(
            record["step"],
            f"training {record['train_loss']:.4f}  validation {record['valid_loss']:.4f}"
            f"{''.join(f'  {name} {record[name]:.4f}' for name in self._highlights)}",
        )

    def _line(self, step: int, losses: str) -> None:
        assert self._pace is not None
        self._said = time.monotonic()
        self.say(f"step {step:>7,}  {self._times(self._pace)}  {losses}")

    def _times(self, pace: Pace) -> str:
        """Time so far, time left, speed. Each has its width, so that lines stand under each
        other."""
        left = pace.left()
        known = "" if left is None else f"{clock(left)} left"
        return f"{clock(pace.elapsed()):>7}, {known:>12}  {pace.speed():>7,.0f} {self._unit}s/s"

    @staticmethod
    def _silence(pace: Pace) -> float:
        """Seconds that a log is silent at most."""
        return max(_SILENT, _SHARE * (pace.elapsed() + (pace.left() or 0.0)))

    def ended(self, progress: Progress, why: str) -> None:
        schedule = self._schedule
        assert schedule is not None
        whole = f" of {schedule.last_step:,}" if schedule.last_step is not None else ""
        self.say(
            f"training ended at step {progress.step:,}{whole}: {why}; kept: the weights of step "
            f"{progress.kept_step:,}"
        )

    def say(self, text: str) -> None:
        self.console.print(terminal.harmless(text), markup=False)

    def close(self) -> None:
        """Take the bar off the screen; safe to call at any time, also twice."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _length(self, schedule: Schedule) -> str:
        parts = []
        if schedule.last_step is not None:
            epochs = schedule.last_step / schedule.steps_per_epoch
            parts.append(f"to step {schedule.last_step:,} ({epochs:.2g} epochs)")
        if schedule.settings.minutes is not None:
            parts.append(f"for {terminal.duration(schedule.settings.minutes)}")
        if schedule.settings.patience:
            evaluations = f"{schedule.settings.patience} evaluations"
            parts.append(f"until validation is no better in {evaluations}")
        return " or ".join(parts)

"""How far a run has come, and the learning rate that follows from it."""

import math
from dataclasses import dataclass

from elman.artifacts.checkpoint import Progress
from elman.train.settings import TrainingSettings

MOST_EVALUATIONS = 50
"""Evaluations in a budget of steps whose epochs are short."""


@dataclass(frozen=True)
class Origin:
    """Where the schedule begins: zero, or where a run was resumed with a new budget."""

    step: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Schedule:
    """Budget and learning rate of a run.

    A run without any budget never ends by itself; `fit` gives it the task's.

    The learning rate rises linearly over the warm-up and then falls along a cosine to its final
    share. With a budget of minutes it follows the clock, otherwise the number of steps.
    """

    settings: TrainingSettings
    steps_per_epoch: int
    origin: Origin

    @property
    def last_step(self) -> int | None:
        """The step at which the budget of steps or epochs ends; None with minutes alone."""
        ends = []
        if self.settings.steps is not None:
            ends.append(self.settings.steps)
        if self.settings.epochs is not None:
            steps = math.ceil(self.settings.epochs * self.steps_per_epoch)
            ends.append(max(steps, self.settings.least_steps))
        return min(ends, default=None)

    @property
    def evaluate_every(self) -> int:
        """Steps between evaluations. An epoch of few steps ends more often than is worth a look."""
        if self.settings.evaluate_every:
            return self.settings.evaluate_every
        return max(self.steps_per_epoch, math.ceil((self.last_step or 0) / MOST_EVALUATIONS))

    def finished(self, progress: Progress) -> bool:
        """Whether the budget is used up, or validation has not become better for too long."""
        return self.end(progress) is not None

    def end(self, progress: Progress) -> str | None:
        """Why a run ends here, in words; None if it goes on."""
        if self.share(progress) >= 1.0:
            return "its budget is used up"
        if self._out_of_patience(progress):
            return f"validation was no better in {self.settings.patience} evaluations (--patience)"
        return None

    def _out_of_patience(self, progress: Progress) -> bool:
        """Not in the first half of the budget: at a high learning rate, and with few examples,
        validation gets no better for long before it does."""
        if not self.settings.patience or progress.best is None or self.share(progress) < 0.5:
            return False
        since = max(progress.best_step, self.origin.step)
        return progress.step - since >= self.settings.patience * self.evaluate_every

    def share(self, progress: Progress) -> float:
        """How much of the budget is used, 0 to 1, counted from the origin."""
        shares = [0.0]
        if self.last_step is not None:
            shares.append(_share(progress.step, self.origin.step, self.last_step))
        if self.settings.minutes is not None:
            end = 60.0 * self.settings.minutes
            shares.append(_share(progress.seconds, self.origin.seconds, end))
        return max(shares)

    def learning_rate(self, progress: Progress) -> float:
        final = self.settings.final_learning_rate
        cosine = 0.5 * (1.0 + math.cos(math.pi * self.share(progress)))
        rise = self._rise(progress)
        return self.settings.learning_rate * rise * (final + (1.0 - final) * cosine)

    def _rise(self, progress: Progress) -> float:
        """How far the rate has risen, 0 to 1: at the clock's pace, or step by step."""
        share, warmup = self.share(progress), self.settings.warmup
        if self.last_step is not None:
            share += 1 / max(self.last_step - self.origin.step, 1)  # so that no step is in vain
        return min(1.0, share / warmup) if warmup > 0 else 1.0


def _share(now: float, begin: float, end: float) -> float:
    return 1.0 if now >= end else (now - begin) / (end - begin)

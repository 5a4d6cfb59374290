"""How far a run has come, and the learning rate that follows from it."""

import math
from dataclasses import dataclass

from elman.artifacts.checkpoint import Progress
from elman.train.settings import TrainingSettings


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
            ends.append(math.ceil(self.settings.epochs * self.steps_per_epoch))
        return min(ends, default=None)

    @property
    def evaluate_every(self) -> int:
        return self.settings.evaluate_every or self.steps_per_epoch

    def finished(self, progress: Progress) -> bool:
        """Whether the budget is used up, or validation has not become better for too long."""
        return self.share(progress) >= 1.0 or self._out_of_patience(progress)

    def _out_of_patience(self, progress: Progress) -> bool:
        if not self.settings.patience or progress.best is None:
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
        rise = (progress.step - self.origin.step + 1) / max(1, self.settings.warmup_steps)
        return self.settings.learning_rate * min(1.0, rise) * (final + (1.0 - final) * cosine)


def _share(now: float, begin: float, end: float) -> float:
    return 1.0 if now >= end else (now - begin) / (end - begin)

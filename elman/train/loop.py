"""The training loop, from the first step to the last, in one function."""

import math
import time
from typing import Any

import torch

from elman.artifacts.checkpoint import Progress, load_checkpoint, save_checkpoint
from elman.artifacts.curves import draw_curves
from elman.artifacts.run_folder import RunFolder
from elman.artifacts.weights import save_tensors
from elman.errors import Interrupted, TrainingError
from elman.tasks.base import Task
from elman.train.interrupt import InterruptRequests
from elman.train.listener import Listener
from elman.train.schedule import Schedule
from elman.train.settings import TrainingSettings


def train(
    task: Task,
    folder: RunFolder,
    settings: TrainingSettings,
    schedule: Schedule,
    listener: Listener,
) -> Progress:
    """Train until the budget is used up, going on from the folder's checkpoint if it has one.

    Step number n reads the batch of n and draws its dropout from a seed made of the run's seed and
    n, so a run that was interrupted and resumed equals one that was not, to the bit.

    Raises:
        TrainingError: the loss is not finite; the best model stays as it is.
        Interrupted: a signal asked to stop; a checkpoint was saved.
    """
    optimizer = torch.optim.AdamW(
        task.model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    progress, carry = load_checkpoint(folder, task.model, optimizer, task.initial_carry())
    records = [record for record in folder.read_metrics() if record["step"] <= progress.step]
    listener.started(task, schedule, progress)
    begin = progress.step
    task.model.train()
    keeps_best = settings.keep == "best" or (settings.keep == "auto" and task.can_choose)
    clock = _Clock(progress)
    with InterruptRequests() as interrupts:
        while not schedule.finished(progress):
            rate = schedule.learning_rate(progress)
            for group in optimizer.param_groups:
                group["lr"] = rate
            _seed_step(settings.seed, progress.step)

            loss = task.loss(progress.step, carry)
            optimizer.zero_grad()
            loss.mean.backward()
            norm = torch.nn.utils.clip_grad_norm_(
                task.model.parameters(), settings.clip or math.inf
            )
            value = loss.mean.item()
            if not (math.isfinite(value) and math.isfinite(norm.item())):
                raise _not_finite(progress.step + 1, value, rate, folder)
            optimizer.step()

            carry = loss.carry
            progress.step += 1
            progress.seen += loss.terms
            progress.loss_sum += value * loss.terms
            progress.loss_terms += loss.terms
            clock.update()
            finished = schedule.finished(progress)
            listener.stepped(progress, value)

            if finished or progress.step % schedule.evaluate_every == 0:
                record = _evaluate(task, progress, rate)
                better = progress.best is None or record["valid_loss"] < progress.best
                if better:
                    progress.best, progress.best_step = record["valid_loss"], progress.step
                if better or not keeps_best:
                    progress.kept_step = progress.step
                    save_tensors(folder.model, task.model.state_dict(), {"step": progress.step})
                progress.loss_sum, progress.loss_terms = 0.0, 0
                records.append(record)
                folder.write_metrics(records)
                listener.evaluated(record)
            clock.update()
            finished = schedule.finished(progress)  # evaluating takes time, too
            if finished or interrupts.requested or progress.step % settings.save_every == 0:
                save_checkpoint(folder, progress, task.model, optimizer, carry)
            if interrupts.requested and not finished:
                _draw(records, task, progress, folder)
                raise Interrupted(
                    f"stopped after step {progress.step} and saved; "
                    f"go on with `elman resume {folder}`",
                    interrupts.requested,
                )
    folder.write_metrics(records)
    _draw(records, task, progress, folder)
    if progress.step > begin:
        listener.ended(progress, schedule.end(progress) or "")
    return progress


class _Clock:
    """Adds the time that passes to `progress.seconds`."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._last = time.monotonic()

    def update(self) -> None:
        now = time.monotonic()
        self._progress.seconds += now - self._last
        self._last = now


def _seed_step(seed: int, step: int) -> None:
    """A random stream of its own for every step, so that no generator state has to be saved."""
    torch.manual_seed((seed * 1_000_003 + step) % 2**63)


def _evaluate(task: Task, progress: Progress, rate: float) -> dict[str, Any]:
    terms = max(progress.loss_terms, 1)
    return {
        "step": progress.step,
        f"seen_{task.unit}s": progress.seen,
        "train_loss": progress.loss_sum / terms,
        **task.validate(),
        f"{task.unit}s_per_second": round(progress.seen / max(progress.seconds, 1e-9), 1),
        "learning_rate": rate,
        "seconds": round(progress.seconds, 3),
    }


def _not_finite(step: int, loss: float, rate: float, folder: RunFolder) -> TrainingError:
    what = f"the loss is {loss}" if not math.isfinite(loss) else "the gradient is not finite"
    kept = "the best model so far is kept" if folder.model.exists() else "no model was saved yet"
    return TrainingError(
        f"training stopped at step {step}: {what} (a finite number was expected) at learning rate "
        f"{rate:.3g}; {kept} in {folder}; try a smaller --learning-rate or --clip"
    )


def _draw(records: list[dict[str, Any]], task: Task, progress: Progress, folder: RunFolder) -> None:
    title = f"{task.name}: {progress.step:,} steps, {progress.seconds / 60:.1f} minutes"
    draw_curves(records, task.unit, task.loss_name, title, folder.curves)

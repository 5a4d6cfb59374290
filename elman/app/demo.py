"""`elman demo`: a minute that shows what elman is for."""

import inspect
from pathlib import Path
from typing import Annotated, cast

import torch
import typer

from elman.app import terminal
from elman.app.options import AsJson, Threads
from elman.app.own_cell import Leaky
from elman.app.progress import Watcher
from elman.app.race import ROWS, STEPS, Race, race
from elman.artifacts.checkpoint import Progress
from elman.errors import TrainingError
from elman.tasks.base import Task
from elman.tasks.language import LanguageTask, Sampling, TrainedLanguage
from elman.train.fit import resume, start
from elman.train.schedule import Schedule

SAME = 1e-4
"""Difference of gradients, as a share of the largest, that single precision explains."""

PROMPT = "The class of an object "
_LENGTH = 160


class _Sampler(Watcher):
    """Shows what one prompt gives before training, half-way, and at the end."""

    def started(self, task: Task, schedule: Schedule, progress: Progress) -> None:
        super().started(task, schedule, progress)
        self._task = cast(LanguageTask, task)
        self._half_shown = False
        self.sample("before training")

    def stepped(self, progress: Progress, loss: float) -> None:
        super().stepped(progress, loss)
        assert self._schedule is not None
        if not self._half_shown and self._schedule.share(progress) >= 0.5:
            self._half_shown = True
            self.sample("half-way")

    def sample(self, when: str) -> None:
        model = TrainedLanguage(self._task.model, self._task.vocabulary)
        self.show(when, model)
        self._task.model.train()

    def show(self, when: str, model: TrainedLanguage) -> None:
        text = "".join(model.stream(PROMPT, _LENGTH, Sampling(temperature=0.7), seed=1))
        indented = (PROMPT + text).strip().replace("\n", "\n    ")
        self.console.print(f"\n  {when}:", style="bold")
        self.say(f"    {indented}\n")


def _show_race(watcher: Watcher) -> Race:
    """A cell of one's own, trained as a Python loop and through the compiled loop."""
    source = inspect.getsource(Leaky).strip().replace("\n", "\n    ")
    watcher.say("elman demo: a recurrent cell is one time step in plain Python, for example\n")
    watcher.say(f"    {source}\n")
    watcher.say(f"trained on {STEPS} steps of {ROWS} rows, first as a Python loop, then compiled:")
    found = race(Leaky)
    if found.difference > SAME:
        raise TrainingError(
            f"the compiled loop's gradients differ from the Python loop's by "
            f"{found.difference:.1e}, more than {SAME:g}; please report it with your processor's "
            f"name"
        )
    return found


def _told(found: Race) -> str:
    milliseconds = {name: 1e3 * seconds for name, seconds in found.seconds.items()}
    times = ", ".join(f"{name} {value:.2f} ms" for name, value in milliseconds.items())
    return (
        f"a training step of your own cell: {times}: {found.ratio:.1f} times as fast, "
        f"with the same gradients (difference {found.difference:.0e})\n"
    )


def demo(
    minutes: Annotated[float, typer.Option(help="How long to train.")] = 1.0,
    run: Annotated[str, typer.Option(metavar="FOLDER", help="Run folder.")] = "runs/demo",
    as_json: AsJson = False,
    threads: Threads = None,
) -> None:
    """Train a small model on Python's own documentation and watch it learn to write.

    Nothing is downloaded: the text comes with every Python.
    """
    torch.set_num_threads(threads or min(torch.get_num_threads(), 4))
    tell = terminal.note if as_json else terminal.result
    watcher = _Sampler()
    found = _show_race(watcher)
    tell(_told(found))
    watcher.say("Now a small LSTM learns, one character after another, to write like")
    watcher.say(f"Python's language reference. Training takes {terminal.duration(minutes)}.")
    try:
        begun = start(
            "language", None, run, force=Path(run).exists(), listener=watcher,
            minutes=minutes, hidden_size=256, learning_rate=0.004, evaluate_every=200,
        )  # fmt: skip
        model = resume(begun.folder.path, listener=watcher)
    finally:
        watcher.close()
    folder = begun.folder
    watcher.show("at the end", model)
    records = folder.read_metrics()
    best = min(records, key=lambda record: record["valid_loss"])
    tell(
        f"validation loss: {records[0]['valid_loss']:.3f} nats per character at first, "
        f"{best['valid_loss']:.3f} in the end (perplexity {best['perplexity']:.2f})"
    )
    tell(f"picture: {folder.curves}")
    tell(f"model:   {folder.model}")
    tell(f"more of it:    elman generate {folder.path} --prompt 'The class '")
    tell("your own text: elman train language YOURS.txt --minutes 3")
    if as_json:
        measured = {"seconds": found.seconds, "difference": found.difference, "ratio": found.ratio}
        validation = {"first": records[0], "best": best}
        terminal.result_as_json({"run": str(folder), "race": measured, "validation": validation})

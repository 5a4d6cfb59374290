"""What is said while a model trains: how long it has taken, and how long it will."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from torch import nn

from elman.app import progress as shown
from elman.app.pace import Pace, clock
from elman.app.progress import Watcher
from elman.artifacts.checkpoint import Progress
from elman.train.schedule import Origin, Schedule
from elman.train.settings import TrainingSettings


class Training:
    """Steps and evaluations that take given times, as the training loop reports them."""

    def __init__(self, step_time, evaluation_time, first=0.0, begin=0, per_epoch=50, **settings):
        self.now, self.step_time, self.evaluation_time = 1000.0, step_time, evaluation_time
        self.schedule = Schedule(TrainingSettings(**settings), per_epoch, Origin())
        self.progress = Progress(step=begin, seconds=5.0 * begin)
        self.pace = Pace(self.schedule, self.progress, self.now)
        self.first = first

    def step(self):
        """One step, and an evaluation if it is its turn."""
        self._pass(self.step_time + self.first)
        self.first = 0.0
        self.progress.step += 1
        self.progress.seen += 8
        self.pace.stepped(self.now)
        finished = self.schedule.finished(self.progress)
        if finished or self.progress.step % self.schedule.evaluate_every == 0:
            self.now += self.evaluation_time
            self.pace.evaluated(self.now)
            self.progress.seconds += self.evaluation_time
        return self.schedule.finished(self.progress)

    def _pass(self, seconds):
        self.now += seconds
        self.progress.seconds += seconds


@given(
    step_time=st.floats(0.001, 10), evaluation_time=st.floats(0, 100), first=st.floats(0, 60),
    steps=st.integers(1, 120), every=st.integers(1, 50), begin=st.integers(0, 20),
)  # fmt: skip
def test_the_time_left_comes_true(step_time, evaluation_time, first, steps, every, begin):
    """However long evaluations take, and the first step, in which loops are compiled."""
    training = Training(
        step_time, evaluation_time, first, begin, steps=begin + steps, evaluate_every=every
    )
    assert training.pace.left() is None
    said = {}
    while not training.step():
        said[training.now] = (training.pace.left(), training.progress.step - begin)
    assert training.pace.left() == pytest.approx(0.0, abs=1e-9)
    for then, (left, done) in said.items():
        if done > 3 and done >= every:  # an evaluation and some steps were seen
            assert left == pytest.approx(training.now - then, rel=1e-6)


def test_by_the_clock():
    training = Training(0.5, 3.0, minutes=1.0, evaluate_every=10)
    for _ in range(9):
        training.step()
    assert training.pace.left() == pytest.approx(55.5)
    training.step()
    assert training.pace.elapsed() == pytest.approx(8.0)
    training.step()
    assert training.pace.left() == pytest.approx(60 - 8.5)


def test_the_first_budget_reached_counts():
    training = Training(1.0, 0.0, minutes=1.0, steps=20, evaluate_every=10)
    training.step()
    assert training.pace.left() == pytest.approx(19.0)
    training = Training(1.0, 0.0, minutes=1.0, steps=2000, evaluate_every=10)
    training.step()
    assert training.pace.left() == pytest.approx(59.0)


def test_the_speed_is_that_of_the_steps_lately():
    training = Training(0.5, 30.0, first=20.0, steps=5000, evaluate_every=10)
    for _ in range(400):
        training.step()
    assert training.pace.speed() == pytest.approx(16.0)
    training.step_time = 0.25
    for _ in range(300):
        training.step()
    assert training.pace.speed() == pytest.approx(32.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (750, "12:30"), (3599.7, "1:00:00"),
     (3723, "1:02:03"), (360000, "100:00:00")],
)  # fmt: skip
def test_clock(seconds, text):
    assert clock(seconds) == text


class _Task:
    unit, loss_name, highlights, notes = "example", "nats per example", ("accuracy",), ()
    model = nn.Linear(2, 3)


def test_a_log_is_never_silent_for_long(monkeypatch):
    """Evaluations are 1,000 seconds apart here, steps take 2."""
    now = 1000.0
    monkeypatch.setattr(shown.time, "monotonic", lambda: now)
    log = io.StringIO()
    watcher = Watcher(Console(file=log, width=200))
    schedule = Schedule(TrainingSettings(steps=1000, evaluate_every=500, patience=4), 50, Origin())
    progress = Progress()
    watcher.started(_Task(), schedule, progress)
    for _ in range(500):
        now += 2.0
        progress.step += 1
        progress.seconds += 2.0
        progress.loss_sum, progress.loss_terms = progress.loss_sum + 4.0, progress.loss_terms + 8
        progress.seen += 8
        watcher.stepped(progress, 0.5)
    now += 10.0
    watcher.evaluated(
        {"step": 500, "train_loss": 0.5, "valid_loss": 0.25, "accuracy": 0.75, "seconds": 1000.0}
    )
    lines = log.getvalue().splitlines()
    assert lines[0].startswith("training 9 parameters, to step 1,000 (20 epochs) or until valid")
    assert lines[1] == "step      31     1:02,   32:18 left        4 examples/s  training 0.5000"
    assert lines[-1] == (
        "step     500    16:50,   16:50 left        4 examples/s  "
        "training 0.5000  validation 0.2500  accuracy 0.7500"
    )
    assert 14 <= len(lines) <= 18

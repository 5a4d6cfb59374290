"""Budget and learning rate."""

from itertools import pairwise

import pytest

from elman.artifacts.checkpoint import Progress
from elman.train.schedule import Origin, Schedule
from elman.train.settings import TrainingSettings

START = Origin()


def schedule(origin=START, **settings):
    return Schedule(TrainingSettings(**settings), 50, origin)


def test_the_first_budget_reached_ends_the_run():
    both = schedule(steps=100, epochs=1.5, minutes=1.0)
    assert both.last_step == 75
    assert not both.finished(Progress(step=74, seconds=59.0))
    assert both.finished(Progress(step=75))
    assert both.finished(Progress(step=1, seconds=60.0))
    assert schedule(minutes=1.0).last_step is None


def test_patience_ends_a_run_that_gets_no_better():
    plan = schedule(steps=1000, patience=3, evaluate_every=10)
    assert not plan.finished(Progress(step=29))
    assert not plan.finished(Progress(step=49, best=1.0, best_step=20))
    assert plan.finished(Progress(step=50, best=1.0, best_step=20))
    later = schedule(Origin(step=50), steps=1000, patience=3, evaluate_every=0)
    assert not later.finished(Progress(step=199, best=1.0, best_step=20))
    assert later.finished(Progress(step=200, best=1.0, best_step=20))


def test_the_rate_rises_and_then_falls_to_its_final_share():
    plan = schedule(steps=1000, learning_rate=1.0, warmup_steps=100, final_learning_rate=0.1)
    rates = [plan.learning_rate(Progress(step=step)) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01, rel=0.01)
    assert rates.index(max(rates)) in (98, 99, 100)
    assert all(a > b for a, b in pairwise(rates[100:]))
    assert rates[-1] == pytest.approx(0.1, rel=0.01)
    middle = plan.learning_rate(Progress(step=500))
    assert middle == pytest.approx(0.55)


def test_a_new_budget_begins_a_new_schedule():
    plan = schedule(Origin(step=400, seconds=30.0), steps=600, warmup_steps=0)
    assert plan.share(Progress(step=400)) == 0.0
    assert plan.share(Progress(step=500)) == 0.5
    timed = schedule(Origin(step=400, seconds=30.0), minutes=1.0)
    assert timed.share(Progress(step=400, seconds=45.0)) == 0.5

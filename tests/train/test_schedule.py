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
    assert not plan.finished(Progress(step=529))
    assert not plan.finished(Progress(step=549, best=1.0, best_step=520))
    assert plan.finished(Progress(step=550, best=1.0, best_step=520))
    assert "no better in 3 evaluations" in plan.end(Progress(step=550, best=1.0, best_step=520))
    later = schedule(Origin(step=550), steps=1000, patience=3, evaluate_every=100)
    assert not later.finished(Progress(step=849, best=1.0, best_step=520))
    assert later.finished(Progress(step=850, best=1.0, best_step=520))


def test_patience_waits_for_the_second_half_of_the_budget():
    plan = schedule(steps=1000, patience=3, evaluate_every=10)
    assert not plan.finished(Progress(step=490, best=1.0, best_step=10))
    assert plan.finished(Progress(step=500, best=1.0, best_step=10))
    timed = schedule(minutes=1.0, patience=3, evaluate_every=10)
    assert not timed.finished(Progress(step=900, seconds=29.0, best=1.0, best_step=10))
    assert timed.finished(Progress(step=900, seconds=31.0, best=1.0, best_step=10))


def test_why_a_run_ends():
    plan = schedule(steps=100)
    assert plan.end(Progress(step=99)) is None
    assert plan.end(Progress(step=100)) == "its budget is used up"


def test_a_budget_in_epochs_has_a_floor_of_steps():
    assert schedule(epochs=2.0, least_steps=500).last_step == 500
    assert schedule(epochs=20.0, least_steps=500).last_step == 1000
    assert schedule(steps=50, least_steps=500).last_step == 50


def test_short_epochs_are_not_each_worth_an_evaluation():
    assert schedule(epochs=20.0, evaluate_every=0).evaluate_every == 50
    assert schedule(epochs=200.0, evaluate_every=0).evaluate_every == 200
    assert schedule(minutes=3.0, evaluate_every=0).evaluate_every == 50


def test_the_rate_rises_and_then_falls_to_its_final_share():
    plan = schedule(steps=1000, learning_rate=1.0, warmup=0.1, final_learning_rate=0.1)
    rates = [plan.learning_rate(Progress(step=step)) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01, rel=0.01)
    assert rates.index(max(rates)) in (98, 99, 100)
    assert all(a > b for a, b in pairwise(rates[100:]))
    assert rates[-1] == pytest.approx(0.1, rel=0.01)
    middle = plan.learning_rate(Progress(step=500))
    assert middle == pytest.approx(0.55)


def test_the_rate_rises_at_the_pace_of_the_clock():
    plan = schedule(minutes=1.0, warmup=0.1)
    rates = [plan.learning_rate(Progress(step=1, seconds=seconds)) for seconds in (0, 3, 6, 9)]
    assert rates[0] == 0.0
    assert rates[1] == pytest.approx(rates[2] / 2, rel=0.05)
    assert rates[3] < rates[2]


def test_a_new_budget_begins_a_new_schedule():
    plan = schedule(Origin(step=400, seconds=30.0), steps=600, warmup=0.0)
    assert plan.share(Progress(step=400)) == 0.0
    assert plan.share(Progress(step=500)) == 0.5
    timed = schedule(Origin(step=400, seconds=30.0), minutes=1.0)
    assert timed.share(Progress(step=400, seconds=45.0)) == 0.5

"""A number for each example: its measures are scikit-learn's, its intervals hold what they say."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from elman.errors import ArgumentError, DataError, RunError
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.classify.targets import kinds
from elman.tasks.classify.targets.base import Overlap, nowhere
from elman.tasks.classify.targets.number import Estimate, Number, is_number, plain

SETTINGS = ClassifySettings(coverage=0.8)


def target_of(values, **changes):
    return Number.of([repr(float(v)) for v in values], ClassifySettings(coverage=0.8, **changes))


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=40))
def test_measures_equal_scikit_learn(pairs):
    actual, predicted = np.array(pairs).T
    said = np.stack([predicted, predicted - 1, predicted + 2], axis=1)
    found = target_of([1.0, 2.0, 6.0]).evaluation(said, actual)
    assert found.mae == pytest.approx(sk.mean_absolute_error(actual, predicted))
    assert found.rmse == pytest.approx(sk.root_mean_squared_error(actual, predicted))
    if np.ptp(actual) > 1e-3:
        assert found.r2 == pytest.approx(sk.r2_score(actual, predicted))
    assert found.coverage == np.mean((predicted - 1 <= actual) & (actual <= predicted + 2))
    assert found.always(2.0).mae == pytest.approx(np.abs(actual - 2).mean())
    assert json.loads(json.dumps(found.to_json()))["interval"]["width"] == pytest.approx(3.0)
    assert "\n".join([found.headline, *found.baselines, *found.rows()])


def test_equal_numbers_have_no_r2():
    found = target_of([1.0, 2.0]).evaluation(np.ones((3, 3)), np.ones(3))
    assert found.r2 is None
    assert "R2 not defined" in found.headline


def test_seen_in_training_is_told_apart():
    said = np.zeros((4, 3))
    overlap = Overlap(np.array([True, False, False, True]), np.array([False, True, False, False]))
    found = target_of([1.0, 2.0]).evaluation(said, np.array([9.0, 1.0, 3.0, 9.0]), [], overlap)
    assert found.to_json()["seen_in_training"] == {
        "same_label": 2, "other_label": 1, "rest_mae": 2.0
    }  # fmt: skip


def test_a_model_that_says_the_mean_is_named():
    values = np.arange(9.0)
    target = target_of(values)
    mean = np.full((9, 3), target.center)
    (remark,) = target.evaluation(mean, values).remarks
    assert "no better than a program that always says the mean" in remark
    assert target.evaluation(np.stack([values] * 3, 1) * 0.9, values).remarks == ()


@pytest.mark.parametrize(
    ("text", "one"),
    [("1", "1"), ("+1.0", "1"), ("1e2", "100"), ("-0.50", "-0.5"), (".5", "0.5"), ("-0", "0"),
     ("1e300", "1e+300"), ("0.1", "0.1")],
)  # fmt: skip
def test_equal_numbers_have_one_form(text, one):
    assert is_number(text)
    assert plain(text) == one


@pytest.mark.parametrize(
    "text", ["nan", "inf", "1,5", "x", "1_000", "0x1", "1e", "٣", "--1", "1e200"]
)
def test_what_is_no_number_is_refused_with_its_place(text):
    with pytest.raises(
        DataError, match=r"example 2: expected a number below 1e\+150, such as 12.5, got "
    ):
        Number.read(["1", text], nowhere, SETTINGS)


def test_what_can_not_be_learnt_from_is_refused():
    with pytest.raises(DataError, match="numbers to learn from must differ, got 3 for all 2"):
        Number.divided(["3", "3"], {"test": ["4"]})
    with pytest.raises(DataError, match="differ by less than float64 can tell"):
        Number.of(["1e15", "1.000000000000001e15"], SETTINGS)
    with pytest.raises(ArgumentError, match="--class-weights is for models that name labels"):
        Number.read(["1"], nowhere, ClassifySettings(class_weights="root"))


def test_the_parts_of_a_split_hold_small_and_large_numbers():
    rng = np.random.default_rng(0)
    strata = Number.strata([repr(v) for v in rng.normal(size=1000).tolist()])
    assert np.bincount(strata).tolist() == [100] * 10
    assert set(Number.strata(["5", "1", "3"])) == {0}


def quantile_data(count, seed):
    """Numbers whose spread depends on the example, and outputs of a model that knows it badly."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, count)
    spread = np.exp(x)
    outputs = np.stack([x, spread - 2, spread - 2], axis=1).astype(np.float32)
    return outputs, 10 + 4 * (x + 0.5 * spread * rng.standard_t(4, count))


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_calibrated_intervals_hold_what_they_say(coverage):
    target = Number(10.0, 4.0, 10.0, 0.0, 20.0, coverage)
    shares = []
    for seed in range(300):
        outputs, actual = quantile_data(60, seed)
        calibration = target.calibrate(outputs, actual)
        new, truth = quantile_data(200, 1000 + seed)
        shares.append(target.evaluation(target.said(new, calibration), truth).coverage)
    # Split conformal prediction: at least the coverage, and at most 1 / (n + 1) more, on average.
    assert coverage - 0.01 < np.mean(shares) < coverage + 1 / 61 + 0.01


@given(st.lists(st.floats(-50, 50, width=32), min_size=3, max_size=3), st.floats(-9, 9))
def test_an_interval_holds_its_number(row, margin):
    target = Number(3.0, 2.0, 3.0, 0.0, 9.0, 0.9)
    value, low, high = target.said(np.array([row], np.float32), np.array([margin]))[0]
    assert low <= value <= high


def test_the_loss_is_least_at_mean_and_quantiles():
    rng = np.random.default_rng(0)
    actual = torch.from_numpy(5 + 3 * rng.normal(size=4_000))
    target = Number(5.0, 3.0, 5.0, -9.0, 20.0, 0.8)
    outputs = torch.zeros(1, 3, requires_grad=True)
    optimizer = torch.optim.Adam([outputs], 0.1)
    for _ in range(150):
        optimizer.zero_grad()
        target.losses(outputs.expand(len(actual), 3), actual).mean().backward()
        optimizer.step()
    value, low, high = target.said(outputs.detach().numpy(), np.zeros(1))[0]
    assert value == pytest.approx(5.0, abs=0.1)
    assert [low, high] == pytest.approx(np.quantile(actual, [0.1, 0.9]), abs=0.2)


def test_few_validation_examples_are_doubted():
    target = Number(0.0, 1.0, 0.0, 0.0, 1.0, 0.9)
    assert target.doubts(9) == []
    (note,) = target.doubts(4)
    assert "holds 80% of new numbers on average, not 90%" in note


@pytest.mark.parametrize(("unit", "shown"), [(12.6, "46.8"), (0.02, "46.8012"), (4e4, "47"),
                                             (1e-9, "46.8"), (1e12, "46.8")])  # fmt: skip
def test_numbers_are_shown_with_the_digits_that_matter(unit, shown):
    target = Number(0.0, unit, 0.0, 0.0, 1.0, 0.9)
    estimate = Estimate(46.8012345, 40.0, 50.0)
    assert target.shown(estimate, None).cells[0] == shown
    assert target.shown(None, None).fields == ["", "", ""]


def test_predictions():
    target = target_of([1.0, 2.0, 3.0])
    (found,) = target.predictions(np.array([[1.23456789012, 1.0, 2.0]]), None)
    assert found == Estimate(1.2345679, 1.0, 2.0)
    with pytest.raises(ArgumentError, match="this one says a number"):
        target.predictions(np.zeros((1, 3)), 2)
    with pytest.raises(DataError, match=r"example 1: expected a number .*got an empty cell"):
        target.encode([""])
    assert [Number.written(x) for x in (1, 2.5, np.float32(3), "4", True, None)] == [
        "1.0", "2.5", "3.0", "4", None, None
    ]  # fmt: skip


def test_the_largest_errors_come_first():
    target = target_of([1.0, 2.0, 3.0])
    said = np.array([[1.0, 0, 2], [5.0, 0, 9], [2.0, 0, 9]])
    assert target.worst(said, np.array([1.0, 1.0, 4.0])).tolist() == [1, 2, 0]
    assert target.test_rows(said, np.array([1.0, 1.0, 4.0]))[1] == (
        "1.0", "5.0", "0.0", "9.0", "4"
    )  # fmt: skip


def test_what_is_written_is_read_again_and_nothing_else_is_believed():
    target = target_of([1.0, 2.0, 4.5])
    value = json.loads(json.dumps(kinds.to_json(target)))
    assert kinds.from_json(value) == target
    for change in ({"unit": 0.0}, {"unit": "1"}, {"coverage": 1.0}, {"least": 9.0},
                   {"center": None}, {"center": math.inf}, {"median": math.nan}):  # fmt: skip
        with pytest.raises(RunError, match=r"vocabulary\.json must hold under target"):
            kinds.from_json({**value, **change})
    assert target.fits(np.array([1.0, 2.0]))
    for wrong in (np.array([1]), np.array([np.nan]), np.ones((2, 1)), np.array([np.inf])):
        assert not target.fits(wrong)

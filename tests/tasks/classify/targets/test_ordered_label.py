"""Ordered labels: probabilities by their definition, and scikit-learn's measures."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn import metrics as sk

from elman.errors import ArgumentError, DataError
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.classify.targets import kinds
from elman.tasks.classify.targets.base import nowhere
from elman.tasks.classify.targets.ordered_evaluation import quadratic_kappa, rank_mae
from elman.tasks.classify.targets.ordered_label import OrderedLabel, order_of

TARGET = OrderedLabel(("low", "mid", "high", "top"), (9, 5, 4, 2))


@given(st.lists(st.floats(-20, 20), min_size=3, max_size=3))
def test_probabilities_are_those_of_going_on_and_stopping(scores):
    found = TARGET.said(np.array([scores], np.float64), np.zeros(1))[0]
    on = expit(scores)
    expected = [1 - on[0], on[0] * (1 - on[1]), on[0] * on[1] * (1 - on[2]), on.prod()]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)
    assert found.sum() == pytest.approx(1.0)


def test_the_loss_is_the_likelihood_of_the_right_label():
    rng = np.random.default_rng(0)
    outputs, answers = rng.normal(size=(20, 3)), rng.integers(0, 4, 20)
    losses = TARGET.objective(answers, ClassifySettings())(
        torch.from_numpy(outputs), torch.from_numpy(answers)
    )
    probabilities = TARGET.said(outputs, np.zeros(1))
    np.testing.assert_allclose(losses, -np.log(probabilities[np.arange(20), answers]), rtol=1e-9)


@given(st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4).filter(lambda row: sum(row) > 0))
def test_what_is_said_has_the_least_expected_distance(shares):
    probabilities = np.array([shares]) / sum(shares)
    first = TARGET.ranking(probabilities)[0]
    ranks = np.arange(4)
    distance = [float((probabilities[0] * np.abs(ranks - rank)).sum()) for rank in ranks]
    assert distance[first[0]] == pytest.approx(min(distance), abs=1e-9)
    rest = probabilities[0][first[1:]]
    assert (np.diff(rest) <= 0).all()
    assert sorted(first.tolist()) == [0, 1, 2, 3]


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_measures_equal_scikit_learn(seed, count):
    rng = np.random.default_rng(seed)
    answers, said = rng.integers(0, 4, count), rng.integers(0, 4, count)
    found = TARGET.evaluation(np.eye(4)[said], answers)
    assert found.rank_mae == pytest.approx(sk.mean_absolute_error(answers, said))
    assert found.accuracy == pytest.approx(sk.accuracy_score(answers, said))
    if len({*answers.tolist(), *said.tolist()}) > 1:
        kappa = sk.cohen_kappa_score(answers, said, weights="quadratic", labels=range(4))
        assert found.kappa == pytest.approx(kappa)
    assert json.loads(json.dumps(found.to_json()))["middle"]["label"] == "mid"


def test_a_label_for_all_has_no_kappa():
    counts = np.array([[5, 0], [0, 0]])
    assert quadratic_kappa(counts) is None
    assert rank_mae(counts) == 0.0
    found = TARGET.evaluation(np.eye(4)[[0, 0]], np.array([0, 0]))
    assert "kappa not defined" in found.headline
    assert found.baselines[1].startswith("always mid, the middle of training: accuracy 0.0000, off")


def read(*written, **changes):
    settings = ClassifySettings(target="ordered", **changes)
    answers, _ = OrderedLabel.read(written, nowhere, settings)
    return answers, settings


def test_numbers_are_in_the_order_of_their_size():
    answers, settings = read("10", "9.0", "9", "-1", "10")
    assert answers == ["10", "9", "9", "-1", "10"]
    target = OrderedLabel.of(answers, settings)
    assert (target.names, target.counts) == (("-1", "9", "10"), (1, 2, 2))
    assert target.encode(["9.0", "10"]).tolist() == [1, 2]
    assert target.described == "3 ordered labels (-1 < 9 < 10)"
    with pytest.raises(DataError, match="training never showed: 11"):
        target.encode(["11"])


def test_an_order_is_taken_as_it_is_said():
    answers, settings = read("high", "low", "low", order="low, high")
    assert OrderedLabel.of(answers, settings).names == ("low", "high")
    with pytest.raises(DataError, match=r"example 2: expected a label of --order \(low, high\)"):
        read("low", "mid", order="low,high")
    with pytest.raises(DataError, match="example 1: ordered labels must be numbers, got 'low'"):
        read("low")
    with pytest.raises(DataError, match="--order names labels that the training part never show"):
        OrderedLabel.of(*read("low", "high", order="low,mid,high"))
    for order in ("low", "low,low", "low,,high"):
        with pytest.raises(ArgumentError, match="--order must name at least two labels"):
            order_of(ClassifySettings(order=order))


def test_what_is_written_is_read_again():
    assert kinds.from_json(json.loads(json.dumps(kinds.to_json(TARGET)))) == TARGET

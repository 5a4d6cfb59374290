"""How sure a model may be."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from elman.tasks.classify.targets.calibration import fit_share, fit_temperature, softmax

PROBABILITIES = st.lists(st.floats(0.01, 1.0), min_size=1, max_size=30)


@given(PROBABILITIES, st.floats(0.05, 0.95), st.integers(0, 1000))
def test_the_share_is_the_best_under_its_prior(first, belief, seed):
    first = np.array(first)
    second = np.random.default_rng(seed).uniform(0.01, 1.0, len(first))

    def loss(w):
        prior = belief * np.log(w) + (1 - belief) * np.log(1 - w)
        return -np.log(w * first + (1 - w) * second).sum() - 10 * prior

    best = minimize_scalar(loss, bounds=(1e-6, 1 - 1e-6), method="bounded", options={"xatol": 1e-9})
    assert fit_share(first, second, belief) == pytest.approx(best.x, abs=1e-4)


def test_without_evidence_the_share_is_the_belief():
    assert fit_share(np.array([0.5]), np.array([0.5]), 0.8) == pytest.approx(0.8)


def test_many_examples_outvote_the_belief():
    good, bad = np.full(1000, 0.9), np.full(1000, 0.3)
    assert fit_share(good, bad, 0.1) > 0.98
    assert fit_share(bad, good, 0.9) < 0.02


def test_a_probability_of_zero_is_no_accident():
    assert 0 < fit_share(np.zeros(3), np.ones(3), 0.5) < 0.5


@st.composite
def predictions(draw):
    """`(N, K)` logits and `(N,)` labels; some labels may not occur."""
    classes = draw(st.integers(2, 6))
    count = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    scale = draw(st.sampled_from([0.1, 1.0, 10.0]))
    labels = rng.integers(0, draw(st.integers(1, classes)), count)
    return scale * rng.normal(size=(count, classes)), labels


def loss_and_prior(logits, labels, temperature):
    """What `fit_temperature` minimises, written out: the loss, and a gamma prior of 1 / T."""
    logs = log_softmax(logits / temperature, axis=1)
    prior = scipy.stats.gamma(11, scale=1 / 10).logpdf(1 / temperature)
    return -logs[np.arange(len(labels)), labels].sum() - prior


@settings(max_examples=50, deadline=None)
@given(predictions())
def test_no_other_temperature_is_better(data):
    logits, labels = data
    best = fit_temperature(logits, labels)
    assert 0.05 <= best <= 20.0
    assert best == fit_temperature(logits, labels)
    for other in np.geomspace(0.05, 20, 60):
        loss = loss_and_prior(logits, labels, other)
        assert loss_and_prior(logits, labels, best) <= loss + 1e-7


def test_the_temperature_of_a_model_that_was_made_too_sure_is_found():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50_000, 4))
    labels = np.array([rng.choice(4, p=row) for row in softmax(logits)])
    assert fit_temperature(3 * logits, labels) == pytest.approx(3.0, rel=0.03)


def test_a_few_right_answers_do_not_make_a_model_sure_of_everything():
    logits = 2 * np.eye(3)
    found = fit_temperature(logits, np.arange(3))
    assert 0.8 < found < 1.0
    assert softmax(logits, found).max() < 0.9


def test_a_few_wrong_answers_do_not_make_a_model_doubt_everything():
    logits = 3 * np.eye(3)
    assert 1.0 < fit_temperature(logits, np.array([0, 1, 0])) < 1.5

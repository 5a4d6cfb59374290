"""Every metric equals scikit-learn's, or what its definition says."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn import metrics as sk

from elman.tasks.classify.targets import metrics


@st.composite
def predictions(draw):
    """`(N, K)` logits and `(N,)` labels; some labels may not occur."""
    classes = draw(st.integers(2, 6))
    count = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    scale = draw(st.sampled_from([0.1, 1.0, 10.0]))
    labels = rng.integers(0, draw(st.integers(1, classes)), count)
    return scale * rng.normal(size=(count, classes)), labels


@settings(deadline=None)  # scikit-learn checks its arguments slowly
@given(predictions())
def test_numbers_of_a_part_equal_scikit_learn(data):
    logits, labels = data
    probabilities = metrics.softmax(logits)
    predicted, every = probabilities.argmax(1), np.arange(logits.shape[1])
    found = metrics.summary(probabilities, labels, predicted)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted))
    assert found["macro_f1"] == pytest.approx(
        sk.f1_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0)
    )
    assert found["log_loss"] == pytest.approx(sk.log_loss(labels, probabilities, labels=every))


@settings(deadline=None)
@given(predictions())
def test_confusion_and_classes_equal_scikit_learn(data):
    logits, labels = data
    every, predicted = np.arange(logits.shape[1]), logits.argmax(1)
    counts = metrics.confusion(predicted, labels, len(every))
    np.testing.assert_array_equal(counts, sk.confusion_matrix(labels, predicted, labels=every))
    found = metrics.per_class(counts)
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        labels, predicted, labels=every, zero_division=0
    )
    np.testing.assert_allclose(found.precision, precision)
    np.testing.assert_allclose(found.recall, recall)
    np.testing.assert_allclose(found.f1, f1)
    np.testing.assert_array_equal(found.support, support)


@given(predictions())
def test_calibration_error_equals_its_definition(data):
    logits, labels = data
    probabilities = metrics.softmax(logits)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    expected = 0.0
    for bin in range(15):
        inside = (confidence > bin / 15) & (confidence <= (bin + 1) / 15)
        if inside.any():
            gap = abs(confidence[inside].mean() - right[inside].mean())
            expected += inside.mean() * gap
    assert metrics.calibration_error(probabilities, labels) == pytest.approx(expected)


def test_a_calibrated_model_has_little_calibration_error():
    rng = np.random.default_rng(0)
    share = rng.uniform(0.5, 1.0, 200_000)
    probabilities = np.stack([share, 1 - share], axis=1)
    labels = (rng.uniform(size=len(share)) > share).astype(int)
    assert metrics.calibration_error(probabilities, labels) < 0.005


def loss_and_prior(logits, labels, temperature):
    """What `fit_temperature` minimises, written out: the loss, and a gamma prior of 1 / T."""
    logs = log_softmax(logits / temperature, axis=1)
    prior = scipy.stats.gamma(11, scale=1 / 10).logpdf(1 / temperature)
    return -logs[np.arange(len(labels)), labels].sum() - prior


@settings(max_examples=50, deadline=None)
@given(predictions())
def test_no_other_temperature_is_better(data):
    logits, labels = data
    best = metrics.fit_temperature(logits, labels)
    assert 0.05 <= best <= 20.0
    assert best == metrics.fit_temperature(logits, labels)
    for other in np.geomspace(0.05, 20, 60):
        loss = loss_and_prior(logits, labels, other)
        assert loss_and_prior(logits, labels, best) <= loss + 1e-7


def test_the_temperature_of_a_model_that_was_made_too_sure_is_found():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50_000, 4))
    labels = np.array([rng.choice(4, p=row) for row in metrics.softmax(logits)])
    assert metrics.fit_temperature(3 * logits, labels) == pytest.approx(3.0, rel=0.03)


def test_a_few_right_answers_do_not_make_a_model_sure_of_everything():
    logits = 2 * np.eye(3)
    found = metrics.fit_temperature(logits, np.arange(3))
    assert 0.8 < found < 1.0
    assert metrics.softmax(logits, found).max() < 0.9


def test_a_few_wrong_answers_do_not_make_a_model_doubt_everything():
    logits = 3 * np.eye(3)
    assert 1.0 < metrics.fit_temperature(logits, np.array([0, 1, 0])) < 1.5


def test_a_right_label_without_probability_costs_much_but_not_everything():
    loss = metrics.log_loss(np.array([[1.0, 0.0]]), np.array([1]))
    assert 36 < loss < 37

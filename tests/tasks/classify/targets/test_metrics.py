"""Every metric equals scikit-learn's, or what its definition says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from elman.tasks.classify.targets import metrics
from elman.tasks.classify.targets.calibration import softmax


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
    probabilities = softmax(logits)
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
    probabilities = softmax(logits)
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


def test_a_right_label_without_probability_costs_much_but_not_everything():
    loss = metrics.log_loss(np.array([[1.0, 0.0]]), np.array([1]))
    assert 36 < loss < 37

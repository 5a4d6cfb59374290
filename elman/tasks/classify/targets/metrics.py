"""How good a classifier's probabilities are."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

BINS = 15
"""Of the expected calibration error."""

_PRIOR = 10.0  # the weight of the belief that the model is as sure as it should be
_SHARPEST, _SMOOTHEST = 0.05, 20.0  # the temperatures that `fit_temperature` chooses from


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """`(N, K)` float64 probabilities, softmax(logits / temperature)."""
    scaled = logits.astype(np.float64) / temperature
    exponents = np.exp(scaled - scaled.max(1, keepdims=True))
    shares: np.ndarray = exponents / exponents.sum(1, keepdims=True)
    return shares


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean of -log p(right label), in nats. So that it stays finite, a probability of 0 counts as
    2.2e-16, as in scikit-learn."""
    right = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(right, np.finfo(np.float64).eps)).mean())


def confusion(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """`(K, K)` counts: row is the right label, column the predicted one."""
    counts = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes)


@dataclass(frozen=True)
class PerClass:
    """`(K,)` each; 0 where there is nothing to divide by. support: examples of the class."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray

    @classmethod
    def of(cls, right: np.ndarray, predicted: np.ndarray, support: np.ndarray) -> Self:
        """From how many of a class are predicted and right, are predicted, and are there."""
        return cls(
            _share(right, predicted),
            _share(right, support),
            _share(2 * right, predicted + support),
            support,
        )


def per_class(counts: np.ndarray) -> PerClass:
    """From a confusion matrix."""
    return PerClass.of(np.diag(counts), counts.sum(0), counts.sum(1))


def macro_f1(counts: np.ndarray) -> float:
    """Mean F1 of the labels that have examples, each counting the same however many it has."""
    classes = per_class(counts)
    return float(classes.f1[classes.support > 0].mean())


def accuracy(counts: np.ndarray) -> float:
    return float(np.trace(counts) / counts.sum())


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error (C. Guo et al., arXiv 1706.04599): how far the probability of the
    predicted label lies from the share that is right, in `bins` equal ranges of probability,
    averaged over the examples."""
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == labels
    which = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(which, confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The T at which softmax(logits / T) has the least log loss (Guo et al., as above).

    1 / T has a gamma prior around 1, of the weight of some ten examples: a few that all are right
    do not prove that the model is always right, and a few wrong ones do not prove the contrary.
    """
    logits = logits.astype(np.float64)
    right = logits[np.arange(len(labels)), labels].sum()
    # The loss is convex in b = 1 / T, so the root of its slope is found by halving.
    low, high = np.log(1 / _SMOOTHEST), np.log(1 / _SHARPEST)
    for _ in range(40):
        middle = (low + high) / 2
        b = float(np.exp(middle))
        expected = (softmax(logits, 1 / b) * logits).sum()
        slope = expected - right + _PRIOR * (1 - 1 / b)
        low, high = (middle, high) if slope < 0 else (low, middle)
    return float(np.exp(-(low + high) / 2))


def summary(probabilities: np.ndarray, labels: np.ndarray, said: np.ndarray) -> dict[str, Any]:
    """The numbers that stand for a whole part: `(N, K)` probabilities, `(N,)` right labels, and
    `(N,)` those that the model says."""
    counts = confusion(said, labels, probabilities.shape[1])
    return {
        "accuracy": accuracy(counts),
        "macro_f1": macro_f1(counts),
        "log_loss": log_loss(probabilities, labels),
        "calibration_error": calibration_error(probabilities, labels),
    }


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    ratio: np.ndarray = np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
    return ratio

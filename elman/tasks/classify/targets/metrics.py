"""How good a classifier's probabilities are."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

BINS = 15
"""Of the expected calibration error."""


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
    found = reliability(probabilities, labels, bins)
    return float(np.abs(found.confidence - found.right).sum() / len(labels))


@dataclass(frozen=True)
class Reliability:
    """Examples by the probability p of their predicted label, in equal ranges of p, each with its
    upper end: `(bins,)` each. examples: how many. confidence: sum of p. right: how many are."""

    examples: np.ndarray
    confidence: np.ndarray
    right: np.ndarray


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> Reliability:
    """What `calibration_error` is made of, and the reliability diagram shows."""
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == labels
    which = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    examples = np.bincount(which, minlength=bins)
    return Reliability(
        examples,
        np.bincount(which, confidence, minlength=bins),
        np.bincount(which, right, minlength=bins),
    )


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

"""What a classifier was found to do on labelled data."""

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from elman.tasks.classify.data.dataset import Catalogue
from elman.tasks.classify.data.examples import Overlap
from elman.tasks.classify.use import metrics

_NEARLY = 0.9  # of all examples: the label that a model says nearly always
_TOLD = 0.05  # share of examples of other labels that such a model tells from it, at most


class Seen(NamedTuple):
    """Examples that training showed, too.

    same_label: how many, with the same label: no test of what the model can do. other_label: how
    many, with another label only, which no model can get right by more than luck. rest_accuracy: on
    all but those of the same label; None if nothing is left.
    """

    same_label: int
    other_label: int
    rest_accuracy: float | None

    @classmethod
    def of(cls, probabilities: np.ndarray, labels: np.ndarray, training: Overlap) -> "Seen":
        right = probabilities.argmax(1) == labels
        new = right[~training.shared]
        return cls(
            int(training.shared.sum()),
            int(training.contested.sum()),
            float(new.mean()) if len(new) else None,
        )


@dataclass(frozen=True)
class Evaluation:
    """Measured on examples with K possible labels.

    labels: the names. counts: `(K, K)`, row is the right label, column the predicted one.
    log_loss: nats per example. calibration_error: expected, 15 bins. majority: the label that
    training showed most often. notes: what was left out of the data. seen: what of it training
    showed, None if the run no longer holds its examples.
    """

    labels: tuple[str, ...]
    counts: np.ndarray
    accuracy: float
    macro_f1: float
    log_loss: float
    calibration_error: float
    majority: str
    notes: tuple[str, ...] = ()
    seen: Seen | None = None

    @classmethod
    def of(
        cls,
        probabilities: np.ndarray,
        labels: np.ndarray,
        catalogue: Catalogue,
        notes: list[str],
        training: Overlap | None = None,
    ) -> "Evaluation":
        """From `(N, K)` probabilities and `(N,)` numbers of the right labels. training: which of
        the examples it showed."""
        classes = len(catalogue.labels)
        return cls(
            catalogue.labels,
            metrics.confusion(probabilities.argmax(1), labels, classes),
            **metrics.summary(probabilities, labels),
            majority=catalogue.labels[catalogue.majority],
            notes=tuple(notes),
            seen=None if training is None else Seen.of(probabilities, labels, training),
        )

    @property
    def examples(self) -> int:
        return int(self.counts.sum())

    @property
    def per_class(self) -> metrics.PerClass:
        return metrics.per_class(self.counts)

    @property
    def majority_counts(self) -> np.ndarray:
        """The confusion matrix of always saying the majority label: what any model must beat."""
        counts = np.zeros_like(self.counts)
        counts[:, self.labels.index(self.majority)] = self.counts.sum(1)
        return counts

    @property
    def order(self) -> list[int]:
        """Numbers of the labels that occur, right or predicted, in the order in which people look
        names up: 2 before 10."""
        occurs = np.flatnonzero(self.counts.sum(0) + self.counts.sum(1))
        return sorted(occurs.tolist(), key=lambda number: _natural(self.labels[number]))

    @property
    def one_label(self) -> tuple[str, int] | None:
        """The label that nearly all examples get, and how many do, if that tells hardly any other
        label from it; None of a model that has learnt more."""
        said = self.counts.sum(0)
        label = int(said.argmax())
        others = np.delete(self.counts, label, axis=0)
        told = others.sum() - others[:, label].sum()
        if not others.sum() or told > _TOLD * others.sum() or said[label] < _NEARLY * said.sum():
            return None
        return self.labels[label], int(said[label])

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the user should know about the model."""
        if self.one_label is None:
            return ()
        label, count = self.one_label
        return (
            f"the model says {label!r} for {count:,} of {self.examples:,} examples, hardly more "
            f"than a program that always says it: it has not learnt to tell the labels apart",
        )

    def mistakes(self, most: int = 5) -> list[tuple[str, str, int]]:
        """The commonest ones as (right label, predicted label, how often)."""
        wrong = self.counts - np.diag(np.diag(self.counts))
        places = np.argsort(-wrong, axis=None, kind="stable")[:most]
        rows, columns = np.unravel_index(places, wrong.shape)
        return [
            (self.labels[row], self.labels[column], int(wrong[row, column]))
            for row, column in zip(rows, columns, strict=True)
            if wrong[row, column]
        ]

    def to_json(self) -> dict[str, Any]:
        classes = self.per_class
        return {
            "examples": self.examples,
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "log_loss": self.log_loss,
            "calibration_error": self.calibration_error,
            "majority": {
                "label": self.majority,
                "accuracy": metrics.accuracy(self.majority_counts),
                "macro_f1": metrics.macro_f1(self.majority_counts),
            },
            "classes": [
                {
                    "label": self.labels[number],
                    "precision": float(classes.precision[number]),
                    "recall": float(classes.recall[number]),
                    "f1": float(classes.f1[number]),
                    "support": int(classes.support[number]),
                }
                for number in self.order
            ],
            "confusion": {
                "labels": [self.labels[number] for number in self.order],
                "counts": self.counts[np.ix_(self.order, self.order)].tolist(),
            },
            "seen_in_training": None if self.seen is None else self.seen._asdict(),
            "notes": [*self.notes, *self.remarks],
        }


def _natural(label: str) -> list[tuple[bool, float, str]]:
    """A key by which numbers, and numbers inside of labels, sort by value."""
    if re.fullmatch(r"-?\d+(\.\d+)?", label, re.ASCII):
        return [(False, float(label), "")]
    return [
        (not piece.isdecimal(), float(piece) if piece.isdecimal() else 0.0, piece.casefold())
        for piece in re.split(r"(\d+)", label)
        if piece
    ]

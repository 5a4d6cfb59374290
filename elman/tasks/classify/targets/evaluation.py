"""What a classifier was found to do on labelled data."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from elman.tasks.classify.targets import metrics
from elman.tasks.classify.targets.base import Measured, Overlap, Picture, Seen
from elman.tasks.classify.targets.pictures import confusion_matrix, shortened

_NEARLY = 0.9  # of all examples: the label that a model says nearly always
_TOLD = 0.05  # share of examples of other labels that such a model tells from it, at most
_UNEVEN = 0.7  # share of the commonest label from which on weights for labels may help


@dataclass(frozen=True)
class Evaluation(Measured):
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
        said: np.ndarray,
        answers: np.ndarray,
        labels: tuple[str, ...],
        majority: str,
        notes: Sequence[str] = (),
        training: Overlap | None = None,
    ) -> Self:
        """From `(N, K)` probabilities and `(N,)` numbers of the labels that are said, and of those
        that are right. training: which of the examples it showed."""
        right = said == answers
        seen = training and Seen.of(training, "accuracy", lambda part: float(right[part].mean()))
        return cls(
            labels=labels,
            counts=metrics.confusion(said, answers, len(labels)),
            **metrics.summary(probabilities, answers, said),
            majority=majority,
            notes=tuple(notes),
            seen=seen,
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
        """Numbers of the labels that occur, right or predicted, as they are shown."""
        occurs = np.flatnonzero(self.counts.sum(0) + self.counts.sum(1))
        return in_order(self.labels, occurs.tolist())

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

    @property
    def hints(self) -> tuple[str, ...]:
        if metrics.accuracy(self.majority_counts) <= _UNEVEN:
            return ()
        return (f"train anew with --class-weights balanced, as {self.majority!r} is so common",)

    @property
    def headline(self) -> str:
        return (
            f"accuracy {self.accuracy:.4f}, macro F1 {self.macro_f1:.4f}, log loss "
            f"{self.log_loss:.4f}, calibration error {self.calibration_error:.4f}"
        )

    @property
    def baselines(self) -> list[str]:
        counts = self.majority_counts
        return [
            f"always {self.majority}: accuracy {metrics.accuracy(counts):.4f}, macro F1 "
            f"{metrics.macro_f1(counts):.4f}"
        ]

    def rows(self) -> list[str]:
        classes = self.per_class
        width = max(len("label"), *(len(label) for label in self.labels))
        return [
            f"{'label':<{width}} {'precision':>9} {'recall':>7} {'F1':>7} {'examples':>9}",
            *(
                f"{self.labels[i]:<{width}} {classes.precision[i]:9.3f} {classes.recall[i]:7.3f} "
                f"{classes.f1[i]:7.3f} {classes.support[i]:>9,}"
                for i in self.order
            ),
        ]

    def closing(self) -> list[str]:
        mistakes = [f"{right} as {said} {count:,}" for right, said, count in self.mistakes()]
        return [f"commonest mistakes: {'; '.join(mistakes) or 'none'}"]

    def picture(self, part: str = "test") -> Picture:
        counts = self.counts[np.ix_(self.order, self.order)]
        title = (
            f"{part}, {self.examples:,} examples: accuracy {self.accuracy:.3f}, macro F1 "
            f"{self.macro_f1:.3f}\n(always {shortened(self.majority)}: accuracy "
            f"{metrics.accuracy(self.majority_counts):.3f})"
        )
        names = [self.labels[number] for number in self.order]
        return Picture("confusion matrix", "confusion.png", confusion_matrix(counts, names, title))

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
            "seen_in_training": None if self.seen is None else self.seen.to_json(),
            "notes": [*self.notes, *self.remarks],
        }


def in_order(labels: Sequence[str], numbers: Iterable[int]) -> list[int]:
    """Numbers of labels in the order in which people look names up: 2 before 10."""
    return sorted(numbers, key=lambda number: _natural(labels[number]))


def _natural(label: str) -> list[tuple[bool, float, str]]:
    """A key by which numbers, and numbers inside of labels, sort by value."""
    if re.fullmatch(r"-?\d+(\.\d+)?", label, re.ASCII):
        return [(False, float(label), "")]
    return [
        (not piece.isdecimal(), float(piece) if piece.isdecimal() else 0.0, piece.casefold())
        for piece in re.split(r"(\d+)", label)
        if piece
    ]

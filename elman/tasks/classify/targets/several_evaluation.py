"""What a model that names several labels was found to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from elman.tasks.classify.targets import metrics
from elman.tasks.classify.targets.base import Measured, Overlap, Picture, Seen
from elman.tasks.classify.targets.evaluation import in_order
from elman.tasks.classify.targets.pictures import bars_of_labels


def micro_f1(said: np.ndarray, answers: np.ndarray) -> float:
    """F1 of all decisions together: `(N, K)` masks. 0 if no label is said or right."""
    right, both = int((said & (answers > 0)).sum()), int(said.sum() + answers.sum())
    return 2 * right / both if both else 0.0


@dataclass(frozen=True)
class SeveralEvaluation(Measured):
    """Measured on N examples with K possible labels each.

    labels: the names. classes: of each label. log_loss: nats per decision whether an example has a
    label. subset_accuracy: share of the examples whose labels are all right, and no other is said.
    hamming_loss: share of the decisions that are wrong. threshold: from which probability on a
    label is said. always: the labels that more than half of the training examples have, or the
    commonest one. plain: the same measures of a program that always says these.
    """

    labels: tuple[str, ...]
    examples_: int
    classes: metrics.PerClass
    micro_f1: float
    macro_f1: float
    subset_accuracy: float
    hamming_loss: float
    log_loss: float
    threshold: float
    always: tuple[str, ...]
    plain: dict[str, float]
    notes: tuple[str, ...] = ()
    seen: Seen | None = None

    @classmethod
    def of(
        cls,
        probabilities: np.ndarray,
        threshold: np.ndarray,
        answers: np.ndarray,
        labels: tuple[str, ...],
        shares: np.ndarray,
        notes: Sequence[str] = (),
        training: Overlap | None = None,
    ) -> Self:
        """From `(N, K)` probabilities, the threshold `(N, 1)`, and `(N, K)` right answers. shares:
        `(K,)` of the training examples that have each label."""
        said = probabilities >= threshold
        usual = shares > 0.5
        if not usual.any():
            usual = np.arange(len(labels)) == shares.argmax()
        plain = np.broadcast_to(usual, answers.shape)
        chances = np.where(answers, probabilities, 1 - probabilities)
        seen = training and Seen.of(
            training, "micro F1", lambda part: micro_f1(said[part], answers[part])
        )
        return cls(
            labels=labels,
            examples_=len(answers),
            classes=per_label(said, answers),
            **measures(said, answers),
            log_loss=float(-np.log(np.maximum(chances, np.finfo(np.float64).eps)).mean()),
            threshold=float(threshold[0, 0]),
            always=tuple(labels[i] for i in np.flatnonzero(usual)),
            plain=measures(plain, answers),
            notes=tuple(notes),
            seen=seen,
        )

    @property
    def examples(self) -> int:
        return self.examples_

    @property
    def headline(self) -> str:
        return (
            f"micro F1 {self.micro_f1:.4f}, macro F1 {self.macro_f1:.4f}, all labels right "
            f"{self.subset_accuracy:.4f}, log loss {self.log_loss:.4f}"
        )

    @property
    def baselines(self) -> list[str]:
        return [
            f"always {', '.join(self.always)}: micro F1 {self.plain['micro_f1']:.4f}, macro F1 "
            f"{self.plain['macro_f1']:.4f}, all labels right {self.plain['subset_accuracy']:.4f}"
        ]

    @property
    def remarks(self) -> tuple[str, ...]:
        better = self.micro_f1 > self.plain["micro_f1"] or self.macro_f1 > self.plain["macro_f1"]
        if better:
            return ()
        return (
            f"the model is no better than a program that always says {', '.join(self.always)}: it "
            f"has not learnt to tell the labels apart",
        )

    @property
    def hints(self) -> tuple[str, ...]:
        return ("train anew with --class-weights root, which makes rare labels weigh more",)

    @property
    def order(self) -> list[int]:
        """Numbers of the labels in the order in which people look names up."""
        return in_order(self.labels, range(len(self.labels)))

    def rows(self) -> list[str]:
        width = max(len("label"), *(len(label) for label in self.labels))
        found = self.classes
        return [
            f"{'label':<{width}} {'precision':>9} {'recall':>7} {'F1':>7} {'examples':>9}",
            *(
                f"{self.labels[i]:<{width}} {found.precision[i]:9.3f} {found.recall[i]:7.3f} "
                f"{found.f1[i]:7.3f} {found.support[i]:>9,}"
                for i in self.order
            ),
        ]

    def closing(self) -> list[str]:
        return [f"a label is said from a probability of {self.threshold:.2f} on"]

    def picture(self, part: str = "test") -> Picture:
        title = (
            f"{part}, {self.examples:,} examples: micro F1 {self.micro_f1:.3f}, macro F1 "
            f"{self.macro_f1:.3f}\n(always {', '.join(self.always)[:40]}: micro F1 "
            f"{self.plain['micro_f1']:.3f})"
        )
        return Picture(
            "F1 of the labels", "labels.png", bars_of_labels(self.labels, self.classes, title)
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "examples": self.examples,
            "micro_f1": self.micro_f1,
            "macro_f1": self.macro_f1,
            "subset_accuracy": self.subset_accuracy,
            "hamming_loss": self.hamming_loss,
            "log_loss": self.log_loss,
            "threshold": self.threshold,
            "always": {"labels": list(self.always), **self.plain},
            "classes": [
                {
                    "label": self.labels[number],
                    "precision": float(self.classes.precision[number]),
                    "recall": float(self.classes.recall[number]),
                    "f1": float(self.classes.f1[number]),
                    "support": int(self.classes.support[number]),
                }
                for number in self.order
            ],
            "seen_in_training": None if self.seen is None else self.seen.to_json(),
            "notes": [*self.notes, *self.remarks],
        }


def measures(said: np.ndarray, answers: np.ndarray) -> dict[str, float]:
    """Of `(N, K)` masks."""
    found = per_label(said, answers)
    occurs = found.support > 0
    wrong = said != (answers > 0)
    return {
        "micro_f1": micro_f1(said, answers),
        "macro_f1": float(found.f1[occurs].mean()) if occurs.any() else 0.0,
        "subset_accuracy": float((~wrong.any(1)).mean()),
        "hamming_loss": float(wrong.mean()),
    }


def per_label(said: np.ndarray, answers: np.ndarray) -> metrics.PerClass:
    """Precision, recall, F1 and examples of each label, from `(N, K)` masks."""
    right = (said & (answers > 0)).sum(0)
    return metrics.PerClass.of(right, said.sum(0), (answers > 0).sum(0))

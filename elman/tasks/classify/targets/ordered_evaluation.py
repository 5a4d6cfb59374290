"""What a model of ordered labels was found to do."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.tasks.classify.targets import metrics
from elman.tasks.classify.targets.evaluation import Evaluation


@dataclass(frozen=True)
class OrderedEvaluation(Evaluation):
    """Also how far off the labels are, counted in steps of the order.

    middle: the label in the middle of the training examples.
    """

    middle: str = ""

    @property
    def order(self) -> list[int]:
        return list(range(len(self.labels)))

    @property
    def rank_mae(self) -> float:
        """Mean distance of the label that is said from the right one."""
        return rank_mae(self.counts)

    @property
    def kappa(self) -> float | None:
        return quadratic_kappa(self.counts)

    @property
    def middle_counts(self) -> np.ndarray:
        """The confusion matrix of always saying the label in the middle."""
        counts = np.zeros_like(self.counts)
        counts[:, self.labels.index(self.middle)] = self.counts.sum(1)
        return counts

    @property
    def headline(self) -> str:
        kappa = "not defined" if self.kappa is None else f"{self.kappa:.4f}"
        return (
            f"accuracy {self.accuracy:.4f}, off by {self.rank_mae:.4f} ranks, quadratic kappa "
            f"{kappa}, macro F1 {self.macro_f1:.4f}, log loss {self.log_loss:.4f}"
        )

    @property
    def baselines(self) -> list[str]:
        counts = self.middle_counts
        return [
            *super().baselines,
            f"always {self.middle}, the middle of training: accuracy "
            f"{metrics.accuracy(counts):.4f}, off by {rank_mae(counts):.4f} ranks",
        ]

    def to_json(self) -> dict[str, Any]:
        found = super().to_json()
        middle = {
            "label": self.middle,
            "accuracy": metrics.accuracy(self.middle_counts),
            "rank_mae": rank_mae(self.middle_counts),
        }
        return {
            "rank_mae": self.rank_mae, "quadratic_kappa": self.kappa, "middle": middle, **found
        }  # fmt: skip


def rank_mae(counts: np.ndarray) -> float:
    """Mean distance between row and column of a confusion matrix."""
    return float((counts * np.abs(_distances(counts))).sum() / counts.sum())


def quadratic_kappa(counts: np.ndarray) -> float | None:
    r"""Agreement beyond chance (J. Cohen, 1968), :math:`1 - \sum w O / \sum w E` with weights
    :math:`w = (i - j)^2`, counts O and those E of independent labels; None where E has no distance.
    """
    weights = np.square(_distances(counts))
    expected = np.outer(counts.sum(1), counts.sum(0)) / counts.sum()
    chance = float((weights * expected).sum())
    return 1 - float((weights * counts).sum()) / chance if chance > 0 else None


def _distances(counts: np.ndarray) -> np.ndarray:
    ranks = np.arange(len(counts))
    found: np.ndarray = ranks[:, None] - ranks
    return found

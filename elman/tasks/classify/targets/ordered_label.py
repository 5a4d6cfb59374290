"""One label of an order, such as low < middle < high, or 1 to 5 stars: ordinal regression."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from elman.errors import ArgumentError, DataError
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.classify.targets.base import Overlap, Place, nowhere
from elman.tasks.classify.targets.number import is_number, plain
from elman.tasks.classify.targets.one_label import OneLabel
from elman.tasks.classify.targets.ordered_evaluation import OrderedEvaluation
from elman.tasks.shared.table import listing, shown

_SHOWN = 10  # labels


@dataclass(frozen=True)
class OrderedLabel(OneLabel):
    r"""The model gives K - 1 scores, and the k-th tells whether it goes on beyond label k:

    .. math::
        P(y > k \mid y \ge k) = \sigma(z_k), \quad
        P(y = k) = (1 - \sigma(z_k)) \prod_{j < k} \sigma(z_j)

    That is the continuation-ratio model (J. Anderson, 1984; as the output of a network X. Shi,
    W. Cao, S. Raschka, arXiv 2111.08851); its probabilities of going beyond a label fall from label
    to label, whatever the scores are. The loss is the likelihood of the right label.

    The model says the middle of its distribution, the label at which half of the probability is
    reached: no other has a smaller expected distance.
    """

    name = "ordered"
    highlights = ("accuracy", "rank_mae", "kappa")

    @classmethod
    def read(
        cls, written: Sequence[str], place: Place, settings: ClassifySettings
    ) -> tuple[list[str], list[str]]:
        order = order_of(settings)
        found = [text if text in order or not is_number(text) else plain(text) for text in written]
        for number, text in enumerate(found):
            if not text or text in order or (not order and is_number(text)):
                continue
            if order:
                raise DataError(
                    f"{place(number)}: expected a label of --order ({listing(order)}), got "
                    f"{shown(text)}; add it to the order, or leave the row out"
                )
            raise DataError(
                f"{place(number)}: ordered labels must be numbers, got {shown(text)}; or give "
                f"their order, such as --order low,middle,high"
            )
        return found, []

    @classmethod
    def of(cls, training: Sequence[str], settings: ClassifySettings) -> Self:
        found = super().of(training, settings)
        counts = dict(zip(found.names, found.counts, strict=True))
        names = order_of(settings) or tuple(sorted(counts, key=float))
        if absent := [name for name in names if name not in counts]:
            raise DataError(
                f"--order names labels that the training part never shows: {listing(absent)}; "
                f"leave them out, or give examples of them"
            )
        return cls(names, tuple(counts[name] for name in names))

    @property
    def outputs(self) -> int:
        return len(self.names) - 1

    @property
    def described(self) -> str:
        few = self.names if len(self.names) <= _SHOWN else (self.names[0], "...", self.names[-1])
        return f"{len(self.names)} ordered labels ({' < '.join(few)})"

    def encode(self, answers: Sequence[str], place: Place = nowhere) -> np.ndarray:
        known = set(self.names)
        return super().encode(
            [text if text in known or not is_number(text) else plain(text) for text in answers]
        )

    def logits(self, outputs: Tensor) -> Tensor:
        """`(B, K)` logarithms of the probabilities."""
        beyond = F.pad(F.logsigmoid(outputs).cumsum(1), (1, 0))  # of reaching each label
        return beyond + F.pad(F.logsigmoid(-outputs), (0, 1))  # and of going no further

    def ranking(self, said: np.ndarray) -> np.ndarray:
        middle = np.minimum((said.cumsum(1) < 0.5).sum(1), len(self.names) - 1)
        first = np.arange(len(self.names)) == middle[:, None]
        found: np.ndarray = np.argsort(-(said + first), axis=1, kind="stable")
        return found

    def together(self, outputs: Tensor) -> Tensor:
        return outputs.mean(0)

    def record(
        self, outputs: np.ndarray, said: np.ndarray, answers: np.ndarray, calibration: np.ndarray
    ) -> dict[str, Any]:
        found = self.evaluation(said, answers)
        return {
            **super().record(outputs, said, answers, calibration),
            "rank_mae": found.rank_mae,
            "kappa": found.kappa or 0.0,
        }

    def evaluation(
        self,
        said: np.ndarray,
        answers: np.ndarray,
        notes: Sequence[str] = (),
        training: Overlap | None = None,
    ) -> OrderedEvaluation:
        first, majority = self.ranking(said)[:, 0], self.names[self.majority]
        found = OrderedEvaluation.of(said, first, answers, self.names, majority, notes, training)
        half = int(np.searchsorted(np.cumsum(self.counts), sum(self.counts) / 2))
        return replace(found, middle=self.names[half])


def order_of(settings: ClassifySettings) -> tuple[str, ...]:
    """The labels of `--order`; none if it was not given.

    Raises:
        ArgumentError: fewer than two, or one twice.
    """
    labels = tuple(label.strip() for label in settings.order.split(",")) if settings.order else ()
    if labels and (len(labels) < 2 or len(set(labels)) < len(labels) or "" in labels):
        raise ArgumentError(
            f"--order must name at least two labels, each once, with commas between, such as "
            f"low,middle,high; got {settings.order!r}"
        )
    return labels

"""One label of an example: classification."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from elman.errors import ArgumentError, DataError
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.classify.targets import metrics
from elman.tasks.classify.targets.base import (
    Objective,
    Overlap,
    Place,
    Prediction,
    Target,
    damaged,
    nowhere,
)
from elman.tasks.classify.targets.calibration import fit_temperature, softmax
from elman.tasks.classify.targets.evaluation import Evaluation
from elman.tasks.classify.targets.twins import twins
from elman.tasks.shared.table import listing

_TOP = 3  # labels that a prediction shows, if nothing else is said


class Guess(NamedTuple):
    """A label, and how probable the model holds it to be, 0 to 1."""

    label: str
    probability: float


@dataclass(frozen=True)
class OneLabel(Target):
    """The model gives a score for each of K labels; probabilities are softmax(scores / T).

    names: in the order of the model's outputs. counts: how many training examples each had.
    """

    name = "label"
    loss_name = "nats per example"
    highlights: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1")
    calibrated = 1  # log T
    distributes = True

    names: tuple[str, ...]
    counts: tuple[int, ...]

    @classmethod
    def read(
        cls, written: Sequence[str], place: Place, settings: ClassifySettings
    ) -> tuple[list[str], list[str]]:
        return list(written), twins(written)

    @classmethod
    def strata(cls, answers: Sequence[str]) -> np.ndarray:
        return np.array(answers)

    @classmethod
    def divided(cls, training: Sequence[str], others: Mapping[str, Sequence[str]]) -> list[str]:
        counts = Counter(training)
        if len(counts) < 2:
            found = ", ".join(map(repr, counts)) or "none"
            raise DataError(f"a classifier needs examples of at least two labels, got {found}")
        for words, answers in others.items():
            if strange := sorted(set(answers) - set(training)):
                raise DataError(
                    f"the {words} part has labels that the training part never shows: "
                    f"{listing(strange)}; add examples of them, or leave them out"
                )
        notes = []
        if missing := sorted(set(training) - set(others["test"])):
            notes.append(
                f"too few examples to test: {listing(missing)} (no example in the test part; macro "
                f"F1 is the mean over the other labels)"
            )
        if single := sorted(label for label, count in counts.items() if count == 1):
            notes.append(f"one example only to learn from: {listing(single)}")
        for words, answers in others.items():
            if len(set(answers)) == 1:
                notes.append(
                    f"the {words} part has one label only, {answers[0]!r}: what is measured there "
                    f"says little"
                )
        return notes

    @classmethod
    def of(cls, training: Sequence[str], settings: ClassifySettings) -> Self:
        counts = Counter(training)
        names = tuple(sorted(counts))
        return cls(names, tuple(counts[name] for name in names))

    @property
    def outputs(self) -> int:
        return len(self.names)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.names

    @property
    def described(self) -> str:
        return f"{len(self.names)} labels"

    @property
    def majority(self) -> int:
        """The number of the label that training showed most often."""
        return int(np.argmax(self.counts))

    def encode(self, answers: Sequence[str], place: Place = nowhere) -> np.ndarray:
        """`(N,)` int64 numbers of labels."""
        if strange := sorted(set(answers) - set(self.names)):
            raise DataError(
                f"the data has labels that training never showed: {listing(strange)}; leave "
                f"them out, or train with examples of them (known are {listing(self.names)})"
            )
        number = {label: i for i, label in enumerate(self.names)}
        return np.array([number[label] for label in answers], dtype=np.int64)

    def fits(self, encoded: np.ndarray) -> bool:
        return (
            encoded.dtype == np.int64
            and encoded.ndim == 1
            and bool(((encoded >= 0) & (encoded < len(self.names))).all())
        )

    def logits(self, outputs: Tensor) -> Tensor:
        """`(B, K)` scores of the labels."""
        return outputs

    def objective(self, training: np.ndarray, settings: ClassifySettings) -> Objective:
        weights = label_weights(training, len(self.names), settings.class_weights)

        def losses(outputs: Tensor, answers: Tensor) -> Tensor:
            found = F.cross_entropy(
                self.logits(outputs), answers, reduction="none",
                label_smoothing=settings.label_smoothing,
            )  # fmt: skip
            return found * weights.to(found.device)[answers]

        return losses

    def calibrate(self, outputs: np.ndarray, answers: np.ndarray) -> np.ndarray:
        return np.log([fit_temperature(self._scores(outputs), answers)])

    def said(self, outputs: np.ndarray, calibration: np.ndarray) -> np.ndarray:
        """`(N, K)` probabilities."""
        return softmax(self._scores(outputs), float(np.exp(calibration[0])))

    def _scores(self, outputs: np.ndarray) -> np.ndarray:
        scores: np.ndarray = self.logits(torch.from_numpy(outputs)).numpy()
        return scores

    def ranking(self, said: np.ndarray) -> np.ndarray:
        """`(N, K)` numbers of the labels: the one that the model says, then the others."""
        return np.argsort(-said, axis=1, kind="stable")

    def together(self, outputs: Tensor) -> Tensor:
        """Of which the softmax is the mean of the softmax of each."""
        return outputs.log_softmax(-1).logsumexp(0) - math.log(len(outputs))

    def record(
        self, outputs: np.ndarray, said: np.ndarray, answers: np.ndarray, calibration: np.ndarray
    ) -> dict[str, Any]:
        found = metrics.summary(said, answers, self.ranking(said)[:, 0])
        temperature = float(np.exp(calibration[0]))
        return {"valid_loss": found.pop("log_loss"), **found, "temperature": temperature}

    def evaluation(
        self,
        said: np.ndarray,
        answers: np.ndarray,
        notes: Sequence[str] = (),
        training: Overlap | None = None,
    ) -> Evaluation:
        first, majority = self.ranking(said)[:, 0], self.names[self.majority]
        return Evaluation.of(said, first, answers, self.names, majority, notes, training)

    def predictions(self, said: np.ndarray, top: int | None) -> list[list[Guess]]:
        if top is not None and top < 1:
            raise ArgumentError(f"top must be at least 1, got {top}")
        best = self.ranking(said)[:, : top or _TOP]
        return [
            [Guess(self.names[number], float(row[number])) for number in numbers]
            for row, numbers in zip(said, best, strict=True)
        ]

    def columns(self, top: int | None) -> list[str]:
        count = min(top or _TOP, len(self.names))
        return [f"{what}_{i + 1}" for i in range(count) for what in ("label", "probability")]

    def shown(self, prediction: list[Guess] | None, top: int | None) -> Prediction:
        guesses = prediction or []
        fields = [cell for label, p in guesses for cell in (label, f"{p:.6f}")]
        return Prediction(
            [cell for label, p in guesses for cell in (label, f"{p:6.1%}")],
            fields + [""] * (len(self.columns(top)) - len(fields)),
            {"labels": [guess._asdict() for guess in guesses]},
        )

    @property
    def test_columns(self) -> tuple[str, ...]:
        return "label", "predicted", "probability"

    def test_rows(self, said: np.ndarray, answers: np.ndarray) -> list[tuple[str, ...]]:
        first = self.ranking(said)[:, 0]
        return [
            (self.names[right], self.names[number], f"{row[number]:.6f}")
            for right, number, row in zip(answers, first, said, strict=True)
        ]

    def worst(self, said: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """The wrong ones, the surest first."""
        first = self.ranking(said)[:, 0]
        wrong = np.flatnonzero(first != answers)
        return wrong[np.argsort(-said[wrong, first[wrong]], kind="stable")]

    def to_json(self) -> dict[str, Any]:
        return {"labels": list(self.names), "counts": list(self.counts)}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        labels, counts = kept.get("labels"), kept.get("counts")
        if (
            not isinstance(labels, list) or not isinstance(counts, list)
            or not all(type(label) is str for label in labels)
            or not all(type(count) is int for count in counts)
            or not 2 <= len(labels) == len(counts) == len(set(labels))
            or min(counts) < 0
        ):  # fmt: skip
            raise damaged("a classifier's labels and their counts")
        return cls(tuple(labels), tuple(counts))


def label_weights(answers: np.ndarray, labels: int, kind: str) -> Tensor:
    """`(K,)` weight of an example in the loss by its label; their mean over the examples is 1."""
    counts = np.bincount(answers, minlength=labels)
    power = {"none": 0.0, "root": 0.5, "balanced": 1.0}[kind]
    weights = np.maximum(counts, 1.0) ** -power
    return torch.from_numpy(weights / weights[answers].mean()).float()

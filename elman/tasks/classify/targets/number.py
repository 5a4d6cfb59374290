"""A number for each example: regression, with an interval that is calibrated."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from elman.errors import ArgumentError, DataError
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.classify.targets.base import (
    Objective,
    Overlap,
    Place,
    Prediction,
    Target,
    damaged,
    nowhere,
    refuse_setting,
)
from elman.tasks.classify.targets.number_evaluation import NumberEvaluation
from elman.tasks.shared.intervals import conformal_margins
from elman.tasks.shared.table import listing, shown

_NUMBER = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_STRATA = 10  # of numbers by size
_LARGEST = 1e150  # whose square float64 can hold
_ROUNDING = 1e-12  # of the largest number: deviations below it come from rounding
_DIGITS, _EXACT = 3, 7  # of a deviation that people and programs see: float32 has seven


class Estimate(NamedTuple):
    """A number, and the interval that holds the true one with the probability `coverage` of the
    run."""

    value: float
    low: float
    high: float


def is_number(text: str) -> bool:
    """Whether a text is a number as programs write them, such as -1.5e3."""
    return _NUMBER.fullmatch(text) is not None


def plain(text: str) -> str:
    """A number in the form that all equal ones have: 1 for 1.0, +1 and 1e0."""
    value = float(text)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


@dataclass(frozen=True)
class Number(Target):
    r"""The model gives three numbers (a, b, c), in deviations of the training part from its mean:

    .. math::
        \hat y = a, \quad q_{low} = a - \mathrm{softplus}(b), \quad
        q_{high} = a + \mathrm{softplus}(c)

    The loss is Huber's of the point a (square for errors below one deviation, straight beyond, so
    that a few strange numbers do not decide), and the pinball loss of both quantiles (R. Koenker,
    G. Bassett, 1978), which moves b and c alone. On the validation part the interval is widened or
    narrowed by conformalised quantile regression (Y. Romano et al., arXiv 1905.03222).

    center, unit: mean and deviation of the training part. median: of the training part. least,
    most: its range. coverage: the share that the interval shall hold.
    """

    name = "number"
    loss_name = "Huber and quantile loss, in deviations"
    highlights = ("mae", "r2")
    in_python = "a number"
    calibrated = 1  # how far the interval is widened, in deviations

    center: float
    unit: float
    median: float
    least: float
    most: float
    coverage: float

    @classmethod
    def read(
        cls, written: Sequence[str], place: Place, settings: ClassifySettings
    ) -> tuple[list[str], list[str]]:
        refuse_setting(settings, ("class_weights", "label_smoothing"), "numbers")
        return [_checked(text, place, i) if text else "" for i, text in enumerate(written)], []

    @classmethod
    def strata(cls, answers: Sequence[str]) -> np.ndarray:
        """By size, so that each part holds small and large ones."""
        values = np.array([float(text) for text in answers])
        ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
        bins = max(1, min(_STRATA, len(values) // _STRATA))
        found: np.ndarray = ranks * bins // max(len(values), 1)
        return found

    @classmethod
    def divided(cls, training: Sequence[str], others: Mapping[str, Sequence[str]]) -> list[str]:
        if len(set(training)) < 2:
            raise DataError(
                f"numbers to learn from must differ, got {listing(training[:1]) or 'none'} for "
                f"all {len(training):,} training examples; name another --label-column"
            )
        return []

    @classmethod
    def of(cls, training: Sequence[str], settings: ClassifySettings) -> Self:
        values = np.array([float(text) for text in training])
        unit = float(values.std())
        if unit <= _ROUNDING * float(np.abs(values).max()):
            raise DataError(
                f"the numbers {listing(sorted(set(training))[:3])} differ by less than float64 can "
                f"tell from rounding; subtract what they have in common"
            )
        return cls(
            float(values.mean()),
            unit,
            float(np.median(values)),
            float(values.min()),
            float(values.max()),
            settings.coverage,
        )

    @property
    def outputs(self) -> int:
        return 3

    @property
    def described(self) -> str:
        return (
            f"numbers from {self.text(self.least)} to {self.text(self.most)} (mean "
            f"{self.text(self.center)}, deviation {self.text(self.unit)})"
        )

    def doubts(self, validation: int) -> list[str]:
        """Conformal prediction needs the coverage-th of n + 1 errors."""
        reached = validation / (validation + 1)
        if reached >= self.coverage:
            return []
        return [
            f"few validation examples ({validation}): an interval is as wide as the largest error "
            f"there, which holds {reached:.0%} of new numbers on average, not {self.coverage:.0%}"
        ]

    def text(self, value: float, digits: int = _DIGITS) -> str:
        """A number with as many decimals as a deviation of the training part needs for so many
        digits."""
        if not 1e-6 < self.unit < 1e9:
            return f"{value:.{digits + 1}g}"
        return f"{value:.{self._decimals(digits)}f}"

    def _decimals(self, digits: int) -> int:
        return max(0, digits - 1 - math.floor(math.log10(self.unit)))

    def encode(self, answers: Sequence[str], place: Place = nowhere) -> np.ndarray:
        """`(N,)` float64."""
        return np.array([float(_checked(text, place, i)) for i, text in enumerate(answers)])

    def fits(self, encoded: np.ndarray) -> bool:
        return (
            encoded.dtype == np.float64
            and encoded.ndim == 1
            and bool((np.abs(encoded) <= _LARGEST).all())
        )

    @classmethod
    def written(cls, answer: object) -> str | None:
        if isinstance(answer, int | float | np.integer | np.floating) and type(answer) is not bool:
            return repr(float(answer))
        return super().written(answer)

    def objective(self, training: np.ndarray, settings: ClassifySettings) -> Objective:
        return self.losses

    def losses(self, outputs: Tensor, answers: Tensor) -> Tensor:
        """`(B,)` from outputs `(B, 3)` and numbers `(B,)`."""
        actual = ((answers - self.center) / self.unit).to(outputs.dtype)
        point = outputs[:, 0]
        low, high = _ends(outputs)
        tail = (1 - self.coverage) / 2
        pinball = [
            torch.maximum(level * (actual - end), (level - 1) * (actual - end))
            for end, level in ((low, tail), (high, 1 - tail))
        ]
        return F.huber_loss(point, actual, reduction="none") + pinball[0] + pinball[1]

    def calibrate(self, outputs: np.ndarray, answers: np.ndarray) -> np.ndarray:
        low, high = (end.double().numpy() for end in _ends(torch.from_numpy(outputs)))
        actual = (answers - self.center) / self.unit
        scores = np.maximum(low - actual, actual - high)
        margin = conformal_margins(scores, np.ones(len(scores), dtype=bool), self.coverage)
        return np.array([float(margin)])

    def said(self, outputs: np.ndarray, calibration: np.ndarray) -> np.ndarray:
        """`(N, 3)`: the number, and both ends of its interval."""
        low, high = (end.double().numpy() for end in _ends(torch.from_numpy(outputs)))
        point = outputs[:, 0].astype(np.float64)
        found = [
            point,
            np.minimum(low - calibration[0], point),
            np.maximum(high + calibration[0], point),
        ]
        return np.stack(found, axis=1) * self.unit + self.center

    def record(
        self, outputs: np.ndarray, said: np.ndarray, answers: np.ndarray, calibration: np.ndarray
    ) -> dict[str, Any]:
        losses = self.losses(torch.from_numpy(outputs), torch.from_numpy(answers))
        found = self.evaluation(said, answers)
        return {
            "valid_loss": losses.double().mean().item(),
            "mae": found.mae,
            "rmse": found.rmse,
            "r2": 0.0 if found.r2 is None else found.r2,
            "margin": float(calibration[0]),
        }

    def evaluation(
        self,
        said: np.ndarray,
        answers: np.ndarray,
        notes: Sequence[str] = (),
        training: Overlap | None = None,
    ) -> NumberEvaluation:
        return NumberEvaluation.of(
            said, answers, self.center, self.median, self.coverage, self.text, notes, training
        )

    def predictions(self, said: np.ndarray, top: int | None) -> list[Estimate]:
        if top is not None:
            raise ArgumentError(
                f"top is for models that name labels, but this one says a number; got {top}, leave "
                f"it out"
            )
        rounded = np.round(said, min(self._decimals(_EXACT), 300))
        return [Estimate(*map(float, row)) for row in rounded]

    def columns(self, top: int | None) -> list[str]:
        return list(Estimate._fields)

    def shown(self, prediction: Estimate | None, top: int | None) -> Prediction:
        if prediction is None:
            return Prediction([], [""] * 3, dict.fromkeys(Estimate._fields))
        value, low, high = map(self.text, prediction)
        return Prediction(
            [value, f"{low} to {high}"], [repr(n) for n in prediction], prediction._asdict()
        )

    @property
    def test_columns(self) -> tuple[str, ...]:
        return "number", "predicted", "low", "high", "error"

    def test_rows(self, said: np.ndarray, answers: np.ndarray) -> list[tuple[str, ...]]:
        return [
            (repr(float(actual)), *map(repr, estimate), f"{estimate.value - float(actual):.6g}")
            for actual, estimate in zip(answers, self.predictions(said, None), strict=True)
        ]

    def worst(self, said: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """All of them, the largest error first."""
        return np.argsort(-np.abs(said[:, 0] - answers), kind="stable")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        values: dict[str, Any] = {field.name: kept.get(field.name) for field in fields(cls)}
        if not all(type(value) is float and abs(value) <= _LARGEST for value in values.values()):
            raise damaged("mean, deviation, median and range of numbers, and a coverage")
        found = cls(**values)
        if not (found.unit > 0 and found.least <= found.most and 0 < found.coverage < 1):
            raise damaged("a deviation above 0, a range in its order, and a coverage below 1")
        return found


def _checked(text: str, place: Place, number: int) -> str:
    """A number in its one form, after making sure that it is one."""
    if is_number(text) and abs(float(text)) <= _LARGEST:
        return plain(text)
    raise DataError(
        f"{place(number)}: expected a number below {_LARGEST:.0e}, such as 12.5, got "
        f"{shown(text)}; correct it, or leave the row out"
    )


def _ends(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Both ends of the interval before it is calibrated. They do not move the point."""
    point = outputs[:, 0].detach()
    return point - F.softplus(outputs[:, 1]), point + F.softplus(outputs[:, 2])

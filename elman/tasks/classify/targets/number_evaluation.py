"""What a model of numbers was found to do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from elman.tasks.classify.targets.base import Measured, Overlap, Picture, Seen
from elman.tasks.classify.targets.pictures import predicted_and_true

_RANGES = 5  # of true numbers, in the table for people


@dataclass(frozen=True)
class Errors:
    """Of numbers that were said: mean absolute error, root of the mean squared error, and the share
    of the variance that is explained, 1 - sum of squares / sum of squares around the mean; None
    where all true numbers are equal."""

    mae: float
    rmse: float
    r2: float | None

    @classmethod
    def of(cls, predicted: np.ndarray, actual: np.ndarray) -> Self:
        error = predicted - actual
        spread = float(np.square(actual - actual.mean()).sum())
        squares = float(np.square(error).sum())
        return cls(
            float(np.abs(error).mean()),
            (squares / len(error)) ** 0.5,
            1 - squares / spread if spread > 0 else None,
        )

    def shown(self, text: Callable[..., str]) -> str:
        """text: writes a number with so many digits."""
        return f"MAE {text(self.mae, 4)}, RMSE {text(self.rmse, 4)}, R2 {self.r2_text}"

    @property
    def r2_text(self) -> str:
        return "not defined" if self.r2 is None else f"{round(self.r2, 4) + 0.0:.4f}"

    def to_json(self) -> dict[str, Any]:
        return {"mae": self.mae, "rmse": self.rmse, "r2": self.r2}


@dataclass(frozen=True)
class NumberEvaluation(Measured):
    """Measured on N examples. All but r2 and coverage are in the unit of the numbers.

    actual: `(N,)`. said: `(N, 3)` the number, and both ends of its interval. mean, median: of the
    training part, as baselines: what has the least squared and the least absolute error without a
    look at the examples. wanted: the share that intervals should hold. text: writes a number.
    """

    actual: np.ndarray
    said: np.ndarray
    errors: Errors
    mean: float
    median: float
    wanted: float
    text: Callable[..., str]
    notes: tuple[str, ...] = ()
    seen: Seen | None = None

    @classmethod
    def of(
        cls,
        said: np.ndarray,
        actual: np.ndarray,
        mean: float,
        median: float,
        wanted: float,
        text: Callable[..., str],
        notes: Sequence[str] = (),
        training: Overlap | None = None,
    ) -> Self:
        error = np.abs(said[:, 0] - actual)
        seen = training and Seen.of(training, "MAE", lambda part: float(error[part].mean()))
        return cls(
            actual, said, Errors.of(said[:, 0], actual), mean, median, wanted, text, tuple(notes),
            seen,
        )  # fmt: skip

    @property
    def examples(self) -> int:
        return len(self.actual)

    @property
    def mae(self) -> float:
        return self.errors.mae

    @property
    def rmse(self) -> float:
        return self.errors.rmse

    @property
    def r2(self) -> float | None:
        return self.errors.r2

    @property
    def inside(self) -> np.ndarray:
        """`(N,)` whether the interval holds the true number."""
        found: np.ndarray = (self.said[:, 1] <= self.actual) & (self.actual <= self.said[:, 2])
        return found

    @property
    def coverage(self) -> float:
        return float(self.inside.mean())

    @property
    def width(self) -> float:
        """Mean width of the intervals."""
        return float((self.said[:, 2] - self.said[:, 1]).mean())

    def always(self, value: float) -> Errors:
        """The errors of a program that always says this."""
        return Errors.of(np.full(len(self.actual), value), self.actual)

    @property
    def headline(self) -> str:
        return (
            f"{self.errors.shown(self.text)}; intervals hold {self.coverage:.1%} "
            f"({self.wanted:.1%} wanted), width {self.text(self.width)}"
        )

    @property
    def baselines(self) -> list[str]:
        lines = []
        for name, value in (("mean", self.mean), ("median", self.median)):
            shown = self.always(value).shown(self.text)
            lines.append(f"always {self.text(value)}, the {name} of training: {shown}")
        return lines

    @property
    def remarks(self) -> tuple[str, ...]:
        plain = self.always(self.mean), self.always(self.median)
        if self.rmse < plain[0].rmse or self.mae < plain[1].mae:
            return ()
        return (
            "the model is no better than a program that always says the mean of training: it has "
            "not learnt what the numbers depend on",
        )

    def rows(self) -> list[str]:
        """By size of the true number: where the model is wrong, and to which side."""
        order = np.argsort(self.actual, kind="stable")
        error = self.said[:, 0] - self.actual
        found = [("true number", "examples", "MAE", "mean error", "in interval")]
        for part in np.array_split(order, min(_RANGES, len(order))):
            ends = self.text(self.actual[part[0]]), self.text(self.actual[part[-1]])
            found.append((
                f"{ends[0]} to {ends[1]}",
                f"{len(part):,}",
                self.text(float(np.abs(error[part]).mean()), 4),
                self.text(float(error[part].mean()), 4),
                f"{self.inside[part].mean():.1%}",
            ))  # fmt: skip
        widths = [max(map(len, column)) for column in zip(*found, strict=True)]
        return [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in found
        ]

    def picture(self, part: str = "test") -> Picture:
        title = (
            f"{part}, {self.examples:,} examples: MAE {self.text(self.mae, 4)}, R2 "
            f"{self.errors.r2_text}\nintervals hold {self.coverage:.1%}; always the mean: MAE "
            f"{self.text(self.always(self.mean).mae, 4)}"
        )
        return Picture(
            "predicted and true numbers", "predicted.png",
            predicted_and_true(self.said, self.actual, title),
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return {
            "examples": self.examples,
            **self.errors.to_json(),
            "interval": {
                "wanted": self.wanted,
                "coverage": self.coverage,
                "width": self.width,
            },
            "baselines": {
                "mean": {"value": self.mean, **self.always(self.mean).to_json()},
                "median": {"value": self.median, **self.always(self.median).to_json()},
            },
            "seen_in_training": None if self.seen is None else self.seen.to_json(),
            "notes": [*self.notes, *self.remarks],
        }

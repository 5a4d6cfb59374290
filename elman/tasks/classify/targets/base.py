"""What every kind of answer has: how it is read, learnt, said, and measured."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from torch import Tensor

from elman.errors import ArgumentError, RunError
from elman.tasks.classify.settings import ClassifySettings

Place = Callable[[int], str]
"""Where the answer of a number stands in the user's data, for messages."""
Objective = Callable[[Tensor, Tensor], Tensor]
"""Outputs `(B, outputs)` and encoded answers `(B, ...)` to the loss `(B,)` of each example."""


def nowhere(number: int) -> str:
    """The place of an answer that came from no file."""
    return f"example {number + 1}"


class Overlap(NamedTuple):
    """Which examples training also showed: shared, with the same answer (they are no test);
    contested, with another answer only (which no model can get right by more than luck)."""

    shared: np.ndarray
    contested: np.ndarray


class Seen(NamedTuple):
    """Examples that training showed, too.

    same_label: how many, with the same answer: no test of what the model can do. other_label: how
    many, with another answer only. measure, rest: what is measured on all but those of the same
    answer, such as the accuracy, and its value; None if nothing is left.
    """

    same_label: int
    other_label: int
    measure: str
    rest: float | None

    @classmethod
    def of(cls, training: Overlap, measure: str, of_part: Callable[[np.ndarray], float]) -> "Seen":
        """of_part: the measure on those examples that a mask `(N,)` tells."""
        new = ~training.shared
        return cls(
            int(training.shared.sum()),
            int(training.contested.sum()),
            measure,
            of_part(new) if new.any() else None,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "same_label": self.same_label,
            "other_label": self.other_label,
            f"rest_{self.measure.lower().replace(' ', '_')}": self.rest,
        }


class Picture(NamedTuple):
    """A picture of a test. title: what it is, for people. name: of the file."""

    title: str
    name: str
    png: bytes


class Measured(ABC):
    """What a model was found to do on examples whose answers are known.

    notes: what was left out of the data. seen: what of it training showed, None if the run no
    longer holds its examples.
    """

    notes: tuple[str, ...]
    seen: Seen | None

    @property
    @abstractmethod
    def examples(self) -> int: ...

    @property
    @abstractmethod
    def headline(self) -> str:
        """The measures of all, in one line."""

    @property
    @abstractmethod
    def baselines(self) -> list[str]:
        """What is reached without looking at the examples: lines."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the user should know about a model that has learnt hardly anything; else nothing."""
        return ()

    @property
    def hints(self) -> tuple[str, ...]:
        """What may help such a model, besides longer training and more examples."""
        return ()

    @abstractmethod
    def rows(self) -> list[str]:
        """A table for people, by label or by size."""

    def closing(self) -> list[str]:
        """What stands below everything else."""
        return []

    @abstractmethod
    def picture(self, part: str = "test") -> Picture:
        """part: what was measured, for the title."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]: ...


class Prediction(NamedTuple):
    """How a prediction looks. cells: of a table for people, side by side. fields: of CSV. json:
    keys and values."""

    cells: list[str]
    fields: list[str]
    json: dict[str, Any]


class Target(ABC):
    """What a model learns to say, and all that the rest of elman asks of it.

    An answer is text until it is encoded: `read` gives equal answers equal texts. What a model
    gives are `outputs` numbers of an example; `said` makes of them what people can use, an array
    `(N, ...)` that all methods below take.
    """

    name: ClassVar[str]
    loss_name: ClassVar[str]
    highlights: ClassVar[tuple[str, ...]]
    calibrated: ClassVar[int]
    """How many numbers `calibrate` gives; the model keeps them beside its weights."""
    distributes: ClassVar[bool] = False
    """Whether `said` is a probability of each of the labels, of which one is right."""
    in_python: ClassVar[str] = "a str"
    """What `written` takes, in words."""

    # Before anything is divided.

    @classmethod
    @abstractmethod
    def read(
        cls, written: Sequence[str], place: Place, settings: ClassifySettings
    ) -> tuple[list[str], list[str]]:
        """The answers of all examples, each in one form, and what the user should know about them.
        "" stays as it is.

        Raises:
            DataError: one that is none of this kind.
        """

    @classmethod
    @abstractmethod
    def strata(cls, answers: Sequence[str]) -> np.ndarray:
        """`(N,)`: each part of a drawn split gets its share of each stratum."""

    @classmethod
    @abstractmethod
    def divided(cls, training: Sequence[str], others: Mapping[str, Sequence[str]]) -> list[str]:
        """What the user should know about the answers of the parts; others: by the words for them.

        Raises:
            DataError: training can't teach what another part asks for.
        """

    @classmethod
    @abstractmethod
    def of(cls, training: Sequence[str], settings: ClassifySettings) -> Self:
        """What is learnt from these answers."""

    # A run's.

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Of the network, for one example."""

    @property
    def labels(self) -> tuple[str, ...]:
        """That it may say; none for numbers."""
        return ()

    @property
    @abstractmethod
    def described(self) -> str:
        """In a few words, such as "18 labels"."""

    def doubts(self, validation: int) -> list[str]:
        """What a validation part of so many examples is too small for."""
        return []

    @abstractmethod
    def encode(self, answers: Sequence[str], place: Place = nowhere) -> np.ndarray:
        """`(N, ...)` for written answers.

        Raises:
            DataError: one that is none of this kind, or that training never showed.
        """

    @abstractmethod
    def fits(self, encoded: np.ndarray) -> bool:
        """Whether an array from a run folder is what `encode` gives."""

    @classmethod
    def written(cls, answer: object) -> str | None:
        """An answer given in Python as text; None if it is none of this kind."""
        return answer if isinstance(answer, str) else None

    @abstractmethod
    def objective(self, training: np.ndarray, settings: ClassifySettings) -> Objective:
        """The loss. training: the encoded answers of that part."""

    @abstractmethod
    def calibrate(self, outputs: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """`(calibrated,)` numbers fitted on the validation part."""

    @abstractmethod
    def said(self, outputs: np.ndarray, calibration: np.ndarray) -> np.ndarray:
        """`(N, ...)` float64 from outputs `(N, outputs)`."""

    def together(self, outputs: Tensor) -> Tensor:
        """`(B, outputs)` of several networks `(members, B, outputs)` as one."""
        return outputs.mean(0)

    @abstractmethod
    def record(
        self, outputs: np.ndarray, said: np.ndarray, answers: np.ndarray, calibration: np.ndarray
    ) -> dict[str, Any]:
        """What a validation tells; "valid_loss" decides which weights are kept. said: by the whole
        model, the network's outputs among it."""

    @abstractmethod
    def evaluation(
        self,
        said: np.ndarray,
        answers: np.ndarray,
        notes: Sequence[str] = (),
        training: Overlap | None = None,
    ) -> Measured:
        """training: which of the examples it showed."""

    # In use.

    @abstractmethod
    def predictions(self, said: np.ndarray, top: int | None) -> list[Any]:
        """One for each example, as `TrainedClassifier.predict` returns them. top: how many of
        several possible answers; None: the usual number.

        Raises:
            ArgumentError: there are no several.
        """

    @abstractmethod
    def columns(self, top: int | None) -> list[str]:
        """The names of `Prediction.fields`."""

    @abstractmethod
    def shown(self, prediction: Any, top: int | None) -> Prediction:
        """prediction: None for an example that is empty."""

    @property
    @abstractmethod
    def test_columns(self) -> tuple[str, ...]: ...

    @abstractmethod
    def test_rows(self, said: np.ndarray, answers: np.ndarray) -> list[tuple[str, ...]]:
        """For each example what was right, and what the model said."""

    @abstractmethod
    def worst(self, said: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """The numbers of the examples that are worth a look, the worst first."""

    # On disk.

    @abstractmethod
    def to_json(self) -> dict[str, Any]: ...

    @classmethod
    @abstractmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Raises `RunError` unless that is what `to_json` gives."""


def refuse_setting(settings: ClassifySettings, names: Sequence[str], what: str) -> None:
    """Raise if one of these settings was given that says nothing to a model of `what`."""
    for name in names:
        if getattr(settings, name) != getattr(ClassifySettings(), name):
            raise ArgumentError(
                f"--{name.replace('_', '-')} is for models that name labels, but this one learns "
                f"{what}; leave it out"
            )


def damaged(what: str) -> RunError:
    """The error about a vocabulary that holds no such target."""
    return RunError(f"vocabulary.json must hold under target {what}; restore it or train anew")

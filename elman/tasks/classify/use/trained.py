"""A trained classifier in use."""

import dataclasses
import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from elman.errors import ArgumentError, DataError, RunError
from elman.settings import build, names, refuse_unknown
from elman.tasks.classify.data import sources
from elman.tasks.classify.data.dataset import Catalogue, Dataset, pack
from elman.tasks.classify.data.examples import Examples, Item, cleaned, overlap, short
from elman.tasks.classify.data.kept import KeptExamples
from elman.tasks.classify.data.learned import UNKNOWN, Learned
from elman.tasks.classify.model.classifier import SequenceClassifier
from elman.tasks.classify.settings import ClassifySettings, EvaluationSettings
from elman.tasks.classify.targets.base import Measured, Overlap, Target
from elman.tasks.classify.use.scores import outputs_of
from elman.tasks.shared.trained import Trained

Source = str | os.PathLike[str]


class Tested(NamedTuple):
    """The test part: what the model says of it, `(N, ...)`, the right answers `(N, ...)`, and what
    the run keeps of its examples."""

    evaluation: Measured
    target: Target
    said: np.ndarray
    answers: np.ndarray
    kept: KeptExamples


class TrainedClassifier(Trained[SequenceClassifier]):
    """What `elman.load` returns for a classification run.

    model: the network, in evaluation mode. target: the kind of answers that it gives. labels: that
    it may say, in the order of its outputs; none for numbers.
    """

    def __init__(
        self,
        model: SequenceClassifier,
        catalogue: Catalogue,
        settings: ClassifySettings,
        kept: KeptExamples | None = None,
        learned: Learned = UNKNOWN,
    ) -> None:
        super().__init__(model)
        self.target, self.labels = catalogue.target, catalogue.target.labels
        self._catalogue, self._settings, self._kept = catalogue, settings, kept
        self._learned = learned

    def predict(self, examples: Sequence[Item], top: int | None = None) -> list[Any]:
        """What the model says of each example, by what it has learnt to say:

        - a label, or one of an order: a list of `Guess`, the best first, 3 if `top` is None;
        - several labels: a list of `Guess`, those that the model says, which may be none;
        - a number: an `Estimate` with its interval.

        Args:
            examples: strings, or signals `(T, C)` of C channels, as the run was trained on.
                Characters that training never showed are read as the unknown character.
            top: how many labels, the most probable ones; all if there are fewer.

        Raises:
            ArgumentError: an example is empty, of the wrong kind or shape, or not finite; or `top`
                for numbers.

        Example:
            >>> import elman
            >>> model = elman.load("runs/classify-001")  # doctest: +SKIP
            >>> model.predict(["Satoshi"], top=1)  # doctest: +SKIP
            [[Guess(label='Japanese', probability=0.98)]]
        """
        return self.target.predictions(self._said(examples), top)

    def probabilities(self, examples: Sequence[Item]) -> np.ndarray:
        """`(N, K)` float64: for each example the probability of each of `labels`.

        Args and errors are those of `predict`; also ArgumentError for a model that says numbers.
        """
        if not self.labels:
            raise ArgumentError(
                "probabilities are those of labels, but this model says numbers; use predict"
            )
        return self._said(examples)[:, : len(self.labels)]

    def _said(self, examples: Sequence[Item]) -> np.ndarray:
        """What the model says of examples that it has not seen encoded."""
        if isinstance(examples, str | np.ndarray):
            raise ArgumentError(
                f"a list of examples was expected, got one {type(examples).__name__}; "
                f"put it into a list"
            )
        if not isinstance(examples, Sequence) and len(getattr(examples, "shape", ())) != 1:
            raise ArgumentError(
                f"a list of examples was expected, got {type(examples).__name__}; make a list of "
                f"its texts or signals"
            )
        encoded = [self._encoded(item, number) for number, item in enumerate(examples, 1)]
        if not encoded:
            outputs = np.zeros((0, self.target.outputs), dtype=np.float32)
            return self.target.said(outputs, self.model.calibrated)
        return self._of(pack(encoded, np.zeros(len(encoded), dtype=np.int64)))

    def evaluate(
        self, data: Source | Sequence[tuple[Item, Any]] | None = None, **reading: Any
    ) -> Measured:
        """How good the model is on labelled data, or on the test part that the run kept. Every row
        counts, repeats too; only empty examples are left out, and counted.

        Args:
            data: a file or folder that is read as the run's data was, or (example, label) pairs,
                with a number or a list of labels as label where the model says such.
            reading: settings of reading in place of the run's: data_format, header, text_column,
                label_column, encoding.

        Raises:
            ArgumentError: no data given and none kept, or a column that does not exist.
            DataError: data that can't be read, or a label that training never showed.
        """
        if data is None:
            return self.tested().evaluation
        if isinstance(data, str | os.PathLike):
            examples = self.read(data, **reading)
        else:
            pairs = _pairs(data, self.target)
            for number, (item, _) in enumerate(pairs, 1):
                self._encoded(item, number)  # refuses what is no example
            items = [self._prepared(item) for item, _ in pairs]
            channels = self._catalogue.channels
            examples = Examples(items, [label for _, label in pairs], channels=channels)
        found = cleaned(examples, repeats=False).examples
        dataset = self._known(found)
        return self._evaluation(self._of(dataset), dataset, found.notes)

    def tested(self) -> Tested:
        """What the model says of the test part that the run kept.

        Raises:
            ArgumentError: none kept.
        """
        if (parts := self._parts) is None or self._kept is None:
            raise ArgumentError("this run keeps no examples of its own; give the data to evaluate")
        test = parts["test"]
        said = self._of(test)
        found = self._evaluation(said, test, [])
        return Tested(found, self.target, said, test.labels, self._kept)

    @cached_property
    def _parts(self) -> dict[str, Dataset] | None:
        """None: a run that was copied without its data, which can still be used."""
        try:
            return None if self._kept is None else self._kept.parts
        except RunError:
            return None

    def _overlap(self, dataset: Dataset) -> Overlap | None:
        """Which examples training showed, too."""
        if self._parts is None:
            return None
        return overlap(self._parts["train"].pairs(), dataset.pairs())

    def read(
        self, source: Source, labelled: bool = True, keep: Sequence[str] = (), **reading: Any
    ) -> Examples:
        """The examples of a file or folder, or of "-" for standard input, read as the run's data.

        labelled: whether they must have labels; if not, the format goes by the name, and where
        that leaves it open, by whether the content looks like the run's data; else each line is
        an example. keep: columns of a table to hand on, in `columns`. `reading` and errors are
        those of `evaluate`. Empty examples keep their places.
        """
        refuse_unknown(reading, names(EvaluationSettings), "reading")
        # Columns that divided and weighed the training data say nothing about other data.
        values = {**dataclasses.asdict(self._settings), "split_column": "", "weight_column": ""}
        if not labelled:
            values["data_format"] = "auto"  # a list of texts is usual, whatever training read
        values.update(reading)
        settings = build(ClassifySettings, values, "reading")
        rows = bool(keep) or not {"header", "text_column", "label_column"}.isdisjoint(reading)
        learned = dataclasses.replace(self._learned, rows=rows)
        return sources.read_source(os.fspath(source), settings, labelled, learned, keep)

    def _prepared(self, item: Item) -> Item:
        if isinstance(item, str):
            return sources.prepared(item, self._settings.ascii)
        return np.asarray(item, dtype=np.float64)

    def _encoded(self, item: Item, number: int) -> np.ndarray:
        try:
            return self._catalogue.encode(self._prepared(item) if isinstance(item, str) else item)
        except ArgumentError as error:
            raise ArgumentError(f"example {number}: {error}") from None

    def _known(self, examples: Examples) -> Dataset:
        """The examples encoded, after making sure that the model can name their labels."""
        if not len(examples):
            raise DataError("the data holds no example; at least one was expected")
        answers = self.target.encode(examples.labels, lambda i: sources.place_of(examples, i))
        items = [self._encoded(item, number) for number, item in enumerate(examples.items, 1)]
        return pack(items, answers)

    def _of(self, dataset: Dataset) -> np.ndarray:
        outputs = outputs_of(self.model, dataset, self.device)
        return self.target.said(outputs, self.model.calibrated)

    def _evaluation(self, said: np.ndarray, dataset: Dataset, notes: list[str]) -> Measured:
        return self.target.evaluation(said, dataset.labels, notes, self._overlap(dataset))


def _pairs(data: object, target: Target) -> list[tuple[Item, str]]:
    """The data with written answers, after making sure that it is (example, label) pairs."""
    if not isinstance(data, Sequence):
        raise ArgumentError(
            f"data must be a path or a list of (example, label) pairs, got {type(data).__name__}"
        )
    pairs = []
    for number, pair in enumerate(data, 1):
        two = isinstance(pair, tuple | list) and len(pair) == 2
        if not two or (answer := target.written(pair[1])) is None:
            raise ArgumentError(
                f"data must hold (example, label) pairs with {target.in_python} as label, got "
                f"{short(repr(pair))} as number {number}"
            )
        pairs.append((pair[0], answer))
    return pairs

"""A trained classifier in use."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from elman.errors import ArgumentError, DataError, RunError
from elman.settings import build, names, refuse_unknown
from elman.tasks.classify.data import sources
from elman.tasks.classify.data.batches import PREDICTION_STEPS
from elman.tasks.classify.data.dataset import Catalogue, Dataset, pack
from elman.tasks.classify.data.examples import Examples, Item, cleaned, overlap, short
from elman.tasks.classify.data.kept import KeptExamples
from elman.tasks.classify.data.learned import UNKNOWN, Learned
from elman.tasks.classify.data.tokens import cut, note_of_cut, text_of
from elman.tasks.classify.model.classifier import SequenceClassifier
from elman.tasks.classify.settings import DIVIDING, ClassifySettings, LabelledReadingSettings
from elman.tasks.classify.targets.base import Measured, Overlap, Target
from elman.tasks.classify.use.explanation import Explanation, explained, groups
from elman.tasks.classify.use.scores import said_of
from elman.tasks.classify.use.suspicious import SHOWN, Suspect, suspects_of
from elman.tasks.shared.characters import code_points
from elman.tasks.shared.table import listing
from elman.tasks.shared.trained import Trained

Source = str | os.PathLike[str]
Row = Mapping[str, Any]
"""An example of a run that reads several columns: their values by name."""
Labelled = Sequence[tuple[Item | Row, str]] | Examples


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

    def predict(
        self, examples: Sequence[Item | Row] | Examples, top: int | None = None
    ) -> list[Any]:
        """What the model says of each example, by what it has learnt to say:

        - a label, or one of an order: a list of `Guess`, the best first, 3 if `top` is None;
        - several labels: a list of `Guess`, those that the model says, which may be none;
        - a number: an `Estimate` with its interval.

        Args:
            examples: strings, or signals `(T, C)` of C channels, as the run was trained on; of a
                run that reads several columns, mappings with all of them, None where a value is not
                known. Characters and categories that training never showed are read as unknown
                ones. Or what `read` gives.
            top: how many labels, the most probable ones; all if there are fewer.

        Raises:
            ArgumentError: an example is empty, of the wrong kind or shape, not finite, or lacks a
                column; or `top` for numbers.
            DataError: text in a column of numbers.

        Example:
            >>> import elman
            >>> model = elman.load("runs/classify-001")  # doctest: +SKIP
            >>> model.predict(["Satoshi"], top=1)  # doctest: +SKIP
            [[Guess(label='Japanese', probability=0.98)]]
        """
        return self.target.predictions(self._said(examples), top)

    def probabilities(self, examples: Sequence[Item | Row] | Examples) -> np.ndarray:
        """`(N, K)` float64: for each example the probability of each of `labels`.

        Args and errors are those of `predict`; also ArgumentError for a model that says numbers.
        """
        if not self.labels:
            raise ArgumentError(
                "probabilities are those of labels, but this model says numbers; use predict"
            )
        return self._said(examples)[:, : len(self.labels)]

    def _said(self, examples: Sequence[Item | Row] | Examples) -> np.ndarray:
        """What the model says of examples that it has not seen encoded."""
        if isinstance(examples, str | np.ndarray):
            raise ArgumentError(
                f"a list of examples was expected, got one {type(examples).__name__}; "
                f"put it into a list"
            )
        if (
            not isinstance(examples, Sequence | Examples)
            and len(getattr(examples, "shape", ())) != 1
        ):
            raise ArgumentError(
                f"a list of examples was expected, got {type(examples).__name__}; make a list of "
                f"its texts or signals"
            )
        found = self._examples(examples)
        if not len(found):
            outputs = np.zeros((0, self.target.outputs), dtype=np.float32)
            return self.target.said(outputs, self.model.calibrated)
        return self._of(self._packed(found, np.zeros(len(found), dtype=np.int64)))

    def explain(
        self, examples: Sequence[Item | Row] | Examples, labels: Sequence[str] | None = None
    ) -> list[Explanation]:
        """What each piece of an example did to its label: each is taken away in turn, and the
        example read again.

        Args:
            examples: as for `predict`.
            labels: one for each, to explain in place of the most probable one.

        Returns:
            For a text the effect of each character, or word if it is read as words (of longer
            stretches, if there are more than 200); for a signal of stretches of each channel: an
            eighth of the signal around each is replaced by a straight line.

        Raises:
            ArgumentError: see `predict`; or a label that the model does not know; or a model that
                says something else than one label.
        """
        self._require_one_label("explained")
        given = self._examples(examples)
        encoded = [self._erasable(item, number) for number, item in enumerate(given.items, 1)]
        place = partial(sources.place_of, given)
        beside = self._catalogue.inputs.encode(given.beside, len(given), place)
        numbers = None if labels is None else [self._number_of(label) for label in labels]
        if numbers is not None and len(numbers) != len(encoded):
            raise ArgumentError(f"{len(encoded)} labels were expected, got {len(numbers)}")
        found: list[Explanation] = []
        for group in groups(encoded, PREDICTION_STEPS):
            chosen = None if numbers is None else np.array([numbers[i] for i in group])
            found += explained(
                [encoded[i] for i in group], beside[group], chosen, self._catalogue, self._of
            )
        texts = [text_of(points) if points.ndim == 1 else "" for points in encoded]
        return [dataclasses.replace(why, text=text) for why, text in zip(found, texts, strict=True)]

    def _erasable(self, item: Item, number: int) -> np.ndarray:
        """What pieces are taken from: the code points of a text that are read, or a signal."""
        encoded = self._encoded(item, number)
        if self._catalogue.tokens is None:
            return encoded
        return cut(code_points(str(self._prepared(item))), self._catalogue.tokens.longest)

    def _number_of(self, label: str) -> int:
        if label not in self.labels:
            raise ArgumentError(f"no label {label!r}; known are {listing(self.labels)}")
        return self.labels.index(label)

    def evaluate(self, data: Source | Labelled | None = None, **reading: Any) -> Measured:
        """How good the model is on labelled data, or on the test part that the run kept. Every row
        counts, repeats too; only empty examples are left out, and counted.

        Args:
            data: a file or folder that is read as the run's data was, (example, label) pairs, with
                a number or a list of labels as label where the model says such, or what `read`
                returned.
            reading: settings of reading in place of the run's: data_format, header, text_column,
                label_column, encoding.

        Raises:
            ArgumentError: no data given and none kept, or a column that does not exist.
            DataError: data that can't be read, or a label that training never showed.
        """
        if data is None:
            return self.tested().evaluation
        found, dataset = self._measurable(data, reading)
        return self._evaluation(self._of(dataset), dataset, found.notes)

    def suspects(self, data: Source | Labelled | None = None, **reading: Any) -> list[Suspect]:
        """The examples whose label may be wrong, the surest first (confident learning).

        Only examples that training did not show can be judged: those of the run's validation and
        test part, or of other data without what training showed with the same label.

        Args and errors are those of `evaluate`.
        """
        self._require_one_label("suspected")
        if data is None:
            return self._suspects_held_out()
        found, dataset = self._measurable(data, reading)
        training = self._overlap(dataset)
        new = np.ones(len(dataset), bool) if training is None else ~training.shared
        kept = np.flatnonzero(new)
        if not len(kept):
            return []
        probabilities, labels = self._of(dataset.take(kept)), dataset.labels[kept]
        places = [(found.files[i], found.rows[i], "", _described(found.items[i])) for i in kept]
        return suspects_of(probabilities, labels, self.labels, places)

    def _suspects_held_out(self) -> list[Suspect]:
        """Among the examples of the validation and the test part."""
        if (parts := self._parts) is None or self._kept is None:
            raise ArgumentError("this run keeps no examples of its own; give the data to evaluate")
        names, origins = ("valid", "test"), self._kept.origins
        places = [
            (*place, name, text)
            for name in names
            for place, text in zip(
                origins.of_part(name) if origins else [("", 0)] * len(parts[name]),
                self._kept.beginnings(name, 4 * SHOWN),
                strict=True,
            )
        ]
        probabilities = np.concatenate([self._of(parts[name]) for name in names])
        labels = np.concatenate([parts[name].labels for name in names])
        return suspects_of(probabilities, labels, self.labels, places)

    def _measurable(
        self, data: Source | Labelled, reading: dict[str, Any]
    ) -> tuple[Examples, Dataset]:
        """Labelled data without empty examples, and the same encoded."""
        if isinstance(data, str | os.PathLike):
            data = self.read(data, **reading)
        elif not isinstance(data, Examples):
            pairs = _pairs(data, self.target)
            data = self._examples([item for item, _ in pairs])
            for number, item in enumerate(data.items, 1):
                self._encoded(item, number)  # refuses what is no example
            if self._catalogue.channels:
                data.items = [np.asarray(item, dtype=np.float64) for item in data.items]
            data.labels = [label for _, label in pairs]
        found = cleaned(data, repeats=False).examples
        return found, self._known(found)

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
        refuse_unknown(reading, names(LabelledReadingSettings), "reading")
        # Columns that divided and weighed the training data say nothing about other data.
        unused = dict.fromkeys((*DIVIDING, "weight_column"), "")
        values = {**dataclasses.asdict(self._settings), **unused}
        if not labelled:
            values["data_format"] = "auto"  # a list of texts is usual, whatever training read
        values.update(reading)
        settings = build(ClassifySettings, values, "reading")
        rows = bool(keep) or not {"header", "text_column", "label_column"}.isdisjoint(reading)
        learned = dataclasses.replace(self._learned, rows=rows)
        found = sources.read_source(os.fspath(source), settings, labelled, learned, keep)
        if not found.channels and self._catalogue.tokens is not None:
            lengths = [len(item) for item in found.items]
            found.notes += note_of_cut(lengths, self._catalogue.tokens.longest)
        return found

    def _examples(self, given: Sequence[Item | Row] | Examples) -> Examples:
        """Examples as Python gives them, as if they had been read from a file."""
        if isinstance(given, Examples):
            return dataclasses.replace(given, items=[self._prepared(item) for item in given.items])
        inputs, channels = self._catalogue.inputs, self._catalogue.channels
        if inputs.plain and not any(isinstance(example, Mapping) for example in given):
            items = [self._prepared(item) for item in given]
            return Examples(items, [""] * len(items), channels=channels)
        rows = []
        for number, example in enumerate(given, 1):
            try:
                rows.append(inputs.of_mapping(example))
            except ArgumentError as error:
                raise ArgumentError(f"example {number}: {error}") from None
        texts: list[Item] = [self._prepared(text) for text, _ in rows]
        beside = {name: [cells[name] for _, cells in rows] for name in inputs.names}
        return Examples(texts, [""] * len(texts), beside=beside)

    def _prepared(self, item: Any) -> Any:
        return sources.prepared(item, self._settings.ascii) if isinstance(item, str) else item

    def _packed(self, examples: Examples, labels: np.ndarray) -> Dataset:
        items = [self._encoded(item, number) for number, item in enumerate(examples.items, 1)]
        place = partial(sources.place_of, examples)
        beside = self._catalogue.inputs.encode(examples.beside, len(examples), place)
        return pack(items, labels, beside)

    def _encoded(self, item: Item, number: int) -> np.ndarray:
        try:
            return self._catalogue.encode(item)
        except ArgumentError as error:
            raise ArgumentError(f"example {number}: {error}") from None

    def _known(self, examples: Examples) -> Dataset:
        """The examples encoded, after making sure that the model can name their labels."""
        if not len(examples):
            raise DataError("the data holds no example; at least one was expected")
        answers = self.target.encode(examples.labels, lambda i: sources.place_of(examples, i))
        return self._packed(examples, answers)

    def _require_one_label(self, done: str) -> None:
        if not self.target.distributes:
            raise ArgumentError(
                f"predictions of one label can be {done}, but this model says "
                f"{self.target.described}; leave it out"
            )

    def _of(self, dataset: Dataset) -> np.ndarray:
        return said_of(self.model, dataset, self.device)

    def _evaluation(self, said: np.ndarray, dataset: Dataset, notes: list[str]) -> Measured:
        return self.target.evaluation(said, dataset.labels, notes, self._overlap(dataset))


def _described(item: Item) -> str:
    """A text itself; of a signal, how long it is."""
    return item if isinstance(item, str) else f"signal of {len(item):,} steps"


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

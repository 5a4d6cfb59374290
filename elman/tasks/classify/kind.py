"""The row that makes classification known: from data to a task, from a run to a model."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from elman.errors import RunError
from elman.tasks.base import Outcome, Prepared, Restored
from elman.tasks.classify.data import dataset, sources
from elman.tasks.classify.data.dataset import Catalogue, Dataset
from elman.tasks.classify.data.examples import PARTS
from elman.tasks.classify.data.learned import Learned
from elman.tasks.classify.data.split import split
from elman.tasks.classify.model.classifier import SequenceClassifier, input_size
from elman.tasks.classify.settings import ClassifySettings, EvaluationSettings
from elman.tasks.classify.task import ClassifyTask
from elman.tasks.classify.use.pictures import confusion_matrix
from elman.tasks.classify.use.trained import TrainedClassifier
from elman.tasks.setup import Setup
from elman.tasks.shared.stack import try_stack


class KeptExamples:
    """What a run keeps of its examples, each part read when it is first asked for."""

    def __init__(self, saved: Restored) -> None:
        self.saved = saved

    @cached_property
    def catalogue(self) -> Catalogue:
        return Catalogue.from_json(self.saved.vocabulary)

    @cached_property
    def parts(self) -> dict[str, Dataset]:
        sha256 = self.saved.data.get("sha256")
        if not isinstance(sha256, str):
            raise RunError(
                "config.toml: the [data] table must hold the sha256 of the examples; restore it "
                "or train anew"
            )
        return dataset.read(self.saved.folder, self.catalogue, sha256)

    @property
    def notes(self) -> list[str]:
        """What the run says about its data, of the right kind if somebody has changed it."""
        data = self.saved.data
        notes, sizes = data.get("notes"), [data.get(part) for part in PARTS]
        if not isinstance(notes, list) or not all(type(size) is int for size in sizes):
            raise RunError(
                f"config.toml: the [data] table must hold notes, {', '.join(PARTS)}; restore it or "
                f"train anew"
            )
        counted = ", ".join(f"{size:,} {part}" for part, size in zip(PARTS, sizes, strict=True))
        labels = len(self.catalogue.labels)
        return [f"{labels} labels; examples: {counted}", *map(str, notes)]


class ClassifyKind:
    """Implements `elman.tasks.base.TaskKind`."""

    name = "classify"
    settings = ClassifySettings
    evaluation = EvaluationSettings
    training: Mapping[str, Any] = {
        "learning_rate": 0.004, "evaluate_every": 0, "patience": 10
    }  # fmt: skip
    budget: Mapping[str, Any] = {"epochs": 20.0, "least_steps": 1500}

    def prepare(
        self, data: list[str], settings: ClassifySettings, setup: Setup, folder: Path
    ) -> Prepared:
        examples = sources.read(data, settings)
        divided = split(examples, settings.test_fraction, settings.valid_fraction, setup.seed)
        catalogue, sha256 = dataset.write(examples, divided.part, folder)
        try_stack(settings, setup, input_size(catalogue, settings), settings.bidirectional)
        sizes = np.bincount(divided.part, minlength=len(PARTS)).tolist()
        described = {
            "sources": sources.names(data),
            "format": examples.format,
            "text_column": examples.column,
            "sha256": sha256,
            **dict(zip(PARTS, sizes, strict=True)),
            "notes": [*examples.notes, *divided.notes],
        }
        return Prepared(catalogue.to_json(), described)

    def restore(self, saved: Restored) -> KeptExamples:
        return KeptExamples(saved)

    def open_task(
        self, settings: ClassifySettings, kept: KeptExamples, setup: Setup
    ) -> ClassifyTask:
        return ClassifyTask(settings, kept.catalogue, kept.parts, kept.notes, setup)

    def open_trained(
        self, settings: ClassifySettings, kept: KeptExamples, setup: Setup
    ) -> TrainedClassifier:
        model = SequenceClassifier(kept.catalogue, settings, setup)
        try:
            test = kept.parts["test"]
        except RunError:  # a run that was copied without its data can still be used
            test = None
        learned = Learned.of(kept.saved.data, settings, kept.catalogue)
        return TrainedClassifier(model, kept.catalogue, settings, test, learned)

    def finish(self, trained: TrainedClassifier) -> Outcome:
        """The test part, which nothing before has looked at."""
        evaluation = trained.evaluate()
        return Outcome(evaluation.to_json(), {"confusion.png": confusion_matrix(evaluation)})

"""The row that makes classification known: from data to a task, from a run to a model."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from elman.tasks.base import Outcome, Prepared, Restored
from elman.tasks.classify.data import dataset, sources, tokens
from elman.tasks.classify.data.examples import PARTS, Examples, cleaned
from elman.tasks.classify.data.inputs import Inputs, names_in
from elman.tasks.classify.data.kept import KeptExamples
from elman.tasks.classify.data.learned import Learned
from elman.tasks.classify.data.origins import Origins
from elman.tasks.classify.data.split import TRAIN, Fold, split
from elman.tasks.classify.model.classifier import SequenceClassifier, input_size
from elman.tasks.classify.settings import ClassifySettings, EvaluationSettings
from elman.tasks.classify.targets.kinds import KINDS
from elman.tasks.classify.task import ClassifyTask
from elman.tasks.classify.use.reliability import reliability_diagram
from elman.tasks.classify.use.suspicious import suspects_csv
from elman.tasks.classify.use.tables import tables_of
from elman.tasks.classify.use.trained import TrainedClassifier
from elman.tasks.setup import Setup
from elman.tasks.shared.stack import try_stack


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
        whole = sources.read(data, settings)
        kept = cleaned(whole)
        fold = Fold(settings.fold, settings.folds) if settings.folds or settings.fold else None
        divided = split(
            kept.examples, settings.test_fraction, settings.valid_fraction, setup.seed, fold
        )
        kept = kept.only(divided.used)
        examples = kept.examples
        training = np.flatnonzero(divided.part == TRAIN)
        target = KINDS[examples.target].of([examples.labels[i] for i in training], settings)
        inputs = _inputs(examples, divided.part, settings)
        place = partial(sources.place_of, examples)
        read, told = None, list[str]()
        if not examples.channels:
            texts = [str(item) for item in examples.items]
            read, told = tokens.learned([texts[i] for i in training], settings)
            told += tokens.note_of_cut([len(text) for text in texts], settings.max_length)
        catalogue, sha256 = dataset.write(
            examples, divided.part, target, folder, read, inputs, place
        )
        origins = Origins.of(whole, kept, divided.part)
        try_stack(settings, setup, input_size(catalogue, settings), settings.bidirectional)
        sizes = np.bincount(divided.part, minlength=len(PARTS)).tolist()
        described = {
            "sources": sources.names(data),
            "format": examples.format,
            "text_columns": examples.texts,
            "sha256": sha256,
            "origins_sha256": origins.write(folder),
            **dict(zip(PARTS, sizes, strict=True)),
            "notes": [*examples.notes, *divided.notes, *told],
        }
        return Prepared(catalogue.to_json(), described, None if read is None else read.budget)

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
        learned = Learned.of(kept.saved.data, settings, kept.catalogue)
        return TrainedClassifier(model, kept.catalogue, settings, kept, learned)

    def finish(self, trained: TrainedClassifier) -> Outcome:
        """The test part, which nothing before has looked at."""
        tested = trained.tested()
        picture = tested.evaluation.picture()
        files = {picture.name: picture.png, **tables_of(tested)}
        if tested.target.distributes:
            files["calibration.png"] = reliability_diagram(tested.said, tested.answers)
            files["suspicious.csv"] = suspects_csv(trained.suspects())
        return Outcome(tested.evaluation.to_json(), files)


def _inputs(examples: Examples, part: np.ndarray, settings: ClassifySettings) -> Inputs:
    """What is learnt from the training part of the columns beside the texts."""
    training = examples.take(np.flatnonzero(part == TRAIN).tolist())
    numbers, categories = (
        names_in(names, list(examples.beside))
        for names in (settings.number_columns, settings.category_columns)
    )
    place = partial(sources.place_of, training)
    return Inputs.of(examples.texts, numbers, categories, training.beside, place)

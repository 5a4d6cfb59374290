"""The row that makes classification known: from data to a task, from a run to a model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from elman.tasks.base import Outcome, Prepared, Restored
from elman.tasks.classify.data import dataset, sources
from elman.tasks.classify.data.examples import PARTS, cleaned
from elman.tasks.classify.data.kept import KeptExamples
from elman.tasks.classify.data.learned import Learned
from elman.tasks.classify.data.origins import Origins
from elman.tasks.classify.data.split import TRAIN, split
from elman.tasks.classify.model.classifier import SequenceClassifier, input_size
from elman.tasks.classify.settings import ClassifySettings, EvaluationSettings
from elman.tasks.classify.targets.kinds import KINDS
from elman.tasks.classify.task import ClassifyTask
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
        examples = kept.examples
        divided = split(examples, settings.test_fraction, settings.valid_fraction, setup.seed)
        training = [examples.labels[i] for i in np.flatnonzero(divided.part == TRAIN)]
        target = KINDS[examples.target].of(training, settings)
        catalogue, sha256 = dataset.write(examples, divided.part, target, folder)
        origins = Origins.of(whole, kept, divided.part)
        try_stack(settings, setup, input_size(catalogue, settings), settings.bidirectional)
        sizes = np.bincount(divided.part, minlength=len(PARTS)).tolist()
        described = {
            "sources": sources.names(data),
            "format": examples.format,
            "text_column": examples.column,
            "sha256": sha256,
            "origins_sha256": origins.write(folder),
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
        learned = Learned.of(kept.saved.data, settings, kept.catalogue)
        return TrainedClassifier(model, kept.catalogue, settings, kept, learned)

    def finish(self, trained: TrainedClassifier) -> Outcome:
        """The test part, which nothing before has looked at."""
        tested = trained.tested()
        picture = tested.evaluation.picture()
        return Outcome(
            tested.evaluation.to_json(), {picture.name: picture.png, **tables_of(tested)}
        )

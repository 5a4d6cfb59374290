"""The row that makes classification known: from data to a task, from a run to a model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from elman.errors import ArgumentError, RunError
from elman.tasks.base import Outcome, Prepared, Restored
from elman.tasks.cell import PERCEPTRON, CellClass, try_out
from elman.tasks.classify.data import dataset, sources
from elman.tasks.classify.data.dataset import Catalogue, Dataset
from elman.tasks.classify.data.examples import PARTS
from elman.tasks.classify.data.learned import Learned
from elman.tasks.classify.data.split import split
from elman.tasks.classify.model import SequenceClassifier
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.classify.task import ClassifyTask
from elman.tasks.classify.use.pictures import confusion_matrix
from elman.tasks.classify.use.trained import TrainedClassifier


class ClassifyKind:
    """Implements `elman.tasks.base.TaskKind`."""

    name = "classify"
    settings = ClassifySettings
    training: Mapping[str, Any] = {
        "learning_rate": 0.004, "evaluate_every": 0, "patience": 10
    }  # fmt: skip
    budget: Mapping[str, Any] = {"epochs": 20.0}

    def prepare(
        self,
        data: list[str],
        settings: ClassifySettings,
        cell: CellClass | None,
        folder: Path,
        seed: int,
    ) -> Prepared:
        cell = _required(cell)
        examples = sources.read(data, settings)
        divided = split(examples, settings.test_fraction, settings.valid_fraction, seed)
        catalogue, sha256 = dataset.write(examples, divided.part, folder)
        input_size = catalogue.channels or settings.embedding_size or catalogue.characters
        try_out(cell, input_size, settings.hidden_size, settings.cell)
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

    def open_task(
        self,
        settings: ClassifySettings,
        saved: Restored,
        cell: CellClass | None,
        seed: int,
        device: torch.device,
        backend: str,
    ) -> ClassifyTask:
        catalogue, cell = Catalogue.from_json(saved.vocabulary), _required(cell)
        return ClassifyTask(
            settings, catalogue, _parts(saved, catalogue), _notes(saved, catalogue), cell, seed,
            device, backend,
        )  # fmt: skip

    def open_trained(
        self,
        settings: ClassifySettings,
        saved: Restored,
        cell: CellClass | None,
        device: torch.device,
        backend: str,
    ) -> TrainedClassifier:
        catalogue = Catalogue.from_json(saved.vocabulary)
        model = SequenceClassifier(catalogue, settings, _required(cell), backend).to(device)
        try:
            test = _parts(saved, catalogue)["test"]
        except RunError:  # a run that was copied without its data can still be used
            test = None
        learned = Learned.of(saved.data, settings, catalogue)
        return TrainedClassifier(model, catalogue, settings, test, learned)

    def finish(self, trained: TrainedClassifier) -> Outcome:
        """The test part, which nothing before has looked at."""
        evaluation = trained.evaluate()
        return Outcome(evaluation.to_json(), {"confusion.png": confusion_matrix(evaluation)})


def _required(cell: CellClass | None) -> CellClass:
    if cell is None:
        raise ArgumentError(
            f"--cell {PERCEPTRON} is for language models only; a classifier needs a recurrent "
            f"cell, such as --cell gru"
        )
    return cell


def _parts(saved: Restored, catalogue: Catalogue) -> dict[str, Dataset]:
    sha256 = saved.data.get("sha256")
    if not isinstance(sha256, str):
        raise RunError(
            "config.toml: the [data] table must hold the sha256 of the examples; restore it or "
            "train anew"
        )
    return dataset.read(saved.folder, catalogue, sha256)


def _notes(saved: Restored, catalogue: Catalogue) -> list[str]:
    """What the run says about its data, of the right kind if somebody has changed it."""
    notes, sizes = saved.data.get("notes"), [saved.data.get(part) for part in PARTS]
    if not isinstance(notes, list) or not all(type(size) is int for size in sizes):
        raise RunError(
            f"config.toml: the [data] table must hold notes, {', '.join(PARTS)}; restore it or "
            f"train anew"
        )
    counted = ", ".join(f"{size:,} {part}" for part, size in zip(PARTS, sizes, strict=True))
    return [f"{len(catalogue.labels)} labels; examples: {counted}", *map(str, notes)]

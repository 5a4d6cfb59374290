"""The row that makes language modelling known: from data to a task, from a run to a model."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from elman.errors import DataError, RunError
from elman.tasks.base import Prepared, Restored
from elman.tasks.cell import CellClass, try_out
from elman.tasks.language.data import sources
from elman.tasks.language.data.corpus import Checksums, Corpus, encode, open_corpus
from elman.tasks.language.data.vocabulary import Vocabulary
from elman.tasks.language.model import build_model
from elman.tasks.language.settings import LanguageSettings
from elman.tasks.language.task import LanguageTask, check_length
from elman.tasks.language.use.trained import TrainedLanguage


class LanguageKind:
    """Implements `elman.tasks.base.TaskKind`."""

    name = "language"
    settings = LanguageSettings
    training: Mapping[str, Any] = {}
    budget: Mapping[str, Any] = {"steps": 2000}

    def prepare(
        self,
        data: list[str],
        settings: LanguageSettings,
        cell: CellClass | None,
        folder: Path,
        seed: int,
    ) -> Prepared:
        vocabulary, checksums = encode(data, settings.level, folder)
        check_length(open_corpus(folder, vocabulary, checksums), settings)
        if cell is not None:
            input_size = settings.embedding_size or vocabulary.size
            try_out(cell, input_size, settings.hidden_size, settings.cell)
        described = {"sources": sources.names(data), **dataclasses.asdict(checksums)}
        return Prepared(vocabulary.to_json(), described)

    def open_task(
        self,
        settings: LanguageSettings,
        saved: Restored,
        cell: CellClass | None,
        seed: int,
        device: torch.device,
        backend: str,
    ) -> LanguageTask:
        return LanguageTask(settings, _corpus(saved), cell, seed, device, backend)

    def open_trained(
        self,
        settings: LanguageSettings,
        saved: Restored,
        cell: CellClass | None,
        device: torch.device,
        backend: str,
    ) -> TrainedLanguage:
        vocabulary = _vocabulary(saved)
        model = build_model(vocabulary.size, settings, cell, backend).to(device)
        try:
            _, validation = _corpus(saved).split(settings.valid_fraction)
        except RunError:  # a run that was copied without its data can still be used
            validation = None
        return TrainedLanguage(model, vocabulary, validation)

    def finish(self, trained: TrainedLanguage) -> None:
        """Language modelling keeps no test part; `elman evaluate` scores any text."""


def _vocabulary(saved: Restored) -> Vocabulary:
    try:
        return Vocabulary.from_json(saved.vocabulary)
    except DataError as error:
        raise RunError(f"{saved.folder}: {error}; restore vocabulary.json or train anew") from None


def _corpus(saved: Restored) -> Corpus:
    return open_corpus(saved.folder, _vocabulary(saved), _checksums(saved.data))


def _checksums(data: dict[str, Any]) -> Checksums:
    try:
        return Checksums(
            int(data["tokens"]), str(data["source_sha256"]), str(data["tokens_sha256"])
        )
    except (KeyError, TypeError, ValueError):
        raise RunError(
            "config.toml: the [data] table must hold tokens, source_sha256 and tokens_sha256; "
            "restore it or train anew"
        ) from None

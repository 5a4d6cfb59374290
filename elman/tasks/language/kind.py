"""The row that makes language modelling known: from data to a task, from a run to a model."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elman.errors import RunError
from elman.tasks.base import Prepared, Restored
from elman.tasks.language.data import sources
from elman.tasks.language.data.corpus import encode, open_corpus
from elman.tasks.language.data.kept import KeptText
from elman.tasks.language.model import build_model
from elman.tasks.language.settings import LanguageSettings, ScoringSettings
from elman.tasks.language.task import LanguageTask, check_length
from elman.tasks.language.use.trained import TrainedLanguage
from elman.tasks.setup import Setup
from elman.tasks.shared.stack import try_stack


class LanguageKind:
    """Implements `elman.tasks.base.TaskKind`."""

    name = "language"
    settings = LanguageSettings
    evaluation = ScoringSettings
    training: Mapping[str, Any] = {"learning_rate": 0.006}
    budget: Mapping[str, Any] = {"steps": 2000}

    def prepare(
        self, data: list[str], settings: LanguageSettings, setup: Setup, folder: Path
    ) -> Prepared:
        vocabulary, checksums = encode(data, settings.level, folder)
        check_length(open_corpus(folder, vocabulary, checksums), settings)
        if setup.cell is not None:
            complete = settings.for_vocabulary(vocabulary.size)
            try_stack(complete, setup, complete.tokens(vocabulary.size).input_size)
        else:
            build_model(vocabulary.size, settings, setup)
        described = {"sources": sources.names(data), **dataclasses.asdict(checksums)}
        return Prepared(vocabulary.to_json(), described)

    def restore(self, saved: Restored) -> KeptText:
        return KeptText(saved)

    def open_task(self, settings: LanguageSettings, kept: KeptText, setup: Setup) -> LanguageTask:
        return LanguageTask(settings, kept.corpus, setup)

    def open_trained(
        self, settings: LanguageSettings, kept: KeptText, setup: Setup
    ) -> TrainedLanguage:
        model = build_model(kept.vocabulary.size, settings, setup)
        try:
            _, validation = kept.corpus.split(settings.valid_fraction)
        except RunError:  # a run that was copied without its data can still be used
            validation = None
        return TrainedLanguage(model, kept.vocabulary, validation)

    def finish(self, trained: TrainedLanguage) -> None:
        """Language modelling keeps no test part; `elman evaluate` scores any text."""

"""Language modelling as the training loop sees it."""

from typing import Any

import torch

from elman.nest import Nest, apply
from elman.tasks.base import StepLoss
from elman.tasks.language.data.batches import Batches, Streams, Windows, require_window
from elman.tasks.language.data.corpus import Corpus, counts
from elman.tasks.language.model import build_model
from elman.tasks.language.settings import LanguageSettings
from elman.tasks.language.use import score
from elman.tasks.setup import Setup


class LanguageTask:
    """Predict the next token. Implements `elman.tasks.base.Task`."""

    name = "language"
    highlights: tuple[str, ...] = ()
    can_choose = True

    def __init__(self, settings: LanguageSettings, corpus: Corpus, setup: Setup) -> None:
        self.vocabulary = corpus.vocabulary
        self.unit = corpus.vocabulary.unit
        self.loss_name = f"nats per {self.unit}"
        self.notes: list[str] = []
        self._settings = settings
        self._device = setup.device
        training, self._validation = corpus.split(settings.valid_fraction)
        self._batches: Batches
        if settings.sampling == "windows":
            self._batches = Windows(
                training, settings.batch_size, settings.sequence_length, setup.seed
            )
        else:
            self._batches = Streams(training, settings.batch_size, settings.sequence_length)
        self.rows = self._batches.rows
        if self.rows < settings.batch_size:
            self.notes.append(
                f"the text is short: {self.rows} streams side by side instead of "
                f"{settings.batch_size}"
            )
        self.steps_per_epoch = self._batches.steps_per_epoch
        self.model = build_model(corpus.vocabulary.size, settings, setup)
        self.model.begin_with(torch.from_numpy(counts(training, corpus.vocabulary.size)))

    def initial_carry(self) -> Nest:
        return self.model.initial_state(self.rows)

    def loss(self, step: int, carry: Nest) -> StepLoss:
        batch = self._batches.batch(step)
        state = self.initial_carry() if batch.fresh else carry
        inputs, labels = batch.inputs.to(self._device), batch.labels.to(self._device)
        mean, state = self.model.mean_nats(inputs, labels, state)
        return StepLoss(mean, labels.numel(), apply(lambda leaf: leaf.detach(), state))

    def validate(self) -> dict[str, Any]:
        """Validation loss the way training reads text: carried in streams, or over windows."""
        self.model.eval()
        if self._settings.sampling == "windows":
            loss = score.in_windows(
                self.model, self._validation, self._device, self.vocabulary,
                self._settings.sequence_length,
            )  # fmt: skip
        else:
            loss = score.in_streams(self.model, self._validation, self._device, self.vocabulary, 32)
        self.model.train()
        return {
            "valid_loss": loss.nats,
            f"bits_per_{self.unit}": loss.bits,
            "perplexity": loss.perplexity,
            "nats_per_character": loss.nats_per_character,
        }


def check_length(corpus: Corpus, settings: LanguageSettings) -> None:
    """Raise `DataError` if the text is too short for the settings."""
    training, validation = corpus.split(settings.valid_fraction)
    require_window(training, settings.sequence_length)
    require_window(validation, 1)

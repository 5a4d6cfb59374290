"""Classification as the training loop sees it."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from elman.nest import Nest
from elman.tasks.base import StepLoss
from elman.tasks.classify.data.batches import TrainingBatches
from elman.tasks.classify.data.dataset import Catalogue, Dataset
from elman.tasks.classify.model.calibration import fit_share, fit_temperature, softmax
from elman.tasks.classify.model.classifier import SequenceClassifier
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.classify.use import metrics
from elman.tasks.classify.use.scores import logits_of, mixed
from elman.tasks.setup import Setup

TRUSTED = 500
"""Training examples with which a network is held to be as good as the linear model beside it,
before the validation part is asked."""
ENOUGH = 100
"""Validation examples from which on they tell which weights are better: with fewer, the best of
many evaluations is luck."""


class ClassifyTask:
    """Predict the label. Implements `elman.tasks.base.Task`."""

    name = "classify"
    unit = "example"
    loss_name = "nats per example"
    highlights: tuple[str, ...] = ("accuracy", "macro_f1")

    def __init__(
        self,
        settings: ClassifySettings,
        catalogue: Catalogue,
        parts: dict[str, Dataset],
        notes: list[str],
        setup: Setup,
    ) -> None:
        self.notes = list(notes)
        self._device, self._smoothing = setup.device, settings.label_smoothing
        self._validation = parts["valid"]
        rows = batch_rows(len(parts["train"]), settings.batch_size)
        if rows < settings.batch_size:
            self.notes.append(
                f"few examples: {rows} side by side instead of {settings.batch_size}, so that an "
                f"epoch has enough steps"
            )
        self.can_choose = len(self._validation) >= ENOUGH
        if not self.can_choose:
            self.notes.append(
                f"few validation examples ({len(self._validation)}): training goes on to the end "
                f"of its budget, and the last weights are kept"
            )
        self._batches = TrainingBatches(parts["train"], rows, setup.seed)
        self.steps_per_epoch = self._batches.steps_per_epoch
        self._weights = label_weights(parts["train"].labels, catalogue, settings).to(setup.device)
        self.model = SequenceClassifier(catalogue, settings, setup)
        votes = self.model.measure(parts, self._weights)
        self._votes = None if votes is None else softmax(votes.numpy())
        self._belief = 1 / (1 + len(parts["train"]) / TRUSTED)

    def initial_carry(self) -> Nest:
        """Nothing: every batch begins anew."""
        return ()

    def loss(self, step: int, carry: Nest) -> StepLoss:
        batch = self._batches.batch(step).to(self._device)
        losses = [
            F.cross_entropy(logits, batch.labels, reduction="none", label_smoothing=self._smoothing)
            for logits in self.model.each(*batch.inputs)
        ]
        loss = torch.stack(losses).mean(0)  # each member learns by its own
        return StepLoss((loss * self._weights[batch.labels]).mean(), len(loss), carry)

    def validate(self) -> dict[str, Any]:
        """Fits the temperature and the share of the vote, and measures the validation part with
        them."""
        self.model.eval()
        labels, model = self._validation.labels, self.model
        logits = logits_of(model, self._validation, self._device)
        model.set_temperature(fit_temperature(logits, labels))
        found = softmax(logits, model.temperature)
        if (votes := self._votes) is not None:
            right = np.arange(len(labels)), labels
            model.vote_share.fill_(fit_share(votes[right], found[right], self._belief))
            found = mixed(votes, found, float(model.vote_share))
        self.model.train()
        measured = metrics.summary(found, labels)
        return {
            "valid_loss": measured.pop("log_loss"), **measured, "temperature": model.temperature
        }  # fmt: skip


def batch_rows(examples: int, batch_size: int) -> int:
    """How many examples are read side by side: as asked, but an epoch shall have some thirty steps,
    if that leaves batches of 16."""
    return min(batch_size, max(16, examples // 30))


def label_weights(labels: np.ndarray, catalogue: Catalogue, settings: ClassifySettings) -> Tensor:
    """`(K,)` weight of an example in the loss by its label; their mean over the examples is 1."""
    counts = np.bincount(labels, minlength=len(catalogue.labels))
    power = {"none": 0.0, "root": 0.5, "balanced": 1.0}[settings.class_weights]
    weights = np.maximum(counts, 1.0) ** -power
    return torch.from_numpy(weights / weights[labels].mean()).float()

"""Classification as the training loop sees it."""

from typing import Any

import numpy as np
import torch

from elman.nest import Nest
from elman.tasks.base import StepLoss
from elman.tasks.classify.data.batches import TrainingBatches
from elman.tasks.classify.data.dataset import Catalogue, Dataset
from elman.tasks.classify.model.classifier import SequenceClassifier
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.classify.targets.calibration import fit_share, softmax
from elman.tasks.classify.use.scores import mixed, outputs_of
from elman.tasks.setup import Setup

TRUSTED = 500
"""Training examples with which a network is held to be as good as the linear model beside it,
before the validation part is asked."""
ENOUGH = 100
"""Validation examples from which on they tell which weights are better: with fewer, the best of
many evaluations is luck."""


class ClassifyTask:
    """Predict the label, or what else is to be said. Implements `elman.tasks.base.Task`."""

    name = "classify"
    unit = "example"

    def __init__(
        self,
        settings: ClassifySettings,
        catalogue: Catalogue,
        parts: dict[str, Dataset],
        notes: list[str],
        setup: Setup,
    ) -> None:
        self.notes = list(notes)
        self._device, self._target = setup.device, catalogue.target
        self.loss_name, self.highlights = self._target.loss_name, self._target.highlights
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
        self.notes += self._target.doubts(len(self._validation))
        self._batches = TrainingBatches(parts["train"], rows, setup.seed)
        self.steps_per_epoch = self._batches.steps_per_epoch
        self._objective = self._target.objective(parts["train"].labels, settings)
        weights = parts["train"].weights
        self._mean_weight = 1.0 if weights is None else float(weights.mean()) or 1.0
        self.model = SequenceClassifier(catalogue, settings, setup)
        votes = self.model.measure(parts, settings.class_weights)
        self._votes = None if votes is None else softmax(votes.numpy())
        self._belief = 1 / (1 + len(parts["train"]) / TRUSTED)

    def initial_carry(self) -> Nest:
        """Nothing: every batch begins anew."""
        return ()

    def loss(self, step: int, carry: Nest) -> StepLoss:
        batch = self._batches.batch(step).to(self._device)
        losses = [
            self._objective(outputs, batch.labels) for outputs in self.model.each(*batch.inputs)
        ]
        loss = torch.stack(losses).mean(0)  # each member learns by its own
        return StepLoss((loss * batch.weights / self._mean_weight).mean(), len(loss), carry)

    def validate(self) -> dict[str, Any]:
        """Calibrates the model, and measures the validation part with it."""
        self.model.eval()
        model, answers = self.model, self._validation.labels
        outputs = outputs_of(model, self._validation, self._device)
        model.calibrate(self._target.calibrate(outputs, answers))
        said = self._target.said(outputs, model.calibrated)
        if (votes := self._votes) is not None:
            right = np.arange(len(answers)), answers
            model.vote_share.fill_(fit_share(votes[right], said[right], self._belief))
            said = mixed(votes, said, float(model.vote_share))
        self.model.train()
        return self._target.record(outputs, said, answers, model.calibrated)


def batch_rows(examples: int, batch_size: int) -> int:
    """How many examples are read side by side: as asked, but an epoch shall have some thirty steps,
    if that leaves batches of 16."""
    return min(batch_size, max(16, examples // 30))

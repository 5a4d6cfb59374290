"""The outputs that a model gives for many examples."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from elman.tasks.classify.data.batches import in_order_of_length
from elman.tasks.classify.data.dataset import Dataset
from elman.tasks.classify.model.classifier import SequenceClassifier
from elman.tasks.classify.targets.calibration import softmax

_ROWS = 256  # examples that are read side by side; bounds the memory


def outputs_of(model: SequenceClassifier, dataset: Dataset, device: torch.device) -> np.ndarray:
    """`(N, outputs)` float32 of the network, in the order of the dataset."""
    return _for_each(model, dataset, device, model, model.target.outputs)


def said_of(model: SequenceClassifier, dataset: Dataset, device: torch.device) -> np.ndarray:
    """`(N, ...)` float64: what the whole model says, as its target has it."""
    said = model.target.said(outputs_of(model, dataset, device), model.calibrated)
    if model.vote is None:
        return said
    votes = softmax(_for_each(model, dataset, device, model.voted, len(model.target.labels)))
    return mixed(votes, said, float(model.vote_share))


def mixed(votes: np.ndarray, network: np.ndarray, share: float) -> np.ndarray:
    """Probabilities `(N, K)` of both as one. share: of the votes."""
    found: np.ndarray = share * votes + (1 - share) * network
    return found


@torch.no_grad()
def _for_each(
    model: SequenceClassifier,
    dataset: Dataset,
    device: torch.device,
    score: Callable[..., Tensor],
    width: int,
) -> np.ndarray:
    scores = np.zeros((len(dataset), width), dtype=np.float32)
    for batch in in_order_of_length(dataset, _ROWS):
        found = score(*batch.to(device).inputs)
        scores[batch.numbers] = found.cpu().numpy()
    return scores

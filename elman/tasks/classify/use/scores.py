"""The scores that a classifier gives to many examples."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from elman.tasks.classify.data.batches import in_order_of_length
from elman.tasks.classify.data.dataset import Dataset
from elman.tasks.classify.model.calibration import softmax
from elman.tasks.classify.model.classifier import SequenceClassifier

_ROWS = 256  # examples that are read side by side; bounds the memory


def logits_of(model: SequenceClassifier, dataset: Dataset, device: torch.device) -> np.ndarray:
    """`(N, K)` float32 logits of the network, in the order of the dataset."""
    return _for_each(model, dataset, device, model)


def votes_of(
    model: SequenceClassifier, dataset: Dataset, device: torch.device
) -> np.ndarray | None:
    """`(N, K)` probabilities by the linear model beside the network; None where there is none."""
    if model.vote is None:
        return None
    return softmax(_for_each(model, dataset, device, model.voted))


def probabilities_of(
    model: SequenceClassifier, dataset: Dataset, device: torch.device
) -> np.ndarray:
    """`(N, K)` float64 probabilities by the whole model."""
    found = softmax(logits_of(model, dataset, device), model.temperature)
    return mixed(votes_of(model, dataset, device), found, float(model.vote_share))


def mixed(votes: np.ndarray | None, network: np.ndarray, share: float) -> np.ndarray:
    """Probabilities of both as one. share: of the votes."""
    return network if votes is None else share * votes + (1 - share) * network


@torch.no_grad()
def _for_each(
    model: SequenceClassifier,
    dataset: Dataset,
    device: torch.device,
    score: Callable[..., Tensor],
) -> np.ndarray:
    scores = np.zeros((len(dataset), model.head.out_features), dtype=np.float32)
    for batch in in_order_of_length(dataset, _ROWS):
        found = score(*batch.to(device).inputs)
        scores[batch.numbers] = found.cpu().numpy()
    return scores

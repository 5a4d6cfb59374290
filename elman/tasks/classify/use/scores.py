"""The scores that a classifier gives to many examples."""

import numpy as np
import torch

from elman.tasks.classify.data.batches import in_order_of_length
from elman.tasks.classify.data.dataset import Dataset
from elman.tasks.classify.model.classifier import SequenceClassifier

_ROWS = 256  # examples that are read side by side; bounds the memory


@torch.no_grad()
def logits_of(model: SequenceClassifier, dataset: Dataset, device: torch.device) -> np.ndarray:
    """`(N, K)` float32 logits, in the order of the dataset."""
    logits = np.zeros((len(dataset), model.head.out_features), dtype=np.float32)
    for batch in in_order_of_length(dataset, _ROWS):
        found = model(*batch.to(device).inputs)
        logits[batch.numbers] = found.cpu().numpy()
    return logits

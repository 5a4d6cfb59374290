"""The outputs that a model gives for many examples."""

import numpy as np
import torch

from elman.tasks.classify.data.batches import in_order_of_length
from elman.tasks.classify.data.dataset import Dataset
from elman.tasks.classify.model.classifier import SequenceClassifier

_ROWS = 256  # examples that are read side by side; bounds the memory


@torch.no_grad()
def outputs_of(model: SequenceClassifier, dataset: Dataset, device: torch.device) -> np.ndarray:
    """`(N, outputs)` float32, in the order of the dataset."""
    outputs = np.zeros((len(dataset), model.head.out_features), dtype=np.float32)
    for batch in in_order_of_length(dataset, _ROWS):
        found = model(batch.input.to(device), batch.lengths.to(device))
        outputs[batch.numbers] = found.cpu().numpy()
    return outputs

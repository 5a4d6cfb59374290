"""Batches of examples of similar length: which ones a training step reads.

A batch is padded to its longest example, so examples of similar length are read together.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from elman.tasks.classify.data.dataset import Dataset
from elman.tasks.shared.epochs import Epochs, cut

_POOL = 24
"""Batches that are cut from one draw of examples sorted by length: more waste less on padding,
fewer mix the examples better."""


@dataclass(frozen=True)
class Batch:
    """Examples side by side, zeros beyond their ends.

    input: `(T, B)` int64 character numbers, or `(T, B, C)` float32 values. lengths, labels: `(B,)`
    int64. numbers: `(B,)`, which examples of the dataset they are.
    """

    input: Tensor
    lengths: Tensor
    labels: Tensor
    numbers: np.ndarray

    def to(self, device: torch.device) -> "Batch":
        """The same on a device. Lengths stay: the loop over time is planned from them."""
        return Batch(
            self.input.to(device), self.lengths.to(device), self.labels.to(device), self.numbers
        )


class TrainingBatches:
    """Every example once an epoch, in an order that the seed and the epoch draw."""

    def __init__(self, dataset: Dataset, batch_size: int, seed: int) -> None:
        self._dataset, self._batch_size = dataset, batch_size
        self.steps_per_epoch = -(-len(dataset) // batch_size)
        self._epochs = Epochs(self.steps_per_epoch, seed, self._drawn)

    def batch(self, step: int) -> Batch:
        return gather(self._dataset, self._epochs.batch(step))

    def _drawn(self, rng: np.random.Generator) -> list[np.ndarray]:
        """The numbers of the examples in each batch of an epoch."""
        numbers = rng.permutation(len(self._dataset))
        batches = [
            batch
            for pool in cut(numbers, _POOL * self._batch_size)
            for batch in _by_length(pool, self._dataset, self._batch_size)
        ]
        return [batches[i] for i in rng.permutation(len(batches))]


def in_order_of_length(dataset: Dataset, batch_size: int) -> Iterator[Batch]:
    """Every example once, the shortest first."""
    for numbers in _by_length(np.arange(len(dataset)), dataset, batch_size):
        yield gather(dataset, numbers)


def gather(dataset: Dataset, numbers: np.ndarray) -> Batch:
    """The examples of the given numbers, padded to the longest of them."""
    lengths = dataset.lengths[numbers]
    shape = (int(lengths.max()), len(numbers), *dataset.values.shape[1:])
    padded = np.zeros(shape, dtype=dataset.values.dtype)
    for column, number in enumerate(numbers):
        padded[: lengths[column], column] = dataset.example(number)
    labels = dataset.labels[numbers]
    return Batch(
        torch.from_numpy(padded), torch.from_numpy(lengths), torch.from_numpy(labels), numbers
    )


def _by_length(numbers: np.ndarray, dataset: Dataset, batch_size: int) -> list[np.ndarray]:
    return cut(numbers[np.argsort(dataset.lengths[numbers], kind="stable")], batch_size)

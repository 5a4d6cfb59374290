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

TRAINING_STEPS, PREDICTION_STEPS = 1 << 16, 1 << 18
"""Time steps that a batch has at most, over all of its rows, unless a single example has more: what
bounds the memory."""


@dataclass(frozen=True)
class Batch:
    """Examples side by side, zeros beyond their ends.

    input: `(T, B)` or `(T, B, C)` integers, numbers of tokens, or `(T, B, C)` float32 values.
    lengths: `(B,)` int64. labels: `(B, ...)` encoded answers. beside: `(B, C)` float32. weights:
    `(B,)`, one unless the dataset has others. numbers: `(B,)`, which examples of the dataset they
    are.
    """

    input: Tensor
    lengths: Tensor
    labels: Tensor
    beside: Tensor
    weights: Tensor
    numbers: np.ndarray

    @property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """What a model takes: input, lengths, and what stands beside."""
        return self.input, self.lengths, self.beside

    def to(self, device: torch.device) -> "Batch":
        """The same on a device. Lengths stay: the loop over time is planned from them."""
        return Batch(
            self.input.to(device), self.lengths.to(device), self.labels.to(device),
            self.beside.to(device), self.weights.to(device), self.numbers,
        )  # fmt: skip


class TrainingBatches:
    """Every example once an epoch, in an order that the seed and the epoch draw."""

    def __init__(self, dataset: Dataset, batch_size: int, seed: int) -> None:
        self._dataset = dataset
        self._bands = bands(dataset.lengths, batch_size)
        self.steps_per_epoch = sum(-(-len(numbers) // rows) for rows, numbers in self._bands)
        self._epochs = Epochs(self.steps_per_epoch, seed, self._drawn)

    def batch(self, step: int) -> Batch:
        return gather(self._dataset, self._epochs.batch(step))

    def _drawn(self, rng: np.random.Generator) -> list[np.ndarray]:
        """The numbers of the examples in each batch of an epoch."""
        batches = [
            batch
            for rows, numbers in self._bands
            for pool in cut(numbers[rng.permutation(len(numbers))], _POOL * rows)
            for batch in cut(_by_length(pool, self._dataset), rows)
        ]
        return [batches[i] for i in rng.permutation(len(batches))]


def bands(lengths: np.ndarray, batch_size: int) -> list[tuple[int, np.ndarray]]:
    """Examples by how many of their length a batch may hold: the whole batch size, half of it, a
    quarter, and so on down to one, as their time steps allow. A batch never mixes two bands, so
    that an epoch has the same number of steps whatever is drawn."""
    allowed = np.maximum(TRAINING_STEPS // np.maximum(lengths, 1), 1)
    halvings = np.ceil(np.log2(np.maximum(batch_size / allowed, 1))).astype(np.int64)
    return [
        (max(batch_size >> int(times), 1), np.flatnonzero(halvings == times))
        for times in np.unique(halvings)
    ]


def in_order_of_length(dataset: Dataset, batch_size: int) -> Iterator[Batch]:
    """Every example once, the shortest first; fewer side by side where they are long."""
    numbers = _by_length(np.arange(len(dataset)), dataset)
    lengths = dataset.lengths[numbers]
    start = 0
    while start < len(numbers):
        stop = min(start + batch_size, len(numbers))
        while stop - start > 1 and (stop - start) * lengths[stop - 1] > PREDICTION_STEPS:
            stop -= max(1, (stop - start) // 4)
        yield gather(dataset, numbers[start:stop])
        start = stop


def gather(dataset: Dataset, numbers: np.ndarray) -> Batch:
    """The examples of the given numbers, padded to the longest of them."""
    lengths = dataset.lengths[numbers]
    shape = (int(lengths.max()), len(numbers), *dataset.values.shape[1:])
    padded = np.zeros(shape, dtype=dataset.values.dtype)
    for column, number in enumerate(numbers):
        padded[: lengths[column], column] = dataset.example(number)
    weights = np.ones(len(numbers)) if dataset.weights is None else dataset.weights[numbers]
    return Batch(
        torch.from_numpy(padded), torch.from_numpy(lengths),
        torch.from_numpy(dataset.labels[numbers]), torch.from_numpy(dataset.beside[numbers]),
        torch.from_numpy(weights).float(), numbers,
    )  # fmt: skip


def _by_length(numbers: np.ndarray, dataset: Dataset) -> np.ndarray:
    return numbers[np.argsort(dataset.lengths[numbers], kind="stable")]

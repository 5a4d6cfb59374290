"""Batches of a text: which tokens a training step reads.

Both ways are functions of the step number alone, so that a resumed run reads on where it stopped.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from elman.errors import DataError


@dataclass(frozen=True)
class Batch:
    """inputs, labels: `(T, B)` int64 tokens; labels are the inputs shifted by one.

    fresh: the state starts anew; otherwise it is carried over from the batch before.
    """

    inputs: Tensor
    labels: Tensor
    fresh: bool


class Batches(Protocol):
    steps_per_epoch: int
    rows: int

    def batch(self, step: int) -> Batch: ...


class Streams:
    """B parallel streams: row b reads the b-th of B equal parts of the text from start to end.

    An epoch ends when all are read; the last batch of an epoch may be shorter. A text too short
    for B streams of one full batch each is cut into fewer (`rows`).
    """

    def __init__(self, tokens: np.ndarray, rows: int, length: int) -> None:
        require_window(tokens, length)
        self.rows = min(rows, (len(tokens) - 1) // length)
        self._length = length
        self._stream = (len(tokens) - 1) // self.rows
        self._tokens = tokens
        self.steps_per_epoch = -(-self._stream // length)

    def batch(self, step: int) -> Batch:
        start = step % self.steps_per_epoch * self._length
        length = min(self._length, self._stream - start)
        first = np.arange(self.rows) * self._stream + start
        return _gather(self._tokens, first, length, fresh=start == 0)


class Windows:
    """B random windows a step, drawn with the step's own seed, each from the first state."""

    def __init__(self, tokens: np.ndarray, rows: int, length: int, seed: int) -> None:
        require_window(tokens, length)
        self.rows = rows
        self._length = length
        self._seed = seed
        self._tokens = tokens
        self.steps_per_epoch = max(1, (len(tokens) - 1) // (rows * length))

    def batch(self, step: int) -> Batch:
        draw = np.random.default_rng([self._seed, step])
        first = draw.integers(0, len(self._tokens) - self._length, size=self.rows)
        return _gather(self._tokens, first, self._length, fresh=True)


def require_window(tokens: np.ndarray, length: int) -> None:
    if len(tokens) < length + 1:
        raise DataError(
            f"the training part of the text has {len(tokens)} tokens, but one window needs "
            f"{length + 1} (--sequence-length and the next one); give more text or a smaller window"
        )


def _gather(tokens: np.ndarray, first: np.ndarray, length: int, fresh: bool) -> Batch:
    """Windows of `length` + 1 tokens that begin at `first`, as inputs and labels `(length, B)`."""
    columns = np.stack([tokens[start : start + length + 1] for start in first], axis=1)
    block = torch.from_numpy(columns.astype(np.int64))
    return Batch(block[:-1], block[1:], fresh)

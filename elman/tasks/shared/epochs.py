"""Which examples a training step reads, drawn anew for every epoch."""

from collections.abc import Callable, Sequence

import numpy as np


class Epochs:
    """The batches of a training step, a function of the seed and the step alone, so that a resumed
    run reads on where it stopped.

    draw: gives one epoch's batches, each the numbers `(B,)` of its examples.
    """

    def __init__(
        self,
        steps_per_epoch: int,
        seed: int,
        draw: Callable[[np.random.Generator], Sequence[np.ndarray]],
    ) -> None:
        self.steps_per_epoch = steps_per_epoch
        self._seed, self._draw = seed, draw
        self._epoch, self._batches = -1, list[np.ndarray]()

    def batch(self, step: int) -> np.ndarray:
        """`(B,)`: the examples of training step number `step`."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            drawn = self._draw(np.random.default_rng([self._seed, epoch]))
            self._epoch, self._batches = epoch, list(drawn)
        return self._batches[place]


def cut(numbers: np.ndarray, size: int) -> list[np.ndarray]:
    """Pieces of at most `size`; the last may be shorter."""
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]

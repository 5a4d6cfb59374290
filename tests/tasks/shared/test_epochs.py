"""Batches that are a function of the seed and the step alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from elman.tasks.shared.epochs import Epochs, cut


def epochs(count: int, size: int, seed: int) -> Epochs:
    return Epochs(-(-count // size), seed, lambda rng: cut(rng.permutation(count), size))


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 3), st.data())
def test_every_example_once_an_epoch_whatever_step_is_asked_for(count, size, seed, data):
    batches = epochs(count, size, seed)
    epoch = data.draw(st.integers(0, 3))
    steps = range(epoch * batches.steps_per_epoch, (epoch + 1) * batches.steps_per_epoch)
    found = {step: batches.batch(step) for step in data.draw(st.permutations(steps))}
    assert sorted(np.concatenate(list(found.values()))) == list(range(count))
    assert all(len(batch) <= size for batch in found.values())
    for step, batch in found.items():
        assert np.array_equal(epochs(count, size, seed).batch(step), batch)


def test_epochs_and_seeds_differ():
    first, second = epochs(50, 50, 0), epochs(50, 50, 1)
    assert not np.array_equal(first.batch(0), first.batch(1))
    assert not np.array_equal(first.batch(0), second.batch(0))

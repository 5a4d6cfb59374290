"""Which examples a training step reads."""

from unittest import mock

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from elman.tasks.classify.data import batches
from elman.tasks.classify.data.batches import TrainingBatches, gather, in_order_of_length
from elman.tasks.classify.data.dataset import pack


def dataset_of(lengths, channels=0):
    shape = (channels,) if channels else ()
    items = [np.full((n, *shape), number + 1) for number, n in enumerate(lengths)]
    return pack(items, np.arange(len(lengths)) % 3)


LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=150)


@given(LENGTHS, st.integers(1, 7), st.integers(0, 3))
def test_an_epoch_reads_every_example_once(lengths, rows, epoch):
    batches = TrainingBatches(dataset_of(lengths), rows, seed=1)
    steps = batches.steps_per_epoch
    read = [batches.batch(epoch * steps + step) for step in range(steps)]
    assert sorted(n for batch in read for n in batch.numbers) == list(range(len(lengths)))
    assert all(len(batch.numbers) <= rows for batch in read)
    assert steps == -(-len(lengths) // rows)


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=60), st.integers(1, 40))
def test_batches_of_long_examples_are_small(lengths, rows):
    """In the same number of steps in every epoch, whatever is drawn."""
    data = dataset_of(lengths)
    with mock.patch.object(batches, "TRAINING_STEPS", 4000):
        training = TrainingBatches(data, rows, seed=1)
        for epoch in range(2):
            first = epoch * training.steps_per_epoch
            read = [training.batch(first + step) for step in range(training.steps_per_epoch)]
            assert sorted(n for batch in read for n in batch.numbers) == list(range(len(lengths)))
            assert all(len(b.numbers) == 1 or b.input.numel() <= 4000 for b in read)
    with mock.patch.object(batches, "PREDICTION_STEPS", 4000):
        read = list(in_order_of_length(data, rows))
    assert sorted(n for batch in read for n in batch.numbers) == list(range(len(lengths)))
    assert all(len(b.numbers) == 1 or b.input.numel() <= 4000 for b in read)
    assert all(len(batch.numbers) <= rows for batch in read)


def test_a_batch_depends_on_seed_and_step_alone():
    data = dataset_of(np.random.default_rng(0).integers(1, 30, 500))
    a, b, other = (TrainingBatches(data, 8, seed) for seed in (5, 5, 6))
    a.batch(0)
    a.batch(200)
    assert (a.batch(99).numbers == b.batch(99).numbers).all()
    assert not np.array_equal(a.batch(99).numbers, other.batch(99).numbers)
    assert not np.array_equal(a.batch(1).numbers, a.batch(1 + a.steps_per_epoch).numbers)


def test_examples_of_similar_length_are_read_together():
    data = dataset_of(np.random.default_rng(0).integers(1, 100, 2000))
    batches = TrainingBatches(data, 16, 0)
    read = [batches.batch(step) for step in range(batches.steps_per_epoch)]
    cells = sum(batch.input.numel() for batch in read)
    assert len(data.values) / cells > 0.9


@given(LENGTHS, st.sampled_from([0, 2]))
def test_rows_hold_their_example_and_zeros_beyond(lengths, channels):
    data = dataset_of(lengths, channels)
    for batch in in_order_of_length(data, 4):
        assert batch.input.shape[0] == batch.lengths.max()
        for column, number in enumerate(batch.numbers):
            row, length = batch.input[:, column], batch.lengths[column]
            assert length == lengths[number]
            assert (row[:length] == number + 1).all()
            assert (row[length:] == 0).all()
            assert batch.labels[column] == number % 3


def test_batches_go_to_a_device_whole():
    batch = gather(dataset_of([2, 3]), np.array([0, 1])).to(torch.device("cpu"))
    assert batch.input.shape == (3, 2)

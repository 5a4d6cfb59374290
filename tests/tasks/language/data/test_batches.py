"""Which tokens a training step reads."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import DataError
from elman.tasks.language.data.batches import Streams, Windows


@given(st.integers(2, 200), st.integers(1, 8), st.integers(1, 16))
def test_streams_read_every_token_once_and_in_order(size, rows, length):
    tokens = np.arange(size)
    if size < length + 1:
        with pytest.raises(DataError, match="one window needs"):
            Streams(tokens, rows, length)
        return
    streams = Streams(tokens, rows, length)
    batches = [streams.batch(step) for step in range(streams.steps_per_epoch)]
    inputs = torch.cat([batch.inputs for batch in batches])
    labels = torch.cat([batch.labels for batch in batches])
    assert torch.equal(labels, inputs + 1)  # shifted by one
    assert inputs.t().flatten().tolist() == list(range(inputs.numel()))
    assert size - 1 - inputs.numel() < streams.rows
    assert [batch.fresh for batch in batches] == [True] + [False] * (len(batches) - 1)
    assert torch.equal(streams.batch(streams.steps_per_epoch).inputs, batches[0].inputs)


def test_labels_are_the_inputs_shifted_by_one():
    tokens = np.frombuffer(b"machine", dtype=np.uint8)
    batch = Streams(tokens, 1, 6).batch(0)
    assert bytes(batch.inputs.flatten().tolist()) == b"machin"
    assert bytes(batch.labels.flatten().tolist()) == b"achine"


def test_windows_depend_on_seed_and_step_alone():
    tokens = np.arange(1000)
    a, b = (Windows(tokens, 4, 8, seed=5) for _ in range(2))
    assert torch.equal(a.batch(17).inputs, b.batch(17).inputs)
    assert not torch.equal(a.batch(17).inputs, a.batch(18).inputs)
    assert not torch.equal(a.batch(17).inputs, Windows(tokens, 4, 8, seed=6).batch(17).inputs)
    batch = a.batch(3)
    assert batch.fresh
    assert torch.equal(batch.labels, batch.inputs + 1)


def test_windows_reach_both_ends():
    windows = Windows(np.arange(6), 8, 4, seed=0)
    starts = {int(s) for step in range(20) for s in windows.batch(step).inputs[0]}
    assert starts == {0, 1}

"""Signals as the network reads them."""

from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elman.tasks.classify.data.dataset import pack
from elman.tasks.classify.model.signals import (
    STEPS,
    SignalReader,
    patch_for,
    resampled,
    strides_of,
)
from elman.tasks.classify.settings import ClassifySettings

PLAIN = {"convolutions": 0, "patch": 1, "augment": 0.0, "hidden_size": 8}
LENGTHS = torch.tensor([9, 1, 4])


def reader_of(channels=2, length=50, **changes):
    return SignalReader(channels, length, ClassifySettings(**{**PLAIN, **changes}))


def test_signals_are_standardised_as_the_training_part_is():
    values = np.random.default_rng(0).normal(5.0, 3.0, (50, 2)).astype(np.float32)
    values[:, 1] = 7.0
    reader = reader_of(scaling="channel", noise=0.5)
    reader.measure(pack([values[:20], values[20:]], np.array([0, 1])))
    given_, lengths = torch.from_numpy(values)[:, None], torch.tensor([50])
    standard, _ = reader.eval()(given_, lengths)
    assert standard[..., 0].mean().abs() < 1e-5
    assert standard[..., 0].std(correction=0) == pytest.approx(1.0, abs=1e-5)
    assert (standard[..., 1] == 0).all()
    assert not torch.equal(reader.train()(given_, lengths)[0], standard)


def test_an_example_scaled_for_itself_tells_its_mean_and_deviation():
    values = 3.0 + 2.0 * torch.randn(9, 3, 2)
    values[4:, 2] = torch.nan  # padding
    found, lengths = reader_of(scaling="example").eval()(values, LENGTHS)
    assert found.shape == (9, 3, 6)
    assert torch.equal(lengths, LENGTHS)
    for row, length in enumerate(LENGTHS):
        own = values[:length, row].double()
        shape, mean, spread = found[:length, row].double().split(2, -1)
        torch.testing.assert_close(mean, own.mean(0).expand(length, 2), rtol=1e-5, atol=1e-5)
        deviation = own.std(0, correction=0) + 1e-4
        torch.testing.assert_close(spread, deviation.log().expand(length, 2), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(shape, (own - own.mean(0)) / deviation, rtol=1e-3, atol=1e-3)


def test_both_ways_stand_side_by_side():
    values = torch.randn(9, 3, 2)
    both, _ = reader_of(scaling="both").eval()(values, LENGTHS)
    channel, _ = reader_of(scaling="channel").eval()(values, LENGTHS)
    example, _ = reader_of(scaling="example").eval()(values, LENGTHS)
    assert torch.equal(both, torch.cat([channel, example], -1))


@given(st.integers(1, 400), st.integers(0, 4))
def test_strides_take_a_patch_to_one_step(patch, least):
    strides = strides_of(patch, least)
    assert prod(strides) == patch
    assert len(strides) >= least


@pytest.mark.parametrize("length", [1, 24, 100, 101, 427, 1460, 100_000])
def test_steps_are_some_hundred_by_default(length):
    steps = -(-length // patch_for(length))
    assert steps <= STEPS
    assert steps > STEPS / 2 or patch_for(length) == 1


@pytest.mark.parametrize("patch", [1, 2, 6, 7])
def test_a_row_alone_equals_the_row_in_a_batch(patch):
    reader = reader_of(patch=patch, convolutions=3).eval()
    for norm in reader.convolutions.norms:
        torch.nn.init.normal_(norm.bias)
    values = torch.randn(9, 3, 2)
    together, lengths = reader(values, LENGTHS)
    for row, length in enumerate(LENGTHS):
        alone, own = reader(values[:length, row : row + 1], LENGTHS[row : row + 1])
        assert own == lengths[row] == -(-length // patch)
        torch.testing.assert_close(alone[:, 0], together[:own, row])


def test_crops_and_stretches_are_parts_of_the_rows():
    lengths = torch.tensor([200, 150, 1, 2, 60] * 40)
    ramp = torch.arange(200.0)[:, None, None].expand(200, len(lengths), 1).clone()
    for row, length in enumerate(lengths):
        ramp[length:, row] = torch.nan
    torch.manual_seed(0)
    found, after = resampled(ramp, lengths, 0.3)
    changed = 0
    for row, (length, new) in enumerate(zip(lengths, after, strict=True)):
        values = found[:new, row, 0]
        assert values.isfinite().all()
        assert values.min() >= 0
        assert values.max() <= length - 1
        steps = values.diff()
        if new > 2:
            torch.testing.assert_close(steps, steps[:1].expand_as(steps), rtol=1e-2, atol=1e-3)
            assert 0.7 * 0.8 * length <= new <= 1.16 * length
        changed += not (new == length and torch.equal(values, ramp[:length, row, 0]))
    assert 0.25 * len(lengths) < changed < 0.6 * len(lengths)

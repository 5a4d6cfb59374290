"""Fixed features of signals, against loops over time written out."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elman.tasks.classify.model.random_convolutions import RandomConvolutions, dilations_of


def bank_of(channels=2, length=40, rows=5, seed=0):
    bank = RandomConvolutions(channels, length)
    values = torch.randn(length, rows, channels, generator=torch.Generator().manual_seed(seed))
    lengths = torch.tensor([length, 1, 9, length // 2, length])[:rows]
    values = torch.where(torch.arange(length)[:, None, None] < lengths[:, None], values, 0.0)
    bank.measure(values, lengths, np.random.default_rng(seed))
    return bank, values, lengths


def test_features_are_shares_of_outputs_above_a_bias():
    bank, values, lengths = bank_of()
    found = bank(values, lengths)
    dilations, kernels, each = bank.biases.shape
    found = found.view(len(lengths), dilations, each, kernels)
    for kernel, places in list(enumerate(combinations(range(9), 3)))[::17]:
        weight = np.where(np.isin(np.arange(9), places), 2.0, -1.0)
        for i, dilation in enumerate(bank.dilations):
            channels = bank.channels[i, kernel].numpy()
            for row, length in enumerate(lengths.tolist()):
                signal = values[:length, row].double().numpy()[:, channels].sum(1)
                output = [
                    sum(
                        weight[j] * signal[t + (j - 4) * dilation]
                        for j in range(9)
                        if 0 <= t + (j - 4) * dilation < length
                    )
                    for t in range(length)
                ]
                for k in range(each):
                    bias = float(bank.biases[i, kernel, k])
                    clear = [value for value in output if abs(value - bias) > 1e-4]
                    share = float(found[row, i, k, kernel]) * length
                    above = sum(value > bias for value in clear)
                    assert above - 1e-3 <= share <= above + len(output) - len(clear) + 1e-3


def test_a_row_is_as_if_alone():
    bank, values, lengths = bank_of()
    together = bank(values, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = bank(values[:length, row : row + 1], lengths[row : row + 1])
        # Sums in another order may carry an output over its bias.
        assert (alone[0] - together[row]).abs().max() <= 1.01 / length
        assert (alone[0] != together[row]).float().mean() < 0.01


def test_biases_are_spread_over_the_outputs():
    bank, values, lengths = bank_of()
    whole = bank(values[:, :1], lengths[:1])
    assert 0.3 < whole.mean() < 0.7
    assert ((whole >= 0) & (whole <= 1)).all()
    assert len(whole[0].unique()) > 20


@given(st.integers(1, 100_000))
def test_dilations_rise_from_one_to_the_width_of_a_signal(length):
    dilations = dilations_of(length)
    assert dilations[0] == 1
    assert dilations == sorted(set(dilations))
    assert 8 * dilations[-1] <= max(length - 1, 8)
    assert len(dilations) <= 8


@pytest.mark.parametrize("channels", [1, 3, 20])
def test_every_kernel_reads_some_channels(channels):
    counts = bank_of(channels)[0].channels.sum(-1)
    assert counts.min() >= 1
    assert counts.max() <= min(channels, 9)

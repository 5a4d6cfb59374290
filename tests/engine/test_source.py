"""Warnings point at the user's line, whatever of elman and torch stands between."""

import warnings

import pytest
import torch
from torch import nn

import elman
from elman.engine import backends


class Sorting(nn.Module):
    """A step that only the plain loop runs, and `scan` says so."""

    def forward(self, x, hidden):
        hidden = (x + hidden).sort(-1).values
        return hidden, hidden

    def initial_state(self, rows):
        return torch.zeros(rows, 3)


x = torch.zeros(4, 2, 3)
packed = nn.utils.rnn.pack_sequence([x[:, 0], x[:2, 1]])
CALLS = {
    "scan": lambda: elman.scan(Sorting(), x, torch.zeros(2, 3)),
    "checkpoint": lambda: elman.scan(Sorting(), x, torch.zeros(2, 3), checkpoint=2),
    "packed": lambda: elman.scan(Sorting(), packed, torch.zeros(2, 3)),
    "layer": lambda: elman.Recurrent(Sorting())(x),
    "model": lambda: nn.Sequential(elman.Recurrent(Sorting()))(x),
    "no_grad": torch.no_grad()(lambda: elman.Recurrent(Sorting())(x)),
}


@pytest.mark.parametrize("call", CALLS)
def test_the_plain_loop_is_announced_at_the_users_line(monkeypatch, call):
    monkeypatch.setattr(backends, "_warned", set())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        CALLS[call]()
    assert [(w.filename, "plain Python loop" in str(w.message)) for w in caught] == [
        (__file__, True)
    ]


def test_what_torch_warns_of_is_said_once_and_at_the_users_line():
    target = torch.zeros(())

    def step(x, h):
        return h, torch.tanh(nn.functional.mse_loss(h, target, reduction="none") + x)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        elman.scan(step, x, torch.zeros(2, 3), backend="llvm")
    assert [(w.filename, "target size" in str(w.message)) for w in caught] == [(__file__, True)]

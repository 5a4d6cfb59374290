"""The stack of layers: its settings are those of all tasks, and each of them does something."""

import dataclasses

import pytest
import torch
from torch import nn

from elman.cells import CELLS, GRUCell
from elman.errors import ArgumentError, StepError
from elman.layers import Recurrent
from elman.tasks import TASKS
from elman.tasks.setup import Setup
from elman.tasks.shared.stack import StackSettings, stack, try_stack

GRU = Setup(GRUCell)


def settings(**changes):
    return StackSettings(hidden_size=6, **changes)


@pytest.mark.parametrize("kind", TASKS.values(), ids=TASKS)
def test_every_task_takes_the_settings_as_they_are_declared(kind):
    declared = {field.name: field for field in dataclasses.fields(StackSettings)}
    own = {field.name: field for field in dataclasses.fields(kind.settings)}
    assert list(own)[: len(declared)] == list(declared)
    for name in ("residual", "layer_norm", "learned_state", "layers", "hidden_size"):
        assert own[name].metadata["help"] == declared[name].metadata["help"]


@pytest.mark.parametrize("cell", CELLS)
def test_all_settings_reach_the_layers(cell):
    chosen = settings(layers=2, dropout=0.5, residual=True, layer_norm=True, learned_state=True)
    layers = stack(chosen, Setup(CELLS[cell], backend="reference"), 6, bidirectional=True)
    assert isinstance(layers, Recurrent)
    assert (layers.num_layers, layers.bidirectional, layers.dropout) == (2, True, 0.5)
    assert (layers.residual, len(layers.norms), layers.backend) == (True, 2, "reference")
    assert len(layers.first_state) > 0
    assert layers.output_size == 12


def test_trying_leaves_random_numbers_as_they_were():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    try_stack(settings(), GRU, 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_residual_that_no_layer_is_wide_enough_for_is_refused_in_time():
    with pytest.raises(ArgumentError, match="as wide as its input"):
        try_stack(settings(residual=True), GRU, 3)


def test_a_cell_that_can_not_run_is_refused_by_name():
    class Broken(nn.Module):
        def __init__(self, input_size, hidden_size):
            super().__init__()

        def initial_state(self, batch_size, dtype=None, device=None):
            return torch.zeros(batch_size, 6)

        def forward(self, x, h):
            raise ValueError("no")

    with pytest.raises(StepError, match=r"failed when it was tried out: ValueError: no \(test_st"):
        try_stack(settings(cell="x:Broken"), Setup(Broken), 3)
    with pytest.raises(ArgumentError, match="mlp is for language"):
        try_stack(settings(), Setup(None), 3)

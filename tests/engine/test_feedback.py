"""Steps that read their own output of the step before."""

import pytest
import torch
from torch import nn

import elman
from elman.cells import CELLS


def gradients(step, cell, head, state, backend):
    torch.manual_seed(3)
    input = torch.randn(5, 3, 1, dtype=torch.double)
    output, _ = elman.scan(step, input, state, backend=backend)
    return [output, *torch.autograd.grad(output.square().sum(), [*cell.parameters(), *head])]


@pytest.mark.parametrize("name", list(CELLS))
@pytest.mark.parametrize("flat", [True, False])
def test_every_cell_may_be_fed_its_own_read_out(name, flat):
    cell, head = CELLS[name](2, 6).double(), nn.Linear(6, 1).double()

    def step(rest, carry):
        value, state = carry
        output, state = cell(torch.cat([value, rest], -1), state)
        if flat:
            forecast = value + head(output)
            return forecast, (forecast, state)
        forecast = value[:, :, None] + head(output).unflatten(-1, (1, 1))
        return forecast.flatten(1), (forecast[:, :, 0], state)

    first = (torch.zeros(3, 1).double(), cell.initial_state(3, torch.double))
    expected = gradients(step, cell, head.parameters(), first, "reference")
    found = gradients(step, cell, head.parameters(), first, "llvm")
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)

"""Steps that read their own output of the step before."""

import pytest
import torch
from torch import nn

from elman.cells import CELLS
from tests.engine.comparing import Run, plain_loop


@pytest.mark.parametrize("name", CELLS)
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

    input = torch.randn(5, 3, 1, dtype=torch.double)
    first = (torch.zeros(3, 1).double(), cell.initial_state(3, torch.double))
    closed = (*cell.parameters(), *head.parameters())
    expected = plain_loop(step, input, first, closed)
    Run.of(step, input, first, "llvm", closed).require_equal(expected)

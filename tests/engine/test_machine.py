"""The engine runs on any machine that keeps to the protocol: here on one of torch operations."""

from collections.abc import Iterator
from unittest.mock import patch

import pytest
import torch
from torch.utils import _pytree as pytree

from elman.cells import CELLS
from elman.engine import BACKENDS
from elman.engine.backends import on
from elman.engine.machine import Machine
from elman.errors import UnsupportedStep
from tests.engine.comparing import Run, oracle
from tests.engine.settings import forget
from tests.engine.torch_machine import COMPUTES_IN, Torch

STEPS, ROWS = 5, 4


@pytest.fixture
def machine() -> Iterator[Machine]:
    """The machine, reached as the backend "torch"."""
    found = Torch()
    forget()  # what an earlier one of the same name has compiled
    with patch.dict(BACKENDS, torch=on(found)):
        yield found


def options_of(variant, state):
    if variant == "plain":
        return {}
    return {
        "lengths": [5, 0, 3, 4],
        "reset": torch.rand(STEPS, ROWS) < 0.25,
        "reset_state": pytree.tree_map(torch.randn_like, state),
        "reverse": True,
    }


@pytest.mark.parametrize("dtype", COMPUTES_IN, ids=str)
@pytest.mark.parametrize("variant", ["plain", "all"])
@pytest.mark.parametrize("name", CELLS)
def test_cells(name, variant, dtype, machine):
    cell = CELLS[name](5, 9).to(dtype)
    input = torch.randn(STEPS, ROWS, 5, dtype=dtype)
    state = pytree.tree_map(torch.randn_like, cell.initial_state(ROWS, dtype=dtype))
    options = options_of(variant, state)
    expected = oracle(cell, input, state, **options)
    Run.of(cell, input, state, "torch", **options).require_equal(expected)
    assert {program.dtype for program in machine.programs} == {dtype}


def test_a_machine_may_refuse_a_call(machine):
    cell = CELLS["rnn"](5, 9)
    with pytest.raises(UnsupportedStep, match="no more than nine rows"):
        Run.of(cell, torch.randn(STEPS, 10, 5), cell.initial_state(10), "torch")
    half = CELLS["rnn"](5, 9).half()
    with pytest.raises(UnsupportedStep, match="bfloat16 or float32 or float64"):
        Run.of(half, torch.randn(STEPS, 2, 5).half(), half.initial_state(2, torch.half), "torch")


def test_what_one_machine_compiled_is_not_run_on_another(machine):
    cell = CELLS["rnn"](5, 9)
    for backend in ("llvm", "torch", "llvm", "torch"):
        Run.of(cell, torch.randn(STEPS, 2, 5), cell.initial_state(2), backend)
    count = len(machine.programs)
    assert count > 0
    Run.of(cell, torch.randn(STEPS, 2, 5), cell.initial_state(2), "torch")
    assert len(machine.programs) == count

"""However the engine is set, it gives what the plain loop gives."""

import pytest
import torch
from torch.utils import _pytree as pytree

from elman.cells import CELLS
from elman.engine import arguments, backends, workspace
from elman.engine.llvm import openmp, threads
from elman.engine.llvm import products as faster
from elman.engine.run import cache
from tests.engine.comparing import Run, oracle
from tests.engine.settings import SETTINGS, engine_set

STEPS, ROWS = 5, 9


def options_of(state):
    return {
        "lengths": torch.arange(ROWS) % (STEPS + 1),
        "reset": torch.rand(STEPS, ROWS) < 0.25,
        "reset_state": pytree.tree_map(torch.randn_like, state),
        "reverse": True,
    }


def compared(cell, sizes, dtype):
    input = torch.randn(STEPS, ROWS, sizes[0], dtype=dtype)
    state = pytree.tree_map(torch.randn_like, cell.initial_state(ROWS))
    for options in ({}, options_of(state)):
        expected = oracle(cell, input, state, **options)
        Run.of(cell, input, state, "llvm", **options).require_equal(expected)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("setting", [name for name in SETTINGS if SETTINGS[name]])
def test_cells(setting, name):
    with engine_set(setting):
        compared(CELLS[name](5, 9), (5, 9), torch.float32)


@pytest.mark.parametrize("setting", SETTINGS)
def test_sizes_at_which_weight_gradients_are_our_own_products(setting):
    with engine_set(setting):
        compared(CELLS["gru"](70, 64), (70, 64), torch.float32)


def joins(setting):
    """Whether the input's product is in the loop, and whether it can be."""
    with engine_set(setting):
        cell = CELLS["lstm"](3, 4)
        input, state = torch.randn(STEPS, ROWS, 3), cell.initial_state(ROWS)
        given = arguments.check(input, state, None, None, None, False, None)
        plan = cache._Compiler(cell, given, True, backends._llvm()).compile().plan
        return plan.joins(STEPS, ROWS), plan.joined is not None


def test_the_settings_reach_what_they_are_about():
    assert joins("joined") == (True, True)
    assert joins("unjoined") == (False, True)
    assert joins("never joined") == (False, False)


def test_one_dnn_and_both_kinds_of_threads_are_met(monkeypatch):
    met = []
    linear, parallel = faster._onednn_linear(), openmp.parallel_function()
    assert linear is not None
    assert parallel is not None

    def serves(a, b):
        met.append("oneDNN" if a.dtype == torch.float32 else "torch")
        return met[-1] == "oneDNN"

    with engine_set("oneDNN"):
        monkeypatch.setattr(faster, "_serves", serves)
        compared(CELLS["rnn"](5, 9), (5, 9), torch.float32)
    assert "oneDNN" in met
    pool = threads._pool()
    monkeypatch.setattr(threads, "_pool", lambda: met.append("pool") or pool)
    with engine_set("plain threads"):
        compared(CELLS["rnn"](5, 9), (5, 9), torch.float32)
    assert "pool" in met


def test_without_a_count_of_holders_memory_is_never_used_again(monkeypatch):
    monkeypatch.setattr(workspace, "_holders", None)
    space = workspace.Workspace()
    taken = [space.take((100_000,), torch.float32) for _ in range(3)]
    addresses = {tensor.data_ptr() for tensor in taken}
    assert len(addresses) == 3
    assert not space._buffers

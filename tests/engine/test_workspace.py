"""Memory is used again when, and only when, nobody looks at it any more."""

import threading

import pytest
import torch

import elman
from elman.cells import CELLS
from elman.engine import workspace
from elman.engine.workspace import Workspace

SIZE = 100_000


def test_memory_comes_back_when_it_is_dropped():
    space = Workspace()
    first = space.take((SIZE,), torch.float32)
    address = first.data_ptr()
    view = first.view(100, 1000)[3:]
    del first
    second = space.take((SIZE,), torch.float32)
    assert second.data_ptr() != address  # a view still looks at it
    del view
    assert space.take((SIZE // 2, 2), torch.float32).data_ptr() == address
    third = space.take((10, 1000), torch.float64)  # far too small for the buffers there are
    assert third.data_ptr() not in (address, second.data_ptr())


def test_what_autograd_keeps_is_in_use():
    space = Workspace()
    x = space.take((SIZE,), torch.float32).fill_(2.0).requires_grad_()
    address = x.data_ptr()
    y = (x * x).sum()
    del x
    other = space.take((SIZE,), torch.float32)
    assert other.data_ptr() != address
    del y
    assert space.take((SIZE,), torch.float32).data_ptr() == address


def test_a_resized_storage_is_not_handed_out():
    space = Workspace()
    x = space.take((SIZE,), torch.float32)
    x.untyped_storage().resize_(0)
    del x
    space.take((SIZE,), torch.float32).fill_(1.0)


def test_unused_memory_stays_within_the_limit():
    space = Workspace(limit=10 * 4 * SIZE)
    for factor in range(1, 30):
        space.take((SIZE * factor,), torch.float32)
    # One buffer comes on top, and each size is rounded up by an eighth at most.
    free = [buffer.size for buffer in space._buffers if buffer.is_free()]
    assert sum(free) <= (10 + 29) * 4 * SIZE * 9 / 8


def test_tensors_of_many_threads_never_share_memory():
    space, failures = Workspace(), []

    def work(number):
        for _ in range(200):
            mine = space.take((20_000,), torch.float32).fill_(number)
            if not (mine == number).all():
                failures.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("name", CELLS)
def test_a_training_step_leaves_nothing_behind(name, monkeypatch):
    space = Workspace()
    monkeypatch.setattr(workspace, "take", space.take)
    cell = CELLS[name](64, 64)
    x = torch.randn(40, 16, 64, requires_grad=True)
    for _ in range(4):
        output, state = elman.scan(cell, x, cell.initial_state(16), backend="llvm")
        output.sum().backward()
        del output, state
        x.grad = None
        cell.zero_grad()
    assert space._buffers
    assert all(buffer.is_free() for buffer in space._buffers)
    count = len(space._buffers)
    for _ in range(4):
        elman.scan(cell, x, cell.initial_state(16), backend="llvm")[0].sum().backward()
        x.grad = None
        cell.zero_grad()
    assert len(space._buffers) == count

"""The guards around workspace memory see what is written beside a buffer."""

import ctypes

import pytest
import torch

from elman.engine import workspace
from tests.engine.guarded import GUARD, guarded_memory

SIZES = [(5,), (0, 3), (40, 1000)]


@pytest.fixture(autouse=True)
def _guards():
    """None around these tests, which have their own."""


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bool, torch.int64])
def test_memory_comes_poisoned_aligned_and_in_shape(shape, dtype):
    with guarded_memory():
        found = workspace.take(shape, dtype)
        assert (found.shape, found.dtype) == (shape, dtype)
        assert found.is_contiguous()
        assert found.data_ptr() % 8 == 0
        assert found.isnan().all() if dtype.is_floating_point else found.all()


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("place", [-1, -GUARD, 0, GUARD - 1])
def test_a_byte_written_beside_a_buffer_is_seen(place, shape):
    def overrun():
        with guarded_memory():
            found = workspace.take(shape, torch.float32)
            end = found.numel() * 4 if place >= 0 else 0
            ctypes.c_uint8.from_address(_address(found) + end + place).value = 0

    with pytest.raises(AssertionError, match="written"):
        overrun()


def test_it_is_seen_when_the_memory_is_used_again():
    with guarded_memory() as guarded:
        found = workspace.take((100_000,), torch.float32)
        address = _address(found)
        word = ctypes.c_uint8.from_address(address - 1)
        before, word.value = word.value, 0
        del found
        with pytest.raises(AssertionError, match="before a buffer"):
            workspace.take((100_000,), torch.float32)
        word.value = before
        guarded.check_all()


def test_pieces_that_are_no_longer_kept_are_looked_at_when_they_go():
    with guarded_memory():
        found = workspace.take((3,), torch.float32)
        word = ctypes.c_uint8.from_address(_address(found) - 1)
        before, word.value = word.value, 0
        several = lambda: [workspace.take((3,), torch.float32) for _ in range(300)]  # noqa: E731
        with pytest.raises(AssertionError, match="written"):
            several()
        word.value = before


def _address(tensor):
    return tensor.untyped_storage().data_ptr() + GUARD

"""Memory that is used again.

A fresh page costs more to touch than the arithmetic that fills it, so what the engine writes, from
scratch values to the outputs that users get, lies in buffers that are handed out again as soon as
nobody holds a tensor in them: torch counts the holders of a storage, autograd's among them.
"""

import sys
import threading
from collections.abc import Callable
from functools import lru_cache
from math import prod

import torch
from torch import Tensor

SMALL = 1 << 16
"""Bytes below which the allocator is as fast."""

LIMIT = 1 << 28
"""Bytes that may wait here unused while others are asked for; beyond that the oldest are let go."""

_holders: Callable[[int], int] | None = getattr(torch._C, "_storage_Use_Count", None)


class _Buffer:
    def __init__(self, size: int) -> None:
        self.size = size
        self.storage = torch.UntypedStorage(size)
        self._address = self.storage._cdata
        self._memory = self.storage.data_ptr()
        assert _holders is not None
        self._own_holders = _holders(self._address)
        self._own_references = sys.getrefcount(self.storage)

    def is_free(self) -> bool:
        """Whether no tensor holds it, and nobody the storage, which a tensor hands out."""
        assert _holders is not None
        return (
            _holders(self._address) <= self._own_holders
            and sys.getrefcount(self.storage) <= self._own_references
        )

    def is_whole(self) -> bool:
        """Whether the memory is still all there; a user may resize the storage of a tensor, or move
        it to where other processes see it."""
        return self.storage.nbytes() == self.size and self.storage.data_ptr() == self._memory

    def tensor(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A contiguous tensor of that shape at the buffer's beginning."""
        return torch.empty(0, dtype=dtype).set_(self.storage, 0, shape, _strides(shape))


class Workspace:
    """Buffers, the latest used last. All methods may be called from any thread."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._buffers: list[_Buffer] = []
        self._lock = threading.Lock()

    def take(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """An uninitialised contiguous tensor of that shape, which has one dimension or more; its
        memory comes back when it is dropped."""
        size = prod(shape) * dtype.itemsize
        if size < SMALL or _holders is None:
            return torch.empty(*shape, dtype=dtype)  # torch reads a tuple half as fast again
        size = _rounded(size)
        with self._lock:
            for index in range(len(self._buffers) - 1, -1, -1):
                buffer = self._buffers[index]
                if buffer.size == size and buffer.is_free():
                    del self._buffers[index]
                    if buffer.is_whole():
                        break
            else:
                self._drop_oldest(size)
                buffer = _Buffer(size)
            self._buffers.append(buffer)
            return buffer.tensor(shape, dtype)

    def _drop_oldest(self, coming: int) -> None:
        """Keep what lies unused within the limit."""
        unused = [buffer for buffer in self._buffers if buffer.is_free()]
        total = coming + sum(buffer.size for buffer in unused)
        for buffer in unused:
            if total <= self._limit:
                break
            self._buffers.remove(buffer)
            total -= buffer.size


def _rounded(size: int) -> int:
    """Up to the next of eight sizes between two powers of two, so that batches of many lengths
    find each other's memory. What is only rounded up is never touched, and so costs nothing."""
    step = 1 << max(0, size.bit_length() - 4)
    return -(-size // step) * step


@lru_cache(maxsize=256)
def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


_WORKSPACE = Workspace()


def take(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An uninitialised contiguous tensor of that shape from the workspace that all scans share."""
    return _WORKSPACE.take(shape, dtype)

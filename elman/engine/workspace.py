"""Memory that is used again.

A fresh page costs more to touch than the arithmetic that fills it, so buffers that live only within
a call, or from its forward to its backward pass, come from here and go back.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable
from math import prod

import torch
from torch import Tensor

SMALL = 1 << 16
"""Bytes below which the allocator is as fast."""

LIMIT = 1 << 30
"""Bytes that may wait here unused; beyond that the oldest are let go."""


def fresh(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor for results. Tests fill it with NaN instead."""
    return torch.empty(shape, dtype=dtype)


class Workspace:
    """Spare buffers by size. All methods may be called from any thread."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._spare: OrderedDict[int, Tensor] = OrderedDict()  # by address
        self._waiting = 0
        self._lock = threading.Lock()
        # Python's garbage collector may give buffers back in the middle of any line, also one that
        # holds the lock, so `give` takes no lock and leaves them here.
        self._returned: deque[Tensor] = deque()

    def take(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """An uninitialised tensor."""
        size = prod(shape) * dtype.itemsize
        with self._lock:
            self._collect()
            found = next(
                (key for key, b in reversed(self._spare.items()) if size <= len(b) <= 1.25 * size),
                None,
            )
            buffer = None if found is None else self._spare.pop(found)
            if buffer is not None:
                self._waiting -= len(buffer)
        if buffer is None:
            buffer = fresh((max(size, 64),), torch.uint8)
        return buffer[:size].view(dtype).view(shape)

    def give(self, tensors: Iterable[Tensor]) -> None:
        """Take back tensors that came from `take` and that nobody looks at any more."""
        self._returned.extend(tensors)

    def _collect(self) -> None:
        while self._returned:
            storage = self._returned.popleft().untyped_storage()
            buffer = torch.empty(0, dtype=torch.uint8).set_(storage)
            self._spare[storage.data_ptr()] = buffer
            self._waiting += len(buffer)
        while self._waiting > self._limit:
            self._waiting -= len(self._spare.popitem(last=False)[1])


WORKSPACE = Workspace()


class Loan:
    """Buffers taken for one purpose; they go back when `close` is called or the loan is dropped."""

    def __init__(self, workspace: Workspace = WORKSPACE) -> None:
        self._workspace = workspace
        self._taken: dict[int, Tensor] = {}

    def take(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        if prod(shape) * dtype.itemsize < SMALL:
            return fresh(shape, dtype)
        tensor = self._workspace.take(shape, dtype)
        self._taken[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    def keep_out(self, tensors: Iterable[Tensor | None]) -> None:
        """These go to the caller: what they share memory with does not go back."""
        if not self._taken:
            return
        for tensor in tensors:
            if tensor is not None:
                self._taken.pop(tensor.untyped_storage().data_ptr(), None)

    def close(self) -> None:
        if self._taken:
            taken, self._taken = self._taken, {}
            self._workspace.give(taken.values())

    def __enter__(self) -> "Loan":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

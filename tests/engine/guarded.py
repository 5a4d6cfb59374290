"""Workspace memory that shows when it is read before it was written, or written beside.

What is handed out is full of NaN (or of a number that no test expects), and guard words stand on
both sides. They are looked at when the memory is handed out again, and at the end.
"""

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any
from unittest.mock import patch
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from elman.engine import workspace

GUARD = 64
"""Bytes on each side: a cache line, so that alignment stays."""

_WORD = 0x5A
_KEPT = 200


@dataclass
class Guarded:
    """Hands out memory of the workspace between guards.

    sizes: bytes between the guards of a buffer that the workspace holds. kept: smaller pieces,
        which it does not hold, with theirs.
    """

    take_plain: Callable[..., Tensor]
    sizes: MutableMapping[Any, int] = field(default_factory=WeakKeyDictionary)
    kept: list[tuple[torch.UntypedStorage, int]] = field(default_factory=list)

    def take(self, shape: tuple[int, ...], dtype: torch.dtype, *more: Any) -> Tensor:
        size, margin = prod(shape) * dtype.itemsize, GUARD // dtype.itemsize
        whole = self.take_plain((prod(shape) + 2 * margin,), dtype, *more)
        storage = whole.untyped_storage()
        buffer = _buffer_of(storage)
        if buffer in self.sizes:
            _check(storage, self.sizes[buffer])
        content = _bytes(storage)
        content[:GUARD] = content[GUARD + size : 2 * GUARD + size] = _WORD
        if buffer is None:
            self._keep(storage, size)
        else:
            self.sizes[buffer] = size
        strides = torch.empty(shape, device="meta").stride()
        handed = torch.empty(0, dtype=dtype).set_(storage, margin, shape, strides)
        return handed.fill_(float("nan") if dtype.is_floating_point else True)

    def check_all(self) -> None:
        for storage, size in self.kept:
            _check(storage, size)
        for buffer, size in self.sizes.items():
            if buffer.is_whole():  # a user may have taken its memory away
                _check(buffer.storage, size)

    def _keep(self, storage: torch.UntypedStorage, size: int) -> None:
        self.kept.append((storage, size))
        if len(self.kept) > _KEPT:
            gone, self.kept = self.kept[:-_KEPT], self.kept[-_KEPT:]
            for old in gone:
                _check(*old)


def _buffer_of(storage: torch.UntypedStorage) -> Any:
    """The workspace's record of a piece of memory, or None if it keeps none."""
    address = storage.data_ptr()
    buffers = reversed(list(workspace._WORKSPACE._buffers))
    return next((b for b in buffers if b.storage.data_ptr() == address), None)


def _bytes(storage: torch.UntypedStorage) -> Tensor:
    return torch.empty(0, dtype=torch.uint8).set_(storage)


def _check(storage: torch.UntypedStorage, size: int) -> None:
    content = _bytes(storage)
    for name, start in (("before", 0), ("after", GUARD + size)):
        guard = content[start : start + GUARD]
        if not (guard == _WORD).all():
            place = (guard != _WORD).nonzero()[0].item()
            raise AssertionError(f"memory was written {place} bytes {name} a buffer of {size}")


@contextmanager
def guarded_memory() -> Iterator[Guarded]:
    """Within it, all memory of the workspace is poisoned and guarded.

    Raises:
        AssertionError: something was written outside a buffer.
    """
    guarded = Guarded(workspace.take)
    with patch.object(workspace, "take", guarded.take):
        yield guarded
        guarded.check_all()

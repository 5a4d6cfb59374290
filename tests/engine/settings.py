"""Ways in which the engine may be set, all of which must give the same results.

Sizes decide what is joined, fused, cut into chunks or shared among threads. Tests are small, so
that each would meet one side of every threshold only.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pkgutil import resolve_name
from unittest.mock import patch

import torch

from elman.engine import backends
from elman.engine.llvm import jit, openmp, packing, transposed
from elman.engine.machine import Limits
from elman.engine.run import cache

SETTINGS: dict[str, dict[str, object]] = {
    "as it is": {},
    # What large models run: products of the input before the loop.
    "unjoined": {"limits": Limits(joined_rows=1 << 60, joined_bytes=-1)},
    "never joined": {"limits": Limits(joined_weight_bytes=-1)},
    "joined": {"limits": Limits(joined_rows=0)},
    "products left to torch": {"limits": Limits(fused_weight_bytes=-1, joined_weight_bytes=-1)},
    "oneDNN": {
        "llvm.products._WORTHWHILE": 0,
        "limits": Limits(fused_weight_bytes=-1, joined_weight_bytes=-1),
    },
    "no oneDNN": {"llvm.products._WORTHWHILE": 1 << 60},
    "chunks": {"limits": Limits(chunk_bytes=300, backward_chunk_bytes=300)},
    "unjoined chunks": {
        "limits": Limits(chunk_bytes=300, backward_chunk_bytes=300, joined_weight_bytes=-1),
    },
    "threads": {"llvm.kernel.SMALL": 0, "llvm.packing.SMALL": 0},
    "plain threads": {
        "llvm.kernel.SMALL": 0, "llvm.packing.SMALL": 0, "llvm.openmp._openmp": lambda: None,
    },
    "torch tells no holders": {"workspace._holders": None, "workspace.SMALL": 0},
    "all memory used again": {"workspace.SMALL": 0},
    # A row of a few numbers is many vectors on one processor and less than one on another.
    "vectors of 16 bytes": {"llvm.jit._vector_registers": lambda *_: (16, 32)},
    "vectors of 32 bytes": {"llvm.jit._vector_registers": lambda *_: (32, 16)},
    "vectors of 64 bytes": {"llvm.jit._vector_registers": lambda *_: (64, 32)},
}  # fmt: skip
"""Names within `elman.engine`, and what they are set to; `limits` are those of the machine."""


@contextmanager
def engine_set(name: str) -> Iterator[None]:
    """The engine, set in one of these ways; what was compiled before is forgotten."""
    if name == "as it is":
        yield
        return
    before = torch.get_num_threads()
    with ExitStack() as stack:
        for path, value in SETTINGS[name].items():
            if path == "limits":
                stack.enter_context(patch.object(backends._llvm(), path, value))
                continue
            owner, _, attribute = path.rpartition(".")
            target = resolve_name(f"elman.engine.{owner}")
            stack.enter_context(patch.object(target, attribute, value))
        if "threads" in name:
            torch.set_num_threads(2)
        forget()
        try:
            yield
        finally:
            torch.set_num_threads(before)
    forget()


def forget() -> None:
    """Code that was compiled under other settings, above all with or without OpenMP."""
    cache._entries.clear()
    cache._latest.clear()
    for known in (jit.host, packing._compiled, transposed._compiled, openmp.functions,
                  openmp.parallel_function):  # fmt: skip
        known.cache_clear()

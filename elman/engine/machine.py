"""The seam: what the engine knows of a machine that runs its loops.

A machine turns row programs into kernels. The planner asks it for sizes, the runner for kernels,
memory, and faster functions for what runs outside of loops; nothing else of the engine knows which
machine it is. `backends` names the machines that there are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from elman.engine.arguments import Arguments
from elman.engine.program.row_program import Kernel, RowProgram


@dataclass(frozen=True)
class Limits:
    """Sizes by which planner and runner choose. Results are the same for all, but for rounding.

    joined_weight_bytes: up to this size of all weights of the loop together, products of the input
        may run inside the loop: the last cache holds them, and reading them once more costs less
        than writing and reading a stream.
    joined_rows: from so many rows on they do; with fewer, a weight that was loaded would serve too
        few of them.
    joined_bytes: with fewer rows they still do if the loop reads no more than so many bytes of
        weights in all; a section before the loop costs more than that by being called.
    fused_weight_bytes: weights up to this size, outside the loops, are multiplied in the same pass
        over rows as what comes before and after; they stay in a core's own cache.
    chunk_bytes: streams that only the forward loop reads are made for so many bytes of time steps
        at once.
    backward_chunk_bytes: the same for what only the backward pass needs. Larger, because each chunk
        adds to the gradients of all weights.
    """

    joined_weight_bytes: int = 8 << 20
    joined_rows: int = 8
    joined_bytes: int = 4 << 20
    fused_weight_bytes: int = 640 << 10
    chunk_bytes: int = 4 << 20
    backward_chunk_bytes: int = 8 << 20


class Machine(Protocol):
    """What runs row programs.

    name: with `device`, part of the key under which compiled steps are kept.
    device: the type of device on which the tensors of a call must be, such as "cpu".
    operations: a faster function for operations outside of loops, by the operation of ATen, or by
        a function of `elman.engine.graph.operations`, whose arguments it takes.
    """

    @property
    def name(self) -> str: ...

    @property
    def device(self) -> str: ...

    @property
    def limits(self) -> Limits: ...

    @property
    def operations(self) -> Mapping[Any, Callable[..., Any]]: ...

    def computes_in(self, stored: torch.dtype) -> torch.dtype | None:
        """The type in which it computes with numbers of this one, or None if it can't."""

    def compile(self, program: RowProgram) -> Kernel:
        """A kernel for a row program.

        Raises:
            elman.errors.UnsupportedStep: the machine lacks what the program needs.
        """

    def take(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Uninitialised contiguous memory of that shape, which comes back when the tensor is
        dropped."""

    def refuses(self, arguments: Arguments) -> str | None:
        """Why a call can't run here, beyond its types; None if it can. Asked at every call."""

"""Row programs: what one pass of a compiled loop does to one row, as data.

A scan treats rows independently, so its loop body is a short program over *row values*: vectors
of a fixed width that belong to one row at one time step. The planner writes two of them for each
step, one forward and one backward; `interpret` evaluates one with torch operations and is the
oracle; the LLVM backend turns one into machine code.

Layout of the data that a program reads and writes ("packed", as in PyTorch's PackedSequence):
time steps one after another, each holding the rows that are active in it. Rows are sorted by
length, longest first, so the active rows of a step are always the first ones. A *stream* of width
w is an `(N, w)` tensor, N being the number of valid (time, row) pairs; `offsets[t]` is where step
t begins and `offsets[t + 1] - offsets[t]` is the number of its active rows. Without `lengths`
that is simply the folded `(T * B, w)` tensor and `offsets[t] = t * B`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import torch

from elman.engine.graph.operations import PointwiseName, ReduceName


@dataclass(frozen=True)
class Op:
    """One value of a row program. `width` is the number of its elements in one row."""

    width: int


@dataclass(frozen=True)
class Constant(Op):
    """One number, the same for all rows and lanes. width is 1."""

    value: float


@dataclass(frozen=True)
class Input(Op):
    """The current row of input stream `index`, an `(N, width)` tensor."""

    index: int


@dataclass(frozen=True)
class Vector(Op):
    """A `(width,)` tensor that all rows and steps share, such as a bias."""

    index: int


@dataclass(frozen=True)
class Carried(Op):
    """State leaf `index` as it stands at the beginning of this step (after any reset)."""

    index: int


@dataclass(frozen=True)
class Product(Op):
    """`left @ W`: `left` is a value of width K, W is weight `index`, a `(K, width)` tensor."""

    left: int
    index: int


@dataclass(frozen=True)
class Pointwise(Op):
    """An elementwise function; each argument has this value's width or width 1 (broadcast)."""

    name: PointwiseName
    args: tuple[int, ...]


@dataclass(frozen=True)
class Reduce(Op):
    """One number from all elements of one value. width is 1."""

    name: ReduceName
    arg: int


@dataclass(frozen=True)
class Slice(Op):
    """`arg[start : start + width]`."""

    arg: int
    start: int


@dataclass(frozen=True)
class Cat(Op):
    """The arguments one after another."""

    args: tuple[int, ...]


class Types(NamedTuple):
    """The type in which a program's numbers are stored, and the one in which a machine computes
    with them, which may be wider."""

    stored: torch.dtype
    computed: torch.dtype


@dataclass(frozen=True)
class RowProgram:
    """The body of a loop over time.

    dtype:    of all that it reads and writes. A machine may compute in a wider type.
    ops:      values in order; an op refers to earlier ones by their position.
    next:     for every state leaf the value that it has after this step.
    outputs:  values written to output streams, one `(N, width)` tensor each.
    sums:     values summed over all rows and steps, one `(width,)` tensor each.
    inputs, vectors: their widths. weights: their `(K, W)` shapes. carried: widths of the state.
    """

    dtype: torch.dtype
    ops: tuple[Op, ...]
    next: tuple[int, ...]
    outputs: tuple[int, ...]
    inputs: tuple[int, ...] = ()
    vectors: tuple[int, ...] = ()
    weights: tuple[tuple[int, int], ...] = ()
    carried: tuple[int, ...] = ()
    sums: tuple[int, ...] = ()
    labels: tuple[str, ...] = field(
        default=(), compare=False
    )  # per op, for `explain`; may be empty

    @property
    def moving(self) -> list[int]:
        """Numbers of the state's leaves that a step changes; `constants` of a scan are none."""
        return [
            slot for slot, index in enumerate(self.next)
            if not (isinstance(op := self.ops[index], Carried) and op.index == slot)
        ]  # fmt: skip


@dataclass(frozen=True)
class Timetable:
    """Which rows run when.

    rows:      B, the number of rows in the state.
    steps:     T, the number of time steps. total: N, the number of (time, active row) pairs.
    offsets:   `(T + 1,)` int64 tensor on the CPU, see "Layout" above.
    backwards: run from the last time step to the first. With ragged rows the active set then
               grows: a row's state is untouched until its own last step.
    """

    rows: int
    steps: int
    total: int
    offsets: torch.Tensor
    backwards: bool = False


@dataclass(frozen=True)
class Resets:
    """Rows whose state is replaced in the middle of their sequence.

    mask:   `(N,)` bool, packed like a stream.
    values: one `(B, width)` tensor for every state leaf.
    when:   "before": where mask is true, the row's state becomes its row of `values`, and then
            the step runs (forward). "after": the step runs, and then, where mask is true, the
            row's state is added to its row of `values` and becomes zero (backward: the cotangent
            of the state leaves for the reset value and none crosses).
    """

    mask: torch.Tensor
    values: list[torch.Tensor]
    when: Literal["before", "after"]


class Kernel(Protocol):
    """An executable row program.

    All tensors are of the program's dtype, with unit stride in the last dimension. Streams may have
    any row stride; `state`, and the values of resets, are contiguous. `state` holds the first state
    on entry and the last one on return (updated in place). `outputs` are written in full: one row
    for every (time, active row). A `Carried` output gives the state at the beginning of each step.
    `weights` is what `pack` made of the program's weights, so that several calls can share it;
    those whose numbers are `transposed` come as `(W, K)`.

    An output may lie in the memory of inputs (`plan.overlay`): several inputs, side by side, are
    then the columns of the output's memory. That is done only where one block of the program's
    stages (`program.stages`) both writes all of the output and is the only one that reads those
    inputs, lane by lane from their first column on. So a kernel has to run a row's block lane by
    lane, or in vectors of lanes, and at each to read everything before it writes anything.
    """

    def pack(self, weights: list[torch.Tensor], transposed: frozenset[int] = frozenset()) -> Any:
        """Weights `(K, W)`, or `(W, K)` if transposed, as the kernel reads them."""

    def __call__(
        self,
        timetable: Timetable,
        *,
        inputs: list[torch.Tensor],
        vectors: list[torch.Tensor],
        weights: Any,
        state: list[torch.Tensor],
        outputs: list[torch.Tensor],
        resets: Resets | None = None,
    ) -> list[torch.Tensor]:
        """inputs, outputs: streams `(N, W)`. vectors: `(W,)`. state: `(B, W)`. Returns the sums,
        `(W,)` each."""

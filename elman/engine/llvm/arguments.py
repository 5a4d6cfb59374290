"""The argument block of a loop: what a kernel is called with.

    head   inputs   vectors   state   outputs   resets   sums

Streams (inputs and outputs) are an address and a distance of rows each, the others an address each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import llvmlite.ir as ir
from torch import Tensor

from elman.engine.llvm.builder import POINTER, Code
from elman.engine.llvm.words import Address, Number, load
from elman.engine.memory import require_addresses
from elman.engine.program.row_program import Resets, RowProgram

NO_RESETS, RESET_BEFORE, RESET_AFTER = range(3)
"""When a row's state is replaced: never, before its step, or after it."""

_RESET_KINDS = {"before": RESET_BEFORE, "after": RESET_AFTER}


class Head(NamedTuple):
    """threads: into how many shares the rows are cut. bounds: the first row of each share, and the
    end. offsets: of time steps in streams. scratch_size: elements for each thread."""

    threads: Number
    steps: Number
    backwards: Number
    offsets: Address
    bounds: Address
    scratch: Address
    scratch_size: Number
    weights: Address
    reset_mask: Address
    reset_kind: Number


class Stream(NamedTuple):
    rows: Address
    distance: Number


@dataclass
class Loaded:
    """The block's words as LLVM's values."""

    head: Head
    inputs: list[Stream]
    vectors: list[ir.Value]
    state: list[ir.Value]
    outputs: list[Stream]
    resets: list[ir.Value]
    sums: ir.Value | None


def reset_words(resets: Resets | None) -> tuple[int, int]:
    """Those of the head: mask and kind."""
    if resets is None:
        return 0, NO_RESETS
    return resets.mask.data_ptr(), _RESET_KINDS[resets.when]


def words_after_head(
    inputs: Sequence[Tensor], vectors: Sequence[Tensor], state: Sequence[Tensor],
    outputs: Sequence[Tensor], resets: Resets | None,
) -> list[int]:  # fmt: skip
    """All words but the head's, and that of the sums, which comes last if there are any.

    inputs, outputs: streams `(N, W)`. vectors: `(W,)` each. state, and the values of resets:
    `(B, W)` each, contiguous.

    Raises:
        UnsupportedStep: a tensor has no memory.
    """
    words: list[int] = []
    for tensor in inputs:
        words += (tensor.data_ptr(), tensor.stride(0))
    words += [tensor.data_ptr() for tensor in vectors]
    words += [tensor.data_ptr() for tensor in state]
    for tensor in outputs:
        words += (tensor.data_ptr(), tensor.stride(0))
    if 0 in words:  # perhaps only a distance
        require_addresses([*inputs, *vectors, *state, *outputs])
    words += [0] * len(state) if resets is None else [t.data_ptr() for t in resets.values]
    return words


def loaded(code: Code, block: ir.Value, program: RowProgram) -> Loaded:
    """What compiled code reads of the block: every word as one number or address."""
    position = len(Head._fields)

    def streams(count: int) -> list[Stream]:
        nonlocal position
        start, size = position, len(Stream._fields)
        position += count * size
        return [load(code, block, Stream, start + number * size) for number in range(count)]

    def addresses(count: int) -> list[ir.Value]:
        nonlocal position
        start = position
        position += count
        return [code.slot(block, start + number, POINTER) for number in range(count)]

    return Loaded(
        head=load(code, block, Head),
        inputs=streams(len(program.inputs)),
        vectors=addresses(len(program.vectors)),
        state=addresses(len(program.carried)),
        outputs=streams(len(program.outputs)),
        resets=addresses(len(program.carried)),
        sums=addresses(1)[0] if program.sums else None,
    )

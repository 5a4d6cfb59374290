"""A compiled row program as a callable."""

from functools import lru_cache

import torch
from torch import Tensor

from elman.engine import workspace
from elman.engine.llvm.arguments import Head, reset_words, words_after_head
from elman.engine.llvm.emit import emit_module
from elman.engine.llvm.geometry import Geometry
from elman.engine.llvm.jit import Compiled, host
from elman.engine.llvm.packing import Copy, Packing
from elman.engine.llvm.pieces import pieces_of, row_cost
from elman.engine.llvm.threads import Worker
from elman.engine.program.row_program import Product, Resets, RowProgram, Timetable

SMALL = 2_000_000
"""Floating-point operations below which more than one thread would only cost time."""


class LLVMKernel:
    """Implements `elman.engine.program.row_program.Kernel` with machine code for this processor."""

    def __init__(self, program: RowProgram) -> None:
        emitted = emit_module(program, host())
        self.program = program
        self._geometry = emitted.geometry
        self._packing = Packing(_copies(program, emitted.geometry), program.dtype)
        self._row_cost = row_cost(program)
        self._worker = Worker(Compiled(emitted.text))
        self._row_flops = 2 * sum(
            program.ops[op.left].width * op.width for op in program.ops if isinstance(op, Product)
        ) + 8 * sum(op.width for op in program.ops)

    def pack(self, weights: list[Tensor], transposed: frozenset[int] = frozenset()) -> Tensor:
        """All weights, `(K, W)` each, or `(W, K)` if transposed, as the product's inner loop reads
        them, `[tile][k][accumulator][lane]`."""
        geometry, program = self._geometry, self.program
        packed = workspace.take((geometry.packed + geometry.lanes,), program.dtype)
        if weights:
            self._packing.run(weights, packed, transposed)
        return packed

    def __call__(
        self,
        timetable: Timetable,
        *,
        inputs: list[Tensor],
        vectors: list[Tensor],
        weights: Tensor,
        state: list[Tensor],
        outputs: list[Tensor],
        resets: Resets | None = None,
    ) -> list[Tensor]:
        """Run the program: streams `(N, W)`, vectors `(W,)`, state `(B, W)`, weights as `pack`
        gives them. Returns the sums, `(W,)` each."""
        if timetable.steps < 1 or timetable.rows < 1:
            dtype, ops = self.program.dtype, self.program.ops
            return [torch.zeros(ops[index].width, dtype=dtype) for index in self.program.sums]
        threads, bounds = self._share(timetable)
        size = self._geometry.scratch
        # Taken anew for each call: calls may run side by side in several of the user's threads.
        scratch = workspace.take((threads * size,), self.program.dtype)
        rest = words_after_head(inputs, vectors, state, outputs, resets)
        reset_mask, reset_kind = reset_words(resets)
        held = (timetable, scratch, weights, resets, inputs, vectors, state, outputs)
        whole: Tensor | None = None
        for piece in pieces_of(timetable, self._row_cost, threads, bounds):
            offsets = timetable.offsets.data_ptr() + 8 * piece.first
            head = Head(  # by position, which takes half the time
                threads, piece.steps, timetable.backwards, offsets, piece.bounds.data_ptr(),
                scratch.data_ptr(), size, weights.data_ptr(), reset_mask, reset_kind,
            )  # fmt: skip
            words = (*head, *rest)
            if not self.program.sums:
                self._worker.run(words, threads, (held, piece))
                continue
            totals = workspace.take((threads, self._geometry.totals[-1]), self.program.dtype)
            self._worker.run((*words, totals.data_ptr()), threads, (held, piece, totals))
            whole = totals.sum(0) if whole is None else whole.add_(totals.sum(0))
        return [] if whole is None else self._sums(whole)

    def _sums(self, whole: Tensor) -> list[Tensor]:
        """The sums, `(W,)` each. whole: all of them in one tensor, each padded to whole vectors."""
        return [
            whole[start : start + self.program.ops[index].width]
            for start, index in zip(self._geometry.totals, self.program.sums, strict=False)
        ]

    def _share(self, timetable: Timetable) -> tuple[int, Tensor]:
        """How many threads, and which rows each of them runs: `(threads + 1,)` bounds."""
        total = timetable.total
        threads = min(torch.get_num_threads(), -(-timetable.rows // 2))
        if threads <= 1 or total * self._row_flops < SMALL:
            return 1, _even_bounds(timetable.rows, 1)
        if total == timetable.steps * timetable.rows:
            return threads, _even_bounds(timetable.rows, threads)
        return threads, _ragged_bounds(timetable, threads, total)


@lru_cache(maxsize=256)
def _even_bounds(rows: int, threads: int) -> Tensor:
    """`(threads + 1,)` bounds of about equal shares, in fours where there are enough, which the
    inner loop likes best."""
    unit = 4 if rows >= 4 * threads else 1
    units = -(-rows // unit)
    return torch.tensor([min(rows, units * i // threads * unit) for i in range(threads + 1)])


def _ragged_bounds(timetable: Timetable, threads: int, total: int) -> Tensor:
    """`(threads + 1,)` bounds of shares of about equal numbers of (time, row) pairs."""
    active = timetable.offsets.diff()  # falls, so that it can be searched from its end
    rows = torch.arange(timetable.rows)
    lengths = timetable.steps - torch.searchsorted(active.flip(0), rows, right=True)
    done = lengths.cumsum(0)
    goals = torch.arange(1, threads) * total // threads
    inner = torch.searchsorted(done, goals) + 1
    return torch.cat([inner.new_zeros(1), inner, inner.new_tensor([timetable.rows])])


def _copies(program: RowProgram, geometry: Geometry) -> list[Copy]:
    """How weights are packed: columns of each from an offset on, and where they go."""
    copies = []
    for tiling in geometry.tilings.values():
        columns = tiling.vectors * geometry.lanes
        for one in tiling.accumulations:
            row_stride = len(one.places) * columns
            for number, (index, offset) in enumerate(one.places):
                op = program.ops[index]
                assert isinstance(op, Product)
                copies.append(Copy(
                    matrix=op.index, first=offset, k=one.k, width=tiling.block.width,
                    goal=one.weights + number * columns, row_stride=row_stride,
                    tile_stride=one.k * row_stride, tiles=tiling.tiles, vectors=tiling.vectors,
                ))  # fmt: skip
    return copies

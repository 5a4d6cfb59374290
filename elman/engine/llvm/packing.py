"""Weights in the order in which the product's inner loop reads them, copied anew on every call.

So a change of a weight, by an optimiser or by hand, is always seen; and it has to be fast.
"""

from array import array
from functools import lru_cache, partial
from typing import NamedTuple

import llvmlite.ir as ir
import torch
from torch import Tensor

from elman.engine.llvm.builder import I32, I64, POINTER, VOID, Code, integer
from elman.engine.llvm.jit import Compiled, Processor, host
from elman.engine.llvm.threads import Worker, add_entry
from elman.engine.llvm.words import Address, Number, load, place_of
from elman.engine.memory import require_addresses

SMALL = 1 << 15
"""Elements below which a second thread would only cost time."""


class Head(NamedTuple):
    """shares: of the work, one for each thread. copies: how many, and where they stand in a table.
    goal: memory for the packed weights. Matrices follow."""

    shares: Number
    copies: Number
    table: Address
    goal: Address


class Matrix(NamedTuple):
    numbers: Address
    k_stride: Number
    column_stride: Number


class Copy(NamedTuple):
    """Columns of a `(k, width)` matrix into tiles of `vectors` vectors, zeros beyond the last.

    Element (kk, c) of tile t is the matrix's element (kk, first + t * columns + c) and goes to
    goal[t * tile_stride + kk * row_stride + c]. matrix: its number. goal: an offset in elements.
    """

    matrix: Number
    first: Number
    k: Number
    width: Number
    goal: Number
    row_stride: Number
    tile_stride: Number
    tiles: Number
    vectors: Number


class Packing:
    """Copies whose sizes are known ahead; where the matrices and the goal lie is not."""

    def __init__(self, copies: list[Copy], dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._table = array("q", [word for copy in copies for word in copy])
        self._copies = len(copies)
        self._is_small = sum(copy.k * copy.width for copy in copies) <= SMALL

    def run(
        self, matrices: list[Tensor], goal: Tensor, transposed: frozenset[int] = frozenset()
    ) -> None:
        """Pack matrices `(K, W)`; one of which no stride is 1 is copied first.

        goal: `(packed,)` or more, for all tiles one after another. transposed: numbers of those
        that come as `(W, K)`. A view of each would take longer.
        """
        threads = 1 if self._is_small else torch.get_num_threads()
        table = self._table.buffer_info()[0]
        words = [*Head(threads, self._copies, table, goal.data_ptr())]
        held = []
        for number, matrix in enumerate(matrices):
            strides = matrix.stride()
            if 1 not in strides:
                matrix = matrix.contiguous()
                strides = matrix.stride()
            held.append(matrix)
            k_stride, column_stride = strides[::-1] if number in transposed else strides
            words += (matrix.data_ptr(), k_stride, column_stride)  # a Matrix
        if 0 in words:  # or a stride
            require_addresses(held)
        _compiled(self._dtype).run(words, threads, (self, held, goal))


@lru_cache(maxsize=2)
def _compiled(dtype: torch.dtype) -> Worker:
    return Worker(Compiled(str(emit_packing(dtype, host()))))


def emit_packing(dtype: torch.dtype, processor: Processor) -> ir.Module:
    module = ir.Module()
    module.triple = processor.triple
    element = ir.DoubleType() if dtype == torch.float64 else ir.FloatType()
    one = ir.Function(module, ir.FunctionType(VOID, [POINTER, I64]), "one")
    _Packing(Code(one, element, processor.lanes(dtype.itemsize))).emit()
    add_entry(module, one)
    return module


class _Packing:
    """Every share packs its part of the tiles of every matrix."""

    def __init__(self, code: Code) -> None:
        self.code = code

    def emit(self) -> None:
        code, data = self.code, self.code.function.args[0]
        self.head = load(code, data, Head)
        code.loop(integer(0), self.head.copies, 1, self._copy)
        code.b.ret_void()

    def _copy(self, number: ir.Value) -> None:
        """This share's tiles of one matrix, `(k, width)`."""
        code, b = self.code, self.code.b
        self.copy = load(code, place_of(code, self.head.table, Copy, 0, number), Copy)
        block, after_head = code.function.args[0], len(Head._fields)
        place = place_of(code, block, Matrix, after_head, self.copy.matrix)
        self.matrix = load(code, place, Matrix)
        first = code.mul(self.copy.first, self.matrix.column_stride)
        self.source = code.at(self.matrix.numbers, first)
        share = code.function.args[1]
        begin = b.sdiv(code.mul(self.copy.tiles, share), self.head.shares)
        end = b.sdiv(code.mul(self.copy.tiles, code.add(share, 1)), self.head.shares)

        def vector(tile: ir.Value, v: ir.Value) -> None:
            within = code.mul(v, code.lanes)
            column = code.add(code.mul(code.mul(tile, self.copy.vectors), code.lanes), within)
            goal = code.at(self.head.goal, code.add(
                self.copy.goal, code.mul(tile, self.copy.tile_stride), within
            ))  # fmt: skip
            self._vector(column, goal)

        code.loop(begin, end, 1, lambda tile: code.loop(
            integer(0), self.copy.vectors, 1, lambda v: vector(tile, v)
        ))  # fmt: skip

    def _vector(self, column: ir.Value, goal: ir.Value) -> None:
        """One vector's columns, for all k."""
        code, b = self.code, self.code.b
        inside = b.icmp_signed("<=", code.add(column, code.lanes), self.copy.width)
        by_rows = b.icmp_signed("==", self.matrix.column_stride, integer(1))
        source = code.at(self.source, code.mul(column, self.matrix.column_stride))
        whole_rows = b.and_(inside, by_rows)
        whole_columns = b.and_(inside, b.not_(by_rows))

        def row(kk: ir.Value) -> None:
            value = code.load(source, code.mul(kk, self.matrix.k_stride))
            code.store(value, goal, code.mul(kk, self.copy.row_stride))

        code.when(whole_rows, lambda: code.loop(integer(0), self.copy.k, 1, row))

        def transposing() -> None:
            rest = code.loop(
                integer(0), self.copy.k, code.lanes, lambda kk: self._square(source, goal, kk)
            )
            code.loop(rest, self.copy.k, 1, lambda kk: self._scalars(source, goal, kk, None))

        code.when(whole_columns, transposing)
        real = b.sub(self.copy.width, column)
        code.when(b.not_(inside), lambda: code.loop(
            integer(0), self.copy.k, 1, lambda kk: self._scalars(source, goal, kk, real)
        ))  # fmt: skip

    def _square(self, source: ir.Value, goal: ir.Value, kk: ir.Value) -> None:
        """`lanes` columns, contiguous along k, by `lanes` values of k: transposed in registers."""
        code = self.code
        rows = [
            code.load(source, code.add(code.mul(self.matrix.column_stride, lane), kk))
            for lane in range(code.lanes)
        ]
        for lane, row in enumerate(_transposed(code, rows)):
            code.store(row, goal, code.mul(code.add(kk, lane), self.copy.row_stride))

    def _scalars(
        self, source: ir.Value, goal: ir.Value, kk: ir.Value, real: ir.Value | None
    ) -> None:
        """One element of each of `lanes` columns, at one k. real: how many of them the matrix has,
        with zeros beyond; None for all."""
        code, b = self.code, self.code.b
        start, end = code.mul(kk, self.matrix.k_stride), code.mul(kk, self.copy.row_stride)

        def copy(lane: int) -> None:
            place = code.add(start, code.mul(self.matrix.column_stride, lane))
            value = code.load_scalar(source, place)
            b.store(value, code.at(goal, code.add(end, lane)), align=code.align)

        for lane in range(code.lanes):
            if real is None:
                copy(lane)
                continue
            zero = ir.Constant(code.element, 0.0)
            b.store(zero, code.at(goal, code.add(end, lane)), align=code.align)
            is_real = b.icmp_signed("<", integer(lane), real)
            code.when(is_real, partial(copy, lane))


def _transposed(code: Code, rows: list[ir.Value]) -> list[ir.Value]:
    """A square of vectors transposed: blocks of 1, 2, 4, ... lanes change places in turn."""
    size, lanes = 1, code.lanes
    while size < lanes:
        low = [i if i & size == 0 else lanes + i - size for i in range(lanes)]
        high = [i + size if i & size == 0 else lanes + i for i in range(lanes)]
        masks = [ir.Constant(ir.VectorType(I32, lanes), order) for order in (low, high)]
        found: list[ir.Value] = list(rows)
        for i in range(lanes):
            if i & size == 0:
                for mask, at in zip(masks, (i, i + size), strict=True):
                    found[at] = code.b.shuffle_vector(rows[i], rows[i + size], mask)
        rows, size = found, size * 2
    return rows

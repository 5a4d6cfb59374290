"""Sums over rows of outer products, `a.T @ b`: the gradient of a weight from all steps at once.

General libraries first transpose one operand, which here costs as much as the product itself. This
one copies blocks of both, as they lie, into the cache, and multiplies there.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import llvmlite.ir as ir
import torch
from torch import Tensor

from elman.engine import workspace
from elman.engine.llvm.builder import I64, POINTER, VOID, Code, integer
from elman.engine.llvm.jit import Compiled, Processor, host
from elman.engine.llvm.math import fma
from elman.engine.llvm.pieces import PIECE
from elman.engine.llvm.threads import Worker, add_entry
from elman.engine.llvm.words import Address, Number, load, place_of

DEPTH = 192
"""Rows of a and b that are in work together: a panel of b fits the first cache."""

UNITS = 16
"""Units of columns of a that are packed together: they fit the second cache beside b's panels."""

AHEAD = 32
"""Rows by which copying asks for what it will need: the processor does not guess it."""

VECTORS = 2
"""Width of a panel of b, in vectors."""


def unit_of(registers: int) -> int:
    """Columns of a whose sums with a panel are held in registers."""
    return 12 if registers >= 32 else 6


def transposed_products(a: Tensor, bs: list[Tensor]) -> list[Tensor]:
    """`a.T @ b` for every b, `(N, M), (N, K) -> (M, K)`; all have unit stride in their rows.

    Every number is a sum in the order of N, whatever the number of threads.
    """
    (n, m), dtype = a.shape, a.dtype
    unit, panel = _sizes(dtype)
    if len(bs) == 1 and _padded(m, unit) * _padded(bs[0].shape[1], panel) > 1.2 * _padded(
        bs[0].shape[1], unit
    ) * _padded(m, panel):
        return [found.t().contiguous() for found in transposed_products(bs[0], [a])]
    results = [workspace.take((m, b.shape[1]), dtype) for b in bs]
    if n == 0 or m == 0:
        return [result.zero_() for result in results]
    width = sum(_padded(b.shape[1], panel) for b in bs)
    threads = max(1, min(torch.get_num_threads(), -(-m // unit)))
    if n * m * width < 1 << 18:
        threads = 1
    size = _scratch_size(width, unit, panel)
    scratch = workspace.take((threads * size,), dtype)
    # In pieces, between which Python can answer Ctrl-C; whole slabs, so that no sum changes.
    rows = max(DEPTH, PIECE * threads // (2 * m * width) // DEPTH * DEPTH)
    for begin in range(0, n, rows):
        piece = slice(begin, min(begin + rows, n))
        words = [*_Head(
            threads=threads, a=a[piece].data_ptr(), stride=a.stride(0), n=piece.stop - begin, m=m,
            scratch=scratch.data_ptr(), scratch_size=size, done=begin, rights=len(bs),
        )]  # fmt: skip
        first = 0  # panel of each b
        for b, result in zip(bs, results, strict=True):
            k = b.shape[1]
            words += _Right(b[piece].data_ptr(), b.stride(0), k, result.data_ptr(), first)
            first += -(-k // panel)
        _compiled(dtype).run(words, threads, (a, bs, results, scratch))
    return results


def _padded(size: int, step: int) -> int:
    return -(-size // step) * step


@lru_cache(maxsize=2)
def _compiled(dtype: torch.dtype) -> Worker:
    return Worker(Compiled(str(emit_transposed_product(dtype, host()))))


def _sizes(dtype: torch.dtype) -> tuple[int, int]:
    """Width of a unit of a and of a panel of b."""
    processor = host()
    return unit_of(processor.registers), VECTORS * processor.lanes(dtype.itemsize)


def _panel_size(panel: int) -> int:
    return DEPTH * panel + 16  # neighbours must not compete for the same places in the cache


def _unit_size(unit: int) -> int:
    return DEPTH * unit + 16


def _scratch_size(width: int, unit: int, panel: int) -> int:
    return width // panel * _panel_size(panel) + UNITS * _unit_size(unit) + unit * panel + 64


def emit_transposed_product(dtype: torch.dtype, processor: Processor) -> ir.Module:
    module = ir.Module()
    module.triple = processor.triple
    lanes = processor.lanes(dtype.itemsize)
    element = ir.DoubleType() if dtype == torch.float64 else ir.FloatType()
    one = ir.Function(module, ir.FunctionType(VOID, [POINTER, I64]), "one")
    _Product(Code(one, element, lanes), unit_of(processor.registers)).emit()
    add_entry(module, one)
    return module


class _Head(NamedTuple):
    """The left operand, `(n, m)`, and the threads' memory. done: rows that earlier calls have added
    to the results. rights: how many right operands follow."""

    threads: Number
    a: Address
    stride: Number
    n: Number
    m: Number
    scratch: Address
    scratch_size: Number
    done: Number
    rights: Number


class _Right(NamedTuple):
    """A right operand `(n, k)`, its result `(m, k)`, and the number of its first panel."""

    b: Address
    stride: Number
    k: Number
    c: Address
    first: Number


class _Product:
    def __init__(self, code: Code, unit: int) -> None:
        self.code = code
        self.unit = unit
        self.panel = VECTORS * code.lanes
        block, thread = code.function.args
        self.head = head = load(code, block, _Head)
        self.n, self.m = head.n, head.m
        self.panels = code.at(head.scratch, code.mul(thread, head.scratch_size))
        last = self._right(code.add(head.rights, -1))
        panel_count = code.add(last.first, self._ceiling(last.k, self.panel))
        self.units = code.at(self.panels, code.mul(panel_count, _panel_size(self.panel)))
        self.sums = code.at(self.units, UNITS * _unit_size(unit))
        count = self._ceiling(self.m, unit)
        divide = code.b.sdiv
        self.first_unit = divide(code.mul(count, thread), head.threads)
        self.last_unit = divide(code.mul(count, code.add(thread, 1)), head.threads)

    def emit(self) -> None:
        code = self.code
        zero = integer(0)
        until = code.add(self.n, DEPTH - 1)
        code.loop(zero, until, DEPTH, self._slab)
        code.b.ret_void()

    def _right(self, number: ir.Value) -> _Right:
        """What the argument block says of one b, `(n, k)`."""
        code = self.code
        block, after_head = code.function.args[0], len(_Head._fields)
        return load(code, place_of(code, block, _Right, after_head, number), _Right)

    def _each_right(self, body: Callable[[_Right], None]) -> None:
        self.code.loop(integer(0), self.head.rights, 1, lambda number: body(self._right(number)))

    def _ceiling(self, value: ir.Value, unit: int) -> ir.Value:
        """How many units cover a size, one number."""
        return self.code.b.sdiv(self.code.add(value, unit - 1), integer(unit))

    def _slab(self, n0: ir.Value) -> None:
        """What `DEPTH` rows of a, `(n, m)`, and of every b, `(n, k)`, add to the results,
        `(m, k)`."""
        code = self.code
        self.n0 = n0
        self.depth = code.minimum(code.b.sub(self.n, n0), integer(DEPTH))
        self._each_right(lambda right: self._pack(
            right.b, right.stride, right.k, self.panel,
            integer(0), self._ceiling(right.k, self.panel),
            self._panels_of(right), _panel_size(self.panel),
        ))  # fmt: skip

        def block(u0: ir.Value) -> None:
            u1 = code.minimum(code.add(u0, UNITS), self.last_unit)
            self._pack(self.head.a, self.head.stride, self.m, self.unit, u0, u1,
                       self.units, _unit_size(self.unit))  # fmt: skip
            count = code.b.sub(u1, u0)
            self._each_right(lambda right: code.loop(
                integer(0), self._ceiling(right.k, self.panel), 1, lambda j: code.loop(
                    integer(0), count, 1, lambda u: self._tile(right, u0, u, j)
                )
            ))  # fmt: skip

        code.loop(self.first_unit, code.add(self.last_unit, UNITS - 1), UNITS, block)

    def _panels_of(self, right: _Right) -> ir.Value:
        """Where the packed panels of one b begin, `[panel][depth][width]`."""
        return self.code.at(self.panels, self.code.mul(right.first, _panel_size(self.panel)))

    def _pack(
        self, source: ir.Value, stride: ir.Value, columns: ir.Value, width: int,
        begin: ir.Value, end: ir.Value, goal: ir.Value, size: int,
    ) -> None:  # fmt: skip
        """Column groups `begin : end` of `width` columns, each as `[depth][width]`, zeros beyond
        the last column."""
        code, b = self.code, self.code.b
        kind = ir.VectorType(code.element, width)

        def row(at: ir.Value) -> None:
            start = code.mul(code.add(self.n0, at), stride)

            def group(index: ir.Value) -> None:
                column = code.mul(index, width)
                place = code.add(code.mul(b.sub(index, begin), size), code.mul(at, width))

                def whole() -> None:
                    value = b.load(
                        code.at(source, code.add(start, column)), typ=kind, align=code.align
                    )
                    b.store(value, code.at(goal, place), align=code.align)

                def copy(lane: int) -> None:
                    value = code.load_scalar(source, code.add(start, column, lane))
                    b.store(value, code.at(goal, code.add(place, lane)), align=code.align)

                def part() -> None:
                    zero = ir.Constant(code.element, 0.0)
                    for lane in range(width):
                        b.store(zero, code.at(goal, code.add(place, lane)), align=code.align)
                        real = b.icmp_signed("<", code.add(column, lane), columns)
                        code.when(real, partial(copy, lane))

                ahead = code.add(start, column, code.mul(stride, AHEAD))
                for lane in range(0, width, 64 // code.align):  # the lines of a group
                    code.prefetch(source, code.add(ahead, lane))
                fits = b.icmp_signed("<=", code.add(column, width), columns)
                code.when(fits, whole)
                code.when(b.not_(fits), part)

            code.loop(begin, end, 1, group)

        code.loop(integer(0), self.depth, 1, row)

    def _tile(self, right: _Right, u0: ir.Value, u: ir.Value, j: ir.Value) -> None:
        """One unit of a, `[depth][unit]`, with one panel of b, `[depth][panel]`: a tile
        `(unit, panel)`, added to the result."""
        code, b = self.code, self.code.b
        totals = self._totals(
            code.at(self.units, code.mul(u, _unit_size(self.unit))),
            code.at(self._panels_of(right), code.mul(j, _panel_size(self.panel))),
        )
        row, column = code.mul(code.add(u0, u), self.unit), code.mul(j, self.panel)
        first = b.icmp_signed("==", code.add(self.n0, self.head.done), integer(0))
        inside = b.and_(
            b.icmp_signed("<=", code.add(row, self.unit), self.m),
            b.icmp_signed("<=", code.add(column, self.panel), right.k),
        )

        def whole() -> None:
            zero = ir.Constant(code.vector, [0.0] * code.lanes)
            for r in range(self.unit):
                start = code.add(code.mul(code.add(row, r), right.k), column)
                for v in range(VECTORS):
                    place = code.add(start, v * code.lanes)
                    before = b.select(first, zero, code.load(right.c, place))
                    code.store(b.fadd(before, totals[r][v]), right.c, place)

        def part() -> None:
            for r in range(self.unit):
                for v in range(VECTORS):
                    code.store(totals[r][v], self.sums, r * self.panel + v * code.lanes)
            rows = code.minimum(b.sub(self.m, row), integer(self.unit))
            columns = code.minimum(b.sub(right.k, column), integer(self.panel))
            zero = ir.Constant(code.element, 0.0)

            def element(r: ir.Value, i: ir.Value) -> None:
                place = code.add(code.mul(code.add(row, r), right.k), column, i)
                before = b.select(first, zero, code.load_scalar(right.c, place))
                new = code.load_scalar(self.sums, code.add(code.mul(r, self.panel), i))
                b.store(b.fadd(before, new), code.at(right.c, place), align=code.align)

            code.loop(integer(0), rows, 1, lambda r: code.loop(
                integer(0), columns, 1, lambda i: element(r, i)
            ))  # fmt: skip

        code.when(inside, whole)
        code.when(b.not_(inside), part)

    def _totals(self, unit: ir.Value, panel: ir.Value) -> list[list[ir.Value]]:
        """Sums over the slab of unit[n][r] * panel[n][v], by r and then v: vectors of `lanes`
        columns."""
        code, b = self.code, self.code.b
        zero = ir.Constant(code.vector, [0.0] * code.lanes)

        def step(at: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
            place = code.mul(at, self.panel)
            row = [code.load(panel, code.add(place, v * code.lanes)) for v in range(VECTORS)]
            left = code.mul(at, self.unit)
            found = []
            for r in range(self.unit):
                factor = code.splat(code.load_scalar(unit, code.add(left, r)))
                found += [fma(b, factor, row[v], sums[r * VECTORS + v]) for v in range(VECTORS)]
            return found

        totals = code.fold(self.depth, [zero] * (self.unit * VECTORS), step)
        return [totals[r * VECTORS : (r + 1) * VECTORS] for r in range(self.unit)]

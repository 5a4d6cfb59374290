"""The product of some rows with a tile of packed weights: the inner loop of everything.

A tile is `vectors` vectors wide. Its sums for several rows are held in registers while k runs over
the rows' elements, so a weight that was loaded serves them all. Every variant adds in the order of
k, so a row's result does not depend on which rows stand beside it.

There is one for each width of a tile, dtype and kind of processor. All row programs call the same
ones, so that a process compiles each of them once.
"""

from dataclasses import dataclass
from typing import Any

import llvmlite.ir as ir

from elman.engine.llvm.builder import I64, POINTER, VOID, Code, integer
from elman.engine.llvm.jit import Processor, offer
from elman.engine.llvm.math import fma

_SIGNATURE = ir.FunctionType(VOID, [POINTER, I64, I64, POINTER, POINTER, I64, I64])


def widest_tile(registers: int) -> int:
    """Vectors of a tile such that some rows' sums fit in the registers beside a row of weights."""
    return 6 if registers >= 32 else 4


@dataclass(frozen=True)
class Variant:
    """So many rows together, and the tile in parts of so many vectors, to fit the registers."""

    rows: int
    part: int


def variants_of(vectors: int, registers: int) -> list[Variant]:
    """Many rows with narrow parts first: what is loaded of the weights then serves most rows. The
    last ones, for few rows, take whole tiles, so that enough sums are under way at once."""
    large = 12 if registers >= 32 else 6
    few = (4, 2, 1) if registers >= 32 else (2, 1)
    narrow = min(vectors, 2)
    return [
        Variant(large, narrow), Variant(large // 3 * 2, narrow), *(Variant(n, vectors) for n in few)
    ]  # fmt: skip


def product(module: ir.Module, element: ir.Type, vectors: int, processor: Processor) -> ir.Function:
    """`product(left, left_stride, k, weights, sums, sums_stride, rows)`, all in elements, for a
    module to call.

    left: row r begins at left + r * left_stride. weights: `[k][vectors][lanes]`. sums: row r, of
    `vectors * lanes` elements, is written at sums + r * sums_stride.
    """
    name = _name(element, vectors, processor)
    known = module.globals.get(name)
    if known is None:
        known = ir.Function(module, _SIGNATURE, name)
        offer(name, lambda: str(emit_product(element, vectors, processor)))
    return known


def _name(element: ir.Type, vectors: int, processor: Processor) -> str:
    """All that the code depends on, since modules find it by its name."""
    return f"elman_product_{element}_{vectors}_of_{processor.vector_bytes}_{processor.registers}"


def emit_product(element: ir.Type, vectors: int, processor: Processor) -> ir.Module:
    """A module with nothing but the product."""
    module = ir.Module()
    module.triple = processor.triple
    function = ir.Function(module, _SIGNATURE, _name(element, vectors, processor))
    lanes = processor.vector_bytes // (8 if isinstance(element, ir.DoubleType) else 4)
    code, rows = Code(function, element, lanes), function.args[-1]
    row: ir.Value = integer(0)
    first, second, *few = variants_of(vectors, processor.registers)

    def run(row: ir.Value, end: ir.Value, variant: Variant) -> ir.Value:
        def block(at: ir.Value) -> None:
            for start in range(0, vectors, variant.part):
                part = range(start, min(start + variant.part, vectors))
                _block(code, function.args, at, variant.rows, part, vectors)

        return code.loop(row, end, variant.rows, block)

    row = run(row, _share_of_second(code, rows, first.rows), second)
    for variant in (first, *few):
        row = run(row, rows, variant)
    code.b.ret_void()
    return module


def _share_of_second(code: Code, rows: ir.Value, large: int) -> ir.Value:
    """How many rows, one number, run 2/3 `large` together so that the others, but for a few, come
    out as multiples of `large`: 16 = 8 + 8, 20 = 8 + 12, 32 = 8 + 12 + 12."""
    b, third = code.b, large // 3
    thirds = b.sdiv(rows, integer(third))
    times = b.srem(b.sub(integer(3), b.srem(thirds, integer(3))), integer(3))
    wanted = code.mul(times, 2 * third)
    return b.select(b.icmp_signed("<=", wanted, rows), wanted, integer(0))


def _block(
    code: Code, arguments: tuple[Any, ...], row: ir.Value, rows: int, part: range, vectors: int
) -> None:
    """Sums of some rows, from `row` on, with some of a tile's vectors, `[row][vector][lane]`."""
    left, left_stride, k, weights, sums, sums_stride, _ = arguments
    lefts = [code.at(left, code.mul(code.add(row, r), left_stride)) for r in range(rows)]
    totals = _sums(code, lefts, k, weights, part, vectors)
    for r in range(rows):
        place = code.mul(code.add(row, r), sums_stride)
        for v, total in zip(part, totals[r], strict=True):
            code.store(total, sums, code.add(place, v * code.lanes))


def _sums(
    code: Code, lefts: list[ir.Value], k: ir.Value, weights: ir.Value, part: range, vectors: int
) -> list[list[ir.Value]]:
    """Sums over k of left[r][k] * weights[k][v], for every row r and vector v of the part: by r and
    then v, vectors of `lanes` columns."""
    width = len(part)
    zero = ir.Constant(code.vector, [0.0] * code.lanes)

    def step(index: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
        place = code.mul(index, vectors * code.lanes)
        row = [code.load(weights, code.add(place, v * code.lanes)) for v in part]
        found = []
        for r, left in enumerate(lefts):
            factor = code.splat(code.load_scalar(left, index))
            mine = sums[r * width : (r + 1) * width]
            found += [fma(code.b, factor, w, s) for w, s in zip(row, mine, strict=True)]
        return found

    totals = code.fold(k, [zero] * (len(lefts) * width), step)
    return [totals[r * width : (r + 1) * width] for r in range(len(lefts))]

"""The product of some rows with a tile of packed weights: the inner loop of everything.

A tile is `vectors` vectors wide. Its sums for several rows are held in registers while k runs over
the rows' elements, so a weight that was loaded serves them all. Every variant adds in the order of
k, so a row's result does not depend on which rows stand beside it.
"""

import llvmlite.ir as ir

from elman.engine.llvm.builder import I64, POINTER, VOID, Code, integer
from elman.engine.llvm.math import fma


def widest_tile(registers: int) -> int:
    """Vectors of a tile such that some rows' sums fit in the registers beside a row of weights."""
    return 6 if registers >= 32 else 4


def row_variants(vectors: int, registers: int) -> list[int]:
    """Numbers of rows that are computed together, largest first."""
    fits = [n for n in (8, 4, 2, 1) if n * vectors + vectors + 1 <= registers - 1]
    return [n for n in fits if n * vectors <= 24] or [1]


def emit_product(
    module: ir.Module, element: ir.Type, lanes: int, vectors: int, registers: int
) -> ir.Function:
    """`product(left, left_stride, k, weights, sums, sums_stride, rows)`, all in elements.

    left: row r begins at left + r * left_stride. weights: `[k][vectors][lanes]`. sums: row r, of
    `vectors * lanes` elements, is written at sums + r * sums_stride.
    """
    name = f"product_{vectors}"
    known = module.globals.get(name)
    if known is not None:
        return known
    signature = ir.FunctionType(VOID, [POINTER, I64, I64, POINTER, POINTER, I64, I64])
    function = ir.Function(module, signature, name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    left, left_stride, k, weights, sums, sums_stride, rows = function.args
    code = Code(function, element, lanes)
    row: ir.Value = integer(0)
    for together in row_variants(vectors, registers):

        def block(at: ir.Value, together: int = together) -> None:
            lefts = [code.at(left, code.mul(code.add(at, r), left_stride)) for r in range(together)]
            totals = _sums(code, lefts, k, weights, vectors)
            for r in range(together):
                place = code.mul(code.add(at, r), sums_stride)
                for v in range(vectors):
                    code.store(totals[r][v], sums, code.add(place, v * lanes))

        row = code.loop(row, rows, together, block)
    code.b.ret_void()
    return function


def _sums(
    code: Code, lefts: list[ir.Value], k: ir.Value, weights: ir.Value, vectors: int
) -> list[list[ir.Value]]:
    """Sums over k of left[r][k] * weights[k][v], for every row r and vector v."""
    zero = ir.Constant(code.vector, [0.0] * code.lanes)

    def step(index: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
        place = code.mul(index, vectors * code.lanes)
        row = [code.load(weights, code.add(place, v * code.lanes)) for v in range(vectors)]
        found = []
        for r, left in enumerate(lefts):
            factor = code.splat(code.load_scalar(left, index))
            mine = sums[r * vectors : (r + 1) * vectors]
            found += [fma(code.b, factor, w, s) for w, s in zip(row, mine, strict=True)]
        return found

    totals = code.fold(k, [zero] * (len(lefts) * vectors), step)
    return [totals[r * vectors : (r + 1) * vectors] for r in range(len(lefts))]

"""What a block computes for one row at one vector of columns.

Values are looked up lazily, each once, so that everything elementwise between two products stays in
registers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import llvmlite.ir as ir

from elman.engine.graph.operations import NEUTRAL
from elman.engine.llvm import math
from elman.engine.llvm.arguments import Loaded
from elman.engine.llvm.builder import Code, integer
from elman.engine.llvm.geometry import Geometry, Tiling
from elman.engine.program.row_program import (
    Carried,
    Constant,
    Input,
    Op,
    Pointwise,
    Product,
    Reduce,
    RowProgram,
    Vector,
)
from elman.engine.program.stages import Piece, Place, looked_up


@dataclass(frozen=True)
class Values:
    """Where a loop's values are found, the same for all rows.

    is_loaded(op, level, width): whether a block of that level and width reads an op from scratch.
    """

    code: Code
    program: RowProgram
    geometry: Geometry
    is_loaded: Callable[[int, int, int], bool]
    given: Loaded
    scratch: ir.Value


@dataclass(frozen=True)
class Spot:
    """One row at one vector of columns.

    r: the row's number in its group; row: in the state; stream_row: in streams. at: the first
    column within the block's domain; within: the same within the tile. count: how many lanes are
    real, None for all.
    """

    r: ir.Value
    row: ir.Value
    stream_row: ir.Value
    at: ir.Value
    within: ir.Value
    count: int | None


class Elements:
    """The values of one row at one vector of columns."""

    def __init__(self, values: Values, tiling: Tiling, spot: Spot) -> None:
        self.values, self.spot = values, spot
        self.code = values.code
        self.tiling = tiling
        self.block = tiling.block
        self._accumulators = tiling.accumulator_of()
        self._known: dict[Place, ir.Value] = {}

    def emit(self) -> None:
        """Compute all pieces of the block, one vector of `lanes` columns each, and write them."""
        # All values before any store: the compiler can't know that they don't overlap.
        values = [(piece, self._value(piece.place)) for piece in self.block.pieces]
        for piece, value in values:
            self._put(piece, value)

    def _value(self, place: Place) -> ir.Value:
        """A value's vector of `lanes` columns, after all that it is computed from."""
        stack = [place]
        while stack:  # not by recursion: a step may be a long chain
            current = stack[-1]
            missing = [] if current in self._known else [
                source for source in self._sources(current) if source not in self._known
            ]  # fmt: skip
            if missing:
                stack += missing
                continue
            stack.pop()
            if current not in self._known:
                self._known[current] = self._computed(current)
        return self._known[place]

    def _sources(self, place: Place) -> list[Place]:
        if self.values.is_loaded(place[0], self.block.level, self.block.width):
            return []
        return looked_up(self.values.program.ops, place)

    def _computed(self, place: Place) -> ir.Value:
        """A value's vector of `lanes` columns: read from memory, or computed from known ones."""
        values, given, code = self.values, self.values.given, self.code
        index, offset = place
        op = values.program.ops[index]
        if values.is_loaded(index, self.block.level, self.block.width):
            start, stride = values.geometry.kept[index]
            return self._read(
                op, values.scratch, code.add(code.row(self.spot.r, stride), start), offset
            )
        match op:
            case Constant(value=value):
                return ir.Constant(code.vector, [value] * code.lanes)
            case Vector(index=number):
                return self._read(op, given.vectors[number], integer(0), offset)
            case Input(index=number):
                pointer, stride = given.inputs[number]
                return self._read(op, pointer, code.row(self.spot.stream_row, stride), offset)
            case Carried(index=number):
                row = code.row(self.spot.row, op.width)
                return self._read(op, given.state[number], row, offset)
            case Product():
                lane = self._accumulators[place] * self.tiling.vectors * code.lanes
                row = code.row(self.spot.r, values.geometry.sums_stride)
                place_of_sum = code.add(row, self.spot.within, values.geometry.sums + lane)
                return code.load(values.scratch, place_of_sum)
            case Pointwise(name=name):
                sources = looked_up(values.program.ops, place)
                return math.emit(name, code.b, [self._known[source] for source in sources])
        (source,) = looked_up(values.program.ops, place)
        return self._known[source]

    def _read(self, op: Op, pointer: ir.Value, row: ir.Value, offset: int) -> ir.Value:
        """This vector's columns of a row in memory, or its one number in every lane."""
        if self.block.width > 1 and op.width == 1:
            return self.code.splat(self.code.load_scalar(pointer, row))
        return self.code.load(pointer, self.code.add(row, self.spot.at, offset), self.spot.count)

    def _put(self, piece: Piece, value: ir.Value) -> None:
        """Write one vector of `lanes` columns to where the piece belongs, or its first `count`
        lanes."""
        values, code, target = self.values, self.code, piece.target
        match target.kind:
            case "output":
                pointer, stride = values.given.outputs[target.index]
                row = code.row(self.spot.stream_row, stride)
            case "next":
                offset, width = values.geometry.following[target.index]
                pointer, row = values.scratch, code.add(code.row(self.spot.r, width), offset)
            case "sum":
                start = values.geometry.group_totals + values.geometry.totals[target.index]
                place = code.add(self.spot.at, target.start, start)
                value = code.b.fadd(value, code.load(values.scratch, place, self.spot.count))
                code.store(value, values.scratch, place, self.spot.count)
                return
            case "scratch":
                offset, width = values.geometry.kept[target.index]
                pointer, row = values.scratch, code.add(code.row(self.spot.r, width), offset)
            case "reduce":
                self._accumulate(target.index, value)
                return
            case kind:
                raise ValueError(f"a piece can't go to {kind!r}")
        place = code.add(row, self.spot.at, target.start)
        code.store(value, pointer, place, self.spot.count)

    def _accumulate(self, index: int, value: ir.Value) -> None:
        """Join a vector with the row's partial results, `[row][lanes]`, lane by lane."""
        values, code, op = self.values, self.code, self.values.program.ops[index]
        assert isinstance(op, Reduce)
        if self.spot.count is not None:  # lanes that are not real must not count
            flags = [i < self.spot.count for i in range(code.lanes)]
            mask = ir.Constant(ir.VectorType(ir.IntType(1), code.lanes), flags)
            neutral = ir.Constant(code.vector, [NEUTRAL[op.name]] * code.lanes)
            value = code.b.select(mask, value, neutral)
        place = code.add(code.row(self.spot.r, code.lanes), values.geometry.partial[index])
        code.store(join(code, op, code.load(values.scratch, place), value), values.scratch, place)


def join(code: Code, op: Reduce, x: ir.Value, y: ir.Value) -> ir.Value:
    """Two partial results of a reduction, one vector each, as one, lane by lane."""
    return math.JOINS[op.name](code.b, x, y)

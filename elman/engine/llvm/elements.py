"""What a block computes for one row at one vector of columns.

Values are looked up lazily, each once, so that everything elementwise between two products stays in
registers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import llvmlite.ir as ir

from elman.engine.llvm import math
from elman.engine.llvm.builder import Code, integer
from elman.engine.llvm.geometry import Tiling
from elman.engine.program.row_program import (
    Carried,
    Constant,
    Input,
    Op,
    Pointwise,
    Product,
    Reduce,
    Vector,
)
from elman.engine.program.stages import Piece, Place, looked_up

if TYPE_CHECKING:
    from elman.engine.llvm.emit import Loops


class Elements:
    """The values of one row at one vector of columns.

    at: the first column within the block's domain. within: the same within the tile. count: how
    many lanes are real, None for all.
    """

    def __init__(
        self, body: Loops, tiling: Tiling, r: ir.Value, at: ir.Value, within: ir.Value,
        count: int | None,
    ) -> None:  # fmt: skip
        self.body = body
        self.code = body.code
        self.tiling = tiling
        self.block = tiling.block
        self.r, self.at, self.within, self.count = r, at, within, count
        self._accumulators = tiling.accumulator_of()
        self._known: dict[Place, ir.Value] = {}

    def emit(self) -> None:
        # All values before any store: the compiler can't know that they don't overlap.
        values = [(piece, self._value(piece.place)) for piece in self.block.pieces]
        for piece, value in values:
            self._put(piece, value)

    def _value(self, place: Place) -> ir.Value:
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
        if self.body.is_loaded(place[0], self.block.level, self.block.width):
            return []
        return looked_up(self.body.program.ops, place)

    def _computed(self, place: Place) -> ir.Value:
        body, code = self.body, self.code
        index, offset = place
        op = body.program.ops[index]
        if body.is_loaded(index, self.block.level, self.block.width):
            start, stride = body.geometry.kept[index]
            return self._read(op, body.scratch, code.add(code.row(self.r, stride), start), offset)
        match op:
            case Constant(value=value):
                return ir.Constant(code.vector, [value] * code.lanes)
            case Vector(index=number):
                return self._read(op, body.vectors[number], integer(0), offset)
            case Input(index=number):
                pointer, stride = body.inputs[number]
                return self._read(op, pointer, code.row(self._stream_row(), stride), offset)
            case Carried(index=number):
                row = code.row(code.add(body.first, self.r), op.width)
                return self._read(op, body.state[number], row, offset)
            case Product():
                lane = self._accumulators[place] * self.tiling.vectors * code.lanes
                row = code.row(self.r, body.geometry.sums_stride)
                place_of_sum = code.add(row, self.within, body.geometry.sums + lane)
                return code.load(body.scratch, place_of_sum)
            case Pointwise(name=name):
                sources = looked_up(body.program.ops, place)
                return math.emit(name, code.b, [self._known[source] for source in sources])
        (source,) = looked_up(body.program.ops, place)
        return self._known[source]

    def _read(self, op: Op, pointer: ir.Value, row: ir.Value, offset: int) -> ir.Value:
        """This vector's columns of a row in memory, or its one number in every lane."""
        if self.block.width > 1 and op.width == 1:
            return self.code.splat(self.code.load_scalar(pointer, row))
        return self.code.load(pointer, self.code.add(row, self.at, offset), self.count)

    def _stream_row(self) -> ir.Value:
        return self.code.add(self.body.base, self.body.first, self.r)

    def _put(self, piece: Piece, value: ir.Value) -> None:
        body, code, target = self.body, self.code, piece.target
        match target.kind:
            case "output":
                pointer, stride = body.outputs[target.index]
                row = code.row(self._stream_row(), stride)
            case "next":
                offset, width = body.geometry.following[target.index]
                pointer, row = body.scratch, code.add(code.row(self.r, width), offset)
            case "sum":
                start = body.geometry.group_totals + body.geometry.totals[target.index]
                place = code.add(self.at, target.start, start)
                value = code.b.fadd(value, code.load(body.scratch, place, self.count))
                code.store(value, body.scratch, place, self.count)
                return
            case "scratch":
                offset, width = body.geometry.kept[target.index]
                pointer, row = body.scratch, code.add(code.row(self.r, width), offset)
            case "reduce":
                self._accumulate(target.index, value)
                return
            case kind:
                raise ValueError(f"a piece can't go to {kind!r}")
        place = code.add(row, self.at, target.start)
        code.store(value, pointer, place, self.count)

    def _accumulate(self, index: int, value: ir.Value) -> None:
        body, code, op = self.body, self.code, self.body.program.ops[index]
        assert isinstance(op, Reduce)
        if self.count is not None:  # lanes that are not real must not count
            flags = [i < self.count for i in range(code.lanes)]
            mask = ir.Constant(ir.VectorType(ir.IntType(1), code.lanes), flags)
            neutral = ir.Constant(code.vector, [identity(op)] * code.lanes)
            value = code.b.select(mask, value, neutral)
        place = code.add(code.row(self.r, code.lanes), body.geometry.partial[index])
        code.store(join(code, op, code.load(body.scratch, place), value), body.scratch, place)


def identity(op: Reduce) -> float:
    """The number that changes no result of the reduction."""
    return {"sum": 0.0, "amax": float("-inf"), "amin": float("inf")}[op.name]


def join(code: Code, op: Reduce, x: ir.Value, y: ir.Value) -> ir.Value:
    """Two partial results of a reduction as one, lane by lane."""
    if op.name == "sum":
        return code.b.fadd(x, y)
    return math.intrinsic(code.b, "maximum" if op.name == "amax" else "minimum", x, y)

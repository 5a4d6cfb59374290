"""A row program as a module of LLVM IR.

    all(data)            asks OpenMP for the thread's number and calls `one`
    one(data, thread)    takes the thread's rows, GROUP at a time, through all time steps

For each group of rows: for each time step: for each stage: for each block: for each tile of
columns: first the products of all rows with the tile's weights, then, row by row, everything
elementwise. Threads never wait for one another.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import llvmlite.ir as ir
import torch

from elman.engine.graph.operations import NEUTRAL
from elman.engine.llvm.arguments import RESET_AFTER, RESET_BEFORE, loaded
from elman.engine.llvm.builder import I8, I32, I64, POINTER, VOID, Code, integer
from elman.engine.llvm.elements import Elements, Spot, Values, join
from elman.engine.llvm.geometry import GROUP, Geometry, Tiling, geometry_of
from elman.engine.llvm.jit import Processor
from elman.engine.llvm.product import product
from elman.engine.llvm.threads import add_entry
from elman.engine.program.row_program import Carried, Input, Reduce, RowProgram, Slice
from elman.engine.program.stages import Block, Stage, stages_of


@dataclass
class Emitted:
    text: str
    geometry: Geometry


def emit_module(program: RowProgram, processor: Processor) -> Emitted:
    """The module's text, and the sizes that a caller has to provide for."""
    module = ir.Module()
    module.triple = processor.triple
    lanes = processor.lanes(program.dtype.itemsize)
    stages = stages_of(program)
    geometry = geometry_of(program, stages, lanes, processor.registers)
    element = ir.DoubleType() if program.dtype == torch.float64 else ir.FloatType()
    one = ir.Function(module, ir.FunctionType(VOID, [POINTER, I64]), "one")
    body = Loops(one, element, program, geometry, processor, stages.is_loaded)
    body.emit(stages.stages)
    add_entry(module, one)
    return Emitted(str(module), geometry)


class Loops:
    """Writes `one`."""

    def __init__(
        self, function: ir.Function, element: ir.Type, program: RowProgram, geometry: Geometry,
        processor: Processor, is_loaded: Callable[[int, int, int], bool],
    ) -> None:  # fmt: skip
        self.code = code = Code(function, element, geometry.lanes)
        self.program = program
        self.geometry = geometry
        self.processor = processor
        block, thread = function.args
        self.given = given = loaded(code, block, program)
        head = given.head
        self.begin = self._word(head.bounds, thread)
        self.end = self._word(head.bounds, code.add(thread, 1))
        self.scratch = code.at(head.scratch, code.mul(thread, head.scratch_size))
        share = code.mul(thread, geometry.totals[-1])
        self.totals = code.at(given.sums, share) if program.sums else None
        self.values = Values(code, program, geometry, is_loaded, given, self.scratch)

    def _word(self, pointer: ir.Value, index: ir.Value) -> ir.Value:
        """The 64-bit integer `index` of an array, one number."""
        place = self.code.b.gep(pointer, [index], source_etype=I64)
        return self.code.b.load(place, typ=I64, align=8)

    # Loops around the stages.

    def emit(self, stages: list[Stage]) -> None:
        code = self.code
        starts = code.add(self.end, GROUP - 1)  # so that a last, smaller group is run, too

        def group(first: ir.Value) -> None:
            self.first = first
            self.last = code.minimum(code.add(first, GROUP), self.end)
            self._each_total(lambda at: self._clear(code.at(self.scratch, at), totals))
            code.loop(integer(0), self.given.head.steps, 1, lambda index: self._step(index, stages))
            self._each_total(add_up)

        # Sums of sums: what is added to a number then never is much smaller than it.
        totals = self.geometry.group_totals

        def add_up(at: ir.Value) -> None:
            of_group = code.load(self.scratch, code.add(at, totals))
            code.store(code.b.fadd(code.load(self.totals, at), of_group), self.totals, at)

        self._each_total(lambda at: self._clear(code.at(self.totals, at), 0))
        code.loop(self.begin, starts, GROUP, group)
        code.b.ret_void()

    def _each_total(self, body: Callable[[ir.Value], None]) -> None:
        """`body(at)` for every vector of a block of sums, whose size is `totals[-1]`."""
        if self.program.sums:
            size = integer(self.geometry.totals[-1])
            self.code.loop(integer(0), size, self.code.lanes, body)

    def _clear(self, pointer: ir.Value, offset: int) -> None:
        """Zeros in one vector of memory."""
        zero = ir.Constant(self.code.vector, [0.0] * self.code.lanes)
        self.code.store(zero, pointer, offset)

    def _step(self, index: ir.Value, stages: list[Stage]) -> None:
        """One time step of the group's active rows; index: one number, counted in running order."""
        code, b = self.code, self.code.b
        from_end = b.sub(b.sub(self.given.head.steps, integer(1)), index)
        t = b.select(b.icmp_signed("!=", self.given.head.backwards, integer(0)), from_end, index)
        self.base = self._word(self.given.head.offsets, t)
        active = b.sub(self._word(self.given.head.offsets, code.add(t, 1)), self.base)
        last = code.minimum(self.last, active)
        self.rows = b.sub(last, self.first)

        def run() -> None:
            self._reset(RESET_BEFORE, self._take_reset_value)
            for stage in stages:
                self._stage(stage)
            self._advance()
            self._reset(RESET_AFTER, self._give_to_reset_value)

        code.when(b.icmp_signed(">", self.rows, integer(0)), run)

    def _each_row(self, body: Callable[[ir.Value], None]) -> None:
        """`body(r)` for every row of the group that is active, r counting from 0."""
        self.code.loop(integer(0), self.rows, 1, body)

    def _columns(self, width: int, body: Callable[[ir.Value | int, int | None], None]) -> None:
        """`body(column, count)` for whole vectors (count None) and the rest of a row."""
        lanes = self.code.lanes
        whole = width // lanes * lanes
        if whole:
            self.code.loop(integer(0), integer(whole), lanes, lambda at: body(at, None))
        if width > whole:
            body(whole, width - whole)

    # State.

    def _advance(self) -> None:
        """The next state, computed aside because others still looked up the old one, moves in."""
        code = self.code
        for slot in self.program.moving:
            width = self.program.carried[slot]
            offset, stride = self.geometry.following[slot]

            def move(
                r: ir.Value, slot: int = slot, width: int = width, offset: int = offset,
                stride: int = stride,
            ) -> None:  # fmt: skip
                source = code.add(code.row(r, stride), offset)
                goal = code.row(code.add(self.first, r), width)
                self._columns(width, lambda at, count: self.code.store(
                    self.code.load(self.scratch, code.add(source, at), count),
                    self.given.state[slot], code.add(goal, at), count,
                ))  # fmt: skip

            self._each_row(move)

    def _reset(
        self, kind: int, act: Callable[[int, ir.Value, ir.Value | int, int | None], None]
    ) -> None:
        """Rows whose mask, `(N,)`, is set, if resets of this kind were asked for."""
        if not self.program.carried:
            return
        code, b = self.code, self.code.b

        def row(r: ir.Value) -> None:
            place = code.add(self.base, self.first, r)
            flag = b.load(
                b.gep(self.given.head.reset_mask, [place], source_etype=I8), typ=I8, align=1
            )
            b_true = b.icmp_unsigned("!=", flag, ir.Constant(I8, 0))

            def all_leaves() -> None:
                for slot, width in enumerate(self.program.carried):
                    start = code.row(code.add(self.first, r), width)
                    self._columns(width, partial(act, slot, start))

            code.when(b_true, all_leaves)

        wanted = b.icmp_signed("==", self.given.head.reset_kind, integer(kind))
        code.when(wanted, lambda: self._each_row(row))

    def _take_reset_value(
        self, slot: int, row: ir.Value, at: ir.Value | int, count: int | None
    ) -> None:
        """One vector of a row moves from the reset value, `(B, W)`, to the state, `(B, W)`."""
        place = self.code.add(row, at)
        self.code.store(
            self.code.load(self.given.resets[slot], place, count),
            self.given.state[slot],
            place,
            count,
        )

    def _give_to_reset_value(
        self, slot: int, row: ir.Value, at: ir.Value | int, count: int | None
    ) -> None:
        """One vector of a row of the state, `(B, W)`, is added to the reset value, `(B, W)`, and
        becomes zero."""
        place = self.code.add(row, at)
        leaving = self.code.load(self.given.state[slot], place, count)
        total = self.code.b.fadd(self.code.load(self.given.resets[slot], place, count), leaving)
        self.code.store(total, self.given.resets[slot], place, count)
        zero = ir.Constant(self.code.vector, [0.0] * self.code.lanes)
        self.code.store(zero, self.given.state[slot], place, count)

    # One stage.

    def _stage(self, stage: Stage) -> None:
        for index in stage.finish:
            self._finish(index)
        reductions = {
            piece.target.index
            for block in stage.blocks for piece in block.pieces if piece.target.kind == "reduce"
        }  # fmt: skip
        for index in sorted(reductions):
            self._begin_reduction(index)
        for block in stage.blocks:
            self._block(block)

    def _begin_reduction(self, index: int) -> None:
        op = self.program.ops[index]
        assert isinstance(op, Reduce)
        start = ir.Constant(self.code.vector, [NEUTRAL[op.name]] * self.code.lanes)
        offset, lanes = self.geometry.partial[index], self.code.lanes
        self._each_row(lambda r: self.code.store(
            start, self.scratch, self.code.add(self.code.row(r, lanes), offset)
        ))  # fmt: skip

    def _finish(self, index: int) -> None:
        """The lanes of a reduction joined in a fixed order, halves with halves."""
        code, op = self.code, self.program.ops[index]
        assert isinstance(op, Reduce)
        offset, (kept, _) = self.geometry.partial[index], self.geometry.kept[index]

        def row(r: ir.Value) -> None:
            value = code.load(self.scratch, code.add(code.row(r, code.lanes), offset))
            width = code.lanes
            undefined = ir.Constant(code.vector, ir.Undefined)
            while width > 1:
                width //= 2
                order = [(i + width) % code.lanes for i in range(code.lanes)]
                mask = ir.Constant(ir.VectorType(I32, code.lanes), order)
                value = join(code, op, value, code.b.shuffle_vector(value, undefined, mask))
            result = code.b.extract_element(value, ir.Constant(I32, 0))
            code.b.store(result, code.at(self.scratch, code.add(r, kept)), align=code.align)

        self._each_row(row)

    def _block(self, block: Block) -> None:
        tiling = self.geometry.tilings[id(block)]
        columns = tiling.vectors * self.code.lanes

        def tile(j: ir.Value) -> None:
            for one in tiling.accumulations:
                self._product(tiling, one, j)
            start = self.code.mul(j, columns)
            self._each_row(lambda r: self._row_of_tile(tiling, r, start))

        self.code.loop(integer(0), integer(tiling.tiles), 1, tile)

    def _product(self, tiling: Tiling, one: Any, j: ir.Value) -> None:
        """One accumulation for tile j of all active rows: `[row][accumulator][vector][lane]` of
        sums."""
        code, geometry = self.code, self.geometry
        vectors = len(one.places) * tiling.vectors
        function = product(code.b.module, code.element, vectors, self.processor)
        size = one.k * vectors * code.lanes
        weights = code.at(self.given.head.weights, code.add(code.mul(j, size), one.weights))
        sums = code.at(self.scratch, geometry.sums + one.first * tiling.vectors * code.lanes)
        left, stride = self._whole_row(one.left)
        code.b.call(function, [
            left, stride, integer(one.k), weights, sums, integer(geometry.sums_stride), self.rows,
        ])  # fmt: skip

    def _whole_row(self, index: int) -> tuple[ir.Value, ir.Value]:
        """Pointer to a value of the group's first row, `[row][width]`, and the distance of rows,
        one number each."""
        code, op, start = self.code, self.program.ops[index], 0
        if index in self.geometry.kept:
            offset, stride = self.geometry.kept[index]
            return code.at(self.scratch, offset), integer(stride)
        if isinstance(op, Slice):
            start, op = op.start, self.program.ops[op.arg]
        if isinstance(op, Input):
            pointer, distance = self.given.inputs[op.index]
            place = code.mul(code.add(self.base, self.first), distance)
            return code.at(pointer, code.add(place, start)), distance
        assert isinstance(op, Carried)
        width = self.program.carried[op.index]
        place = code.add(code.mul(self.first, width), start)
        return code.at(self.given.state[op.index], place), integer(width)

    def _row_of_tile(self, tiling: Tiling, r: ir.Value, start: ir.Value) -> None:
        """Everything elementwise of one row in one tile, vector by vector."""
        code, lanes, width = self.code, self.code.lanes, tiling.block.width
        whole = width // lanes * lanes
        if whole:
            last = code.minimum(code.add(start, tiling.vectors * lanes), integer(whole))

            def vector(at: ir.Value) -> None:
                self._elements(tiling, r, at, code.b.sub(at, start), None)

            code.loop(start, last, lanes, vector)
        if width > whole:
            rest = integer(whole)
            inside = code.b.icmp_signed("<=", start, rest)
            within = code.b.icmp_signed(
                "<", rest, code.add(start, tiling.vectors * lanes)
            )  # fmt: skip
            here = code.b.and_(inside, within)
            code.when(here, lambda: self._elements(
                tiling, r, rest, code.b.sub(rest, start), width - whole
            ))  # fmt: skip

    def _elements(
        self, tiling: Tiling, r: ir.Value, at: ir.Value, within: ir.Value, count: int | None
    ) -> None:
        """Everything elementwise of one row at one vector of columns, of which `count` lanes are
        real, or all if that is None."""
        row = self.code.add(self.first, r)
        spot = Spot(r, row, self.code.add(self.base, row), at, within, count)
        Elements(self.values, tiling, spot).emit()

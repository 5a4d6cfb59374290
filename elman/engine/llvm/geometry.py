"""Sizes: how blocks are cut into tiles, where packed weights and scratch values lie."""

from dataclasses import dataclass, field
from itertools import accumulate

from elman.engine.llvm.product import widest_tile
from elman.engine.program.row_program import Product, Reduce, RowProgram
from elman.engine.program.stages import Block, Place, Stages

GROUP = 32
"""Rows that run through all time steps together; their scratch memory stays in the cache."""


@dataclass(frozen=True)
class Accumulation:
    """Products of one block that share a left operand and one loop over k.

    places: one accumulator each. first: its number among the block's accumulators.
    weights: where its packed weights `[tile][k][accumulator][tile lanes]` begin, in elements.
    """

    left: int
    places: tuple[Place, ...]
    first: int
    k: int
    weights: int


@dataclass
class Tiling:
    """How one block is computed: `tiles` tiles of `vectors` vectors for each accumulator."""

    block: Block
    vectors: int
    tiles: int
    accumulations: list[Accumulation] = field(default_factory=list)

    @property
    def accumulators(self) -> int:
        return sum(len(one.places) for one in self.accumulations)

    def accumulator_of(self) -> dict[Place, int]:
        return {
            place: one.first + i for one in self.accumulations for i, place in enumerate(one.places)
        }


@dataclass
class Geometry:
    """tilings: by id of their block. packed: elements of all packed weights. Scratch offsets are in
    elements from the start of a thread's scratch memory, for GROUP rows each.

    sums: where a tile's products are put, for the elementwise code that follows them.
    totals: where the program's sums begin in a thread's block of them, whose size comes last;
    group_totals: where in scratch memory the same block of a group of rows is."""

    lanes: int
    tilings: dict[int, Tiling]
    packed: int
    kept: dict[int, tuple[int, int]]  # op: offset, row stride
    partial: dict[int, int]  # reduce: offset of [row][lanes]
    following: list[tuple[int, int]]  # next state: offset, row stride
    sums: int
    sums_stride: int
    totals: list[int]
    group_totals: int
    scratch: int


def geometry_of(program: RowProgram, stages: Stages, lanes: int, registers: int) -> Geometry:
    tilings: dict[int, Tiling] = {}
    packed = 0
    for stage in stages.stages:
        for block in stage.blocks:
            tiling, packed = _tiling(program, block, lanes, registers, packed)
            tilings[id(block)] = tiling
    position = 0

    def reserve(row: int) -> int:
        nonlocal position
        start, position = position, position + GROUP * row
        return start

    def padded(width: int) -> int:
        return -(-width // lanes) * lanes

    kept, partial = {}, {}
    for index in stages.scratch:
        row = 1 if program.ops[index].width == 1 else padded(program.ops[index].width)
        kept[index] = (reserve(row), row)
        if isinstance(program.ops[index], Reduce):
            partial[index] = reserve(lanes)
    following = [
        (reserve(padded(width)), padded(width)) if slot in program.moving else (0, 0)
        for slot, width in enumerate(program.carried)
    ]
    stride = max((t.accumulators * t.vectors * lanes for t in tilings.values()), default=0)
    sums = reserve(stride)
    totals = [0, *accumulate(padded(program.ops[index].width) for index in program.sums)]
    return Geometry(
        lanes, tilings, packed, kept, partial, following, sums, stride, totals, position,
        position + totals[-1] + lanes,
    )  # fmt: skip


def _tiling(
    program: RowProgram, block: Block, lanes: int, registers: int, packed: int
) -> tuple[Tiling, int]:
    limit = widest_tile(registers)
    whole = -(-block.width // lanes)  # vectors that cover the domain
    most = max((min(len(group), limit) for group in block.products), default=1)
    choices = range(1, max(1, min(limit // most, whole)) + 1)
    # The least padding; among equals the widest.
    vectors = min(choices, key=lambda n: (-(-whole // n) * n, -n))
    tiling = Tiling(block, vectors, -(-whole // vectors))
    per_pass = max(1, limit // vectors)
    for group in block.products:
        for start in range(0, len(group), per_pass):
            places = tuple(group[start : start + per_pass])
            op = program.ops[places[0][0]]
            assert isinstance(op, Product)
            k = program.ops[op.left].width
            tiling.accumulations.append(
                Accumulation(op.left, places, tiling.accumulators, k, packed)
            )
            packed += tiling.tiles * k * len(places) * vectors * lanes
    return tiling, packed

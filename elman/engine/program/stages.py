"""A row program cut into stages that can each run over all rows before the next one begins.

A product needs its whole left operand, and whatever uses a row reduction needs the whole row, so
these are the borders between stages. Within a stage values are computed lane by lane, in *blocks*:
a block covers a domain of so many columns, and every value in it is looked up as (op, offset), the
offset being where the domain begins within the value. The four gates of an LSTM are one product of
width 4 H, looked up at offsets 0, H, 2 H and 3 H in one block with a domain of H columns, so that
they meet in registers. Views thereby cost nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from elman.engine.program.row_program import (
    Carried,
    Cat,
    Constant,
    Input,
    Op,
    Pointwise,
    Product,
    Reduce,
    RowProgram,
    Slice,
    Vector,
)  # fmt: skip

Place = tuple[int, int]  # (op, offset)


@dataclass(frozen=True)
class Target:
    """Where a computed piece goes: columns `start : start + width` of a destination.

    kind: "output", "next" (the state after the step), "sum" (over rows), "scratch" (index is the op
    that is kept), or "reduce" (index is the reducing op, start is not used).
    """

    kind: str
    index: int
    start: int


@dataclass(frozen=True)
class Piece:
    """A value that a block computes, and where it goes."""

    place: Place
    target: Target


@dataclass
class Block:
    """Pieces with one domain. products: (op, offset) of every product that is looked up, grouped by
    left operand, so that a group shares its loop over k."""

    width: int
    level: int
    pieces: list[Piece]
    products: list[list[Place]] = field(default_factory=list)


@dataclass
class Stage:
    """finish: reductions whose row is complete, to be turned into one number for each row first."""

    finish: list[int]
    blocks: list[Block]


@dataclass
class Stages:
    """The stages, the ops that are kept in scratch memory between them, and the level of each op:
    the number of the stage that computes it.

    is_loaded(op, level, width): whether a block of that level and width reads the op from there.
    """

    stages: list[Stage]
    scratch: list[int]
    levels: dict[int, int]
    is_loaded: Callable[[int, int, int], bool]


def stages_of(program: RowProgram) -> Stages:
    return _Builder(program).build()


class _Builder:
    def __init__(self, program: RowProgram) -> None:
        self._ops = program.ops
        self._program = program
        self._live = self._reached()
        self._kept: set[int] = set()  # ops in scratch memory
        self._level: dict[int, int] = {}

    def build(self) -> Stages:
        """Levels and kept values depend on one another; both only grow, so repeat until still."""
        self._kept = {i for i in self._live if isinstance(self._ops[i], Reduce)}
        before = None
        while before != self._kept:
            before = set(self._kept)
            self._assign_levels()
            self._keep_what_crosses_levels()
        blocks = self._blocks()
        depth = max(blocks, default=0) + 1
        finish: dict[int, list[int]] = {}
        for index in sorted(self._live):
            if isinstance(self._ops[index], Reduce):
                finish.setdefault(self._level[index], []).append(index)
                depth = max(depth, self._level[index] + 1)
        stages = [Stage(finish.get(i, []), blocks.get(i, [])) for i in range(depth)]
        return Stages(stages, sorted(self._kept), self._level, self.is_loaded)

    # Levels.

    def _reached(self) -> set[int]:
        live: set[int] = set()
        stack = [*self._program.outputs, *self._program.next, *self._program.sums]
        while stack:
            index = stack.pop()
            if index not in live:
                live.add(index)
                stack.extend(arguments(self._ops[index]))
        return live

    def _assign_levels(self) -> None:
        """In which stage an op's value is computed."""
        self._level = {}
        for index in sorted(self._live):
            op = self._ops[index]
            if isinstance(op, Product):
                self._level[index] = self._complete(op.left)
            elif isinstance(op, Reduce):
                self._level[index] = self._level[op.arg] + 1
            else:
                self._level[index] = max((self._level[a] for a in arguments(op)), default=0)

    def _complete(self, index: int) -> int:
        """The first stage in which a whole row of the value lies in memory; keeps it if need be."""
        op = self._ops[index]
        if isinstance(op, Input | Carried):
            return 0
        if isinstance(op, Slice) and isinstance(self._ops[op.arg], Input | Carried):
            return 0
        self._kept.add(index)
        return self._level[index] + 1

    def _keep_what_crosses_levels(self) -> None:
        for index in self._live:
            if isinstance(self._ops[index], Product):
                continue
            stack = [(source, self._level[index]) for source in arguments(self._ops[index])]
            while stack:
                source, level = stack.pop()
                op = self._ops[source]
                if isinstance(op, Constant | Input | Carried | Vector) or source in self._kept:
                    continue
                single = op.width == 1 and self._ops[index].width > 1
                earlier = self._level[source] < level and isinstance(op, Product | Pointwise)
                if single or earlier:
                    self._kept.add(source)
                elif isinstance(op, Slice | Cat):
                    stack += [(inner, level) for inner in arguments(op)]

    # Blocks.

    def _blocks(self) -> dict[int, list[Block]]:
        """Blocks by level."""
        pieces = self._pieces()
        by_level: dict[int, list[Block]] = {}
        for level in sorted({level for level, _, _ in pieces}):
            here = [(width, piece) for at, width, piece in pieces if at == level]
            found: dict[int, Block] = {}
            for width, piece in self._aligned(here, level):
                found.setdefault(width, Block(width, level, [])).pieces.append(piece)
            # Single columns first: they are what wider blocks of the stage look up.
            by_level[level] = sorted(found.values(), key=lambda block: block.width)
            for block in by_level[level]:
                self._find_products(block)
        return by_level

    def _pieces(self) -> list[tuple[int, int, Piece]]:
        """(level, width, piece) of everything that must reach memory."""
        wanted = [(i, self._level[i], Target("output", slot, 0))
                  for slot, i in enumerate(self._program.outputs)]  # fmt: skip
        following = self._program.next
        wanted += [(following[slot], self._level[following[slot]], Target("next", slot, 0))
                   for slot in self._program.moving]  # fmt: skip
        wanted += [(i, self._level[i], Target("sum", slot, 0))
                   for slot, i in enumerate(self._program.sums)]  # fmt: skip
        for index in sorted(self._live):
            op = self._ops[index]
            if isinstance(op, Reduce):
                wanted.append((op.arg, self._level[index] - 1, Target("reduce", index, 0)))
            elif index in self._kept:
                wanted.append((index, self._level[index], Target("scratch", index, 0)))
        pieces = []
        for index, level, target in wanted:
            width = self._ops[index].width
            cuts = sorted({0, width, *self._cuts(index, 0, width, level)})
            for start, end in pairwise(cuts):
                spot = Target(target.kind, target.index, target.start + start)
                pieces.append((level, end - start, Piece((index, start), spot)))
        return pieces

    def _cuts(self, index: int, offset: int, width: int, level: int) -> set[int]:
        """Where, within `offset : offset + width` of a value, a cat that it looks up has a seam."""
        found: set[int] = set()
        seen: set[tuple[int, int, int, int]] = set()
        stack = [(index, offset, width, 0)]  # the last: where these columns are in the whole
        while stack:
            spot = stack.pop()
            index, offset, size, place = spot
            if spot in seen or self.is_loaded(index, level, size):
                continue
            seen.add(spot)
            op = self._ops[index]
            if isinstance(op, Slice):
                stack.append((op.arg, offset + op.start, size, place))
            elif isinstance(op, Pointwise):
                stack += [(a, offset, size, place) for a in op.args if self._ops[a].width != 1]
            elif isinstance(op, Cat):
                position = 0
                for part in op.args:
                    end = position + self._ops[part].width
                    first, last = max(position, offset), min(end, offset + size)
                    if first < last:
                        at = place + first - offset
                        found |= {at, at + last - first}
                        stack.append((part, first - position, last - first, at))
                    position = end
        return {cut for cut in found if 0 < cut < width}

    def is_loaded(self, index: int, level: int, width: int) -> bool:
        """Whether a block of this level and width reads the value from scratch memory."""
        if index not in self._kept:
            return False
        op = self._ops[index]
        return isinstance(op, Reduce) or self._level[index] < level or (op.width == 1 < width)

    def _aligned(self, pieces: list[tuple[int, Piece]], level: int) -> list[tuple[int, Piece]]:
        """Cut wide pieces to the width of narrow ones where both look up the same product, so that
        each of its columns is computed once."""
        changed = True
        while changed:
            found = [
                {op for op, _ in self._products(piece.place, level, width)}
                for width, piece in pieces
            ]
            narrow: dict[int, int] = {}
            for (width, _), products in zip(pieces, found, strict=True):
                for op in products:
                    narrow[op] = min(width, narrow.get(op, width))
            result, changed = [], False
            for (width, piece), products in zip(pieces, found, strict=True):
                size = min((narrow[op] for op in products), default=width)
                if 1 < size < width and width % size == 0:
                    changed = True
                    (op, offset), spot = piece.place, piece.target
                    for start in range(0, width, size):
                        part = Target(spot.kind, spot.index, spot.start + start)
                        result.append((size, Piece((op, offset + start), part)))
                else:
                    result.append((width, piece))
            pieces = result
        return pieces

    def _products(self, place: Place, level: int, width: int) -> list[Place]:
        """Products that a block computes in order to compute a place, each once."""
        found: list[Place] = []
        seen: set[Place] = set()
        stack = [place]
        while stack:
            spot = stack.pop()
            if spot in seen or self.is_loaded(spot[0], level, width):
                continue
            seen.add(spot)
            if isinstance(self._ops[spot[0]], Product):
                found.append(spot)
            else:
                stack += looked_up(self._ops, spot)
        return found

    def _find_products(self, block: Block) -> None:
        groups: dict[int, set[Place]] = {}
        for piece in block.pieces:
            for place in self._products(piece.place, block.level, block.width):
                op = self._ops[place[0]]
                assert isinstance(op, Product)
                groups.setdefault(op.left, set()).add(place)
        block.products = [sorted(group) for group in groups.values()]


def arguments(op: Op) -> tuple[int, ...]:
    match op:
        case Product(left=left):
            return (left,)
        case Pointwise(args=args) | Cat(args=args):
            return args
        case Reduce(arg=arg) | Slice(arg=arg):
            return (arg,)
    return ()


def looked_up(ops: tuple[Op, ...], place: Place) -> list[Place]:
    """The places that are looked up, lane by lane, to compute a place."""
    index, offset = place
    op = ops[index]
    match op:
        case Pointwise(args=args):
            return [(arg, 0 if ops[arg].width == 1 else offset) for arg in args]
        case Slice(arg=arg, start=start):
            return [(arg, offset + start)]
        case Cat(args=args):
            position = 0
            for arg in args:
                if position <= offset < position + ops[arg].width:
                    return [(arg, offset - position)]
                position += ops[arg].width
    return []

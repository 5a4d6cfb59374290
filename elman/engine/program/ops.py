"""The ops of a row program, put together one by one.

Equal ops are the same op, so that nothing is computed twice, and views of views are looked through.
What the ops stand for in a graph is not known here.
"""

from math import nan, prod
from typing import Any

from elman.engine.graph.operations import NEUTRAL, PointwiseName, ReduceName
from elman.engine.program.row_program import Cat, Constant, Op, Pointwise, Reduce, Slice, Vector

MANY = 64
"""Pieces into which a value may be cut before the program would grow too long."""


class OpBuilder:
    """Adds ops, and knows each by its number in the program.

    label: the line of source that the ops to be added come from. vectors: what all rows share, as
        the source of a vector (anything, or the number that fills it) and its shape within a row.
    """

    def __init__(self) -> None:
        self.label = ""
        self.vectors: list[tuple[Any, tuple[int, ...]]] = []
        self.ops: list[Op] = []
        self.labels: list[str] = []
        self._index: dict[Op, int] = {}

    def add(self, op: Op) -> int:
        if op not in self._index:
            self._index[op] = len(self.ops)
            self.ops.append(op)
            self.labels.append(self.label)
        return self._index[op]

    def width(self, op: int) -> int:
        return self.ops[op].width

    # Leaves.

    def constant(self, value: float, width: int = 1) -> int:
        return self.add(Constant(width, float(value)))

    def vector(self, source: Any, shape: tuple[int, ...]) -> int:
        """What all rows share; the same vector if its source was asked for before."""
        for index, (known, known_shape) in enumerate(self.vectors):
            if known is source and prod(known_shape) == prod(shape):
                return self.add(Vector(prod(shape), index))
        return self._new_vector(source, shape)

    def _new_vector(self, source: Any, shape: tuple[int, ...]) -> int:
        self.vectors.append((source, shape))
        return self.add(Vector(prod(shape), len(self.vectors) - 1))

    # Elements moved.

    def slice(self, op: int, start: int, width: int) -> int:
        source = self.ops[op]
        if start == 0 and width == source.width:
            return op
        if isinstance(source, Slice):
            return self.slice(source.arg, source.start + start, width)
        if isinstance(source, Cat):  # a slice within one part needs no cat
            position = 0
            for part in source.args:
                size = self.width(part)
                if position <= start and start + width <= position + size:
                    return self.slice(part, start - position, width)
                position += size
        return self.add(Slice(width, op, start))

    def cat(self, parts: list[int]) -> int:
        if len(parts) == 1:
            return parts[0]
        return self.add(Cat(sum(self.width(part) for part in parts), tuple(parts)))

    def widened(self, op: int, width: int) -> int:
        """An op of width 1 repeated to `width`."""
        source = self.ops[op]
        if source.width == width:
            return op
        if isinstance(source, Constant):
            return self.constant(source.value, width)
        return self.pointwise("mul", op, self._new_vector(1.0, (width,)))

    # Arithmetic.

    def pointwise(self, name: PointwiseName, *args: int) -> int:
        return self.add(Pointwise(max(self.width(arg) for arg in args), name, args))

    def power(self, base: int, exponent: float) -> int:
        whole = {2.0: 2, 3.0: 3, 4.0: 4}.get(exponent)
        if whole:
            result = base
            for _ in range(whole - 1):
                result = self.pointwise("mul", result, base)
            return result
        special: dict[float, PointwiseName] = {0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal"}
        if exponent in special:
            return self.pointwise(special[exponent], base)
        if exponent == 1.0:
            return base
        return self.pointwise("pow", base, self.constant(exponent))

    def reduced(self, name: ReduceName, values: int) -> int:
        """One number from all elements."""
        if self.width(values) == 0:
            return self.constant(NEUTRAL[name])
        return self.add(Reduce(1, name, values))

    def variance(self, values: int, correction: float) -> int:
        """The variance of all elements, in two passes."""
        count = self.width(values)
        if count == 0:
            return self.constant(nan)
        total = self.reduced("sum", values)
        mean = self.pointwise("mul", total, self.constant(1 / count))
        centred = self.pointwise("sub", values, mean)
        squares = self.reduced("sum", self.pointwise("mul", centred, centred))
        return self.pointwise("div", squares, self.constant(max(count - correction, 0.0)))

    def sum_of_slices(self, op: int, count: int, width: int) -> int:
        """The sum of `count` slices of `width` that follow one another, element by element."""
        total = self.slice(op, 0, width)
        for i in range(1, count):
            total = self.pointwise("add", total, self.slice(op, i * width, width))
        return total

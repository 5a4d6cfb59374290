"""Arguments of a graph's nodes as ops of a row program.

A node's value is flattened to one vector for each row; `Value` remembers its shape within a row. An
argument is such a value, something that all rows share, or a number, and where it is combined with
larger values it is broadcast to their shape.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor, fx

from elman.engine.graph.nodes import fill_value, is_row_value
from elman.engine.graph.schemas import name_of
from elman.engine.program.ops import MANY, OpBuilder
from elman.engine.program.row_program import Slice
from elman.errors import UnsupportedStep


@dataclass(frozen=True)
class Value:
    """An op of the program, and the shape that its elements have within a row.

    An op of width 1 may stand for a larger shape, all of whose elements are equal.
    """

    op: int
    shape: tuple[int, ...]


class Operands:
    """The values that nodes have in the program so far, and arguments made from them.

    lines: where in the user's source a node comes from.
    """

    def __init__(self, ops: OpBuilder, lines: dict[fx.Node, str]) -> None:
        self.values: dict[fx.Node, Value] = {}
        self._ops = ops
        self._lines = lines

    def op(self, argument: Any, shape: tuple[int, ...], node: fx.Node) -> int:
        """The op of an argument of `node`, to be combined with values of `shape`."""
        if isinstance(argument, bool | int | float):
            return self._ops.constant(float(argument))
        if not isinstance(argument, fx.Node):
            raise self.unsupported(node)
        if not is_row_value(argument):
            return self._shared(argument, shape, node)
        return self.broadcast(self.values[argument], shape, node)

    def _shared(self, argument: fx.Node, shape: tuple[int, ...], node: fx.Node) -> int:
        meta = argument.meta.get("val")
        if not isinstance(meta, Tensor):
            raise self.unsupported(node, "uses the number of rows as a value")
        constant = fill_value(argument)
        if constant is not None:
            return self._ops.constant(constant)
        if meta.dim() > len(shape) and meta.shape[0] != 1:
            raise self.unsupported(node)
        is_one_number = meta.numel() == 1 or prod(shape) == 1
        return self._ops.vector(argument, () if is_one_number else shape)

    def broadcast(self, value: Value, shape: tuple[int, ...], node: fx.Node) -> int:
        ops, width = self._ops, self._ops.width(value.op)
        if width == 1 or width == prod(shape):
            return value.op
        source = (1,) * (len(shape) - len(value.shape)) + value.shape
        if source[-1] == shape[-1] and prod(source[:-1]) == 1 and prod(shape[:-1]) <= MANY:
            return ops.cat([value.op] * prod(shape[:-1]))
        if source[:-1] == shape[:-1] and source[-1] == 1 and prod(source) <= MANY:
            columns = [ops.add(Slice(1, value.op, i)) for i in range(prod(source))]
            return ops.cat([ops.widened(column, shape[-1]) for column in columns])
        raise self.unsupported(node, f"broadcasts {value.shape} to {shape} within a row")

    def unsupported(
        self, node: fx.Node, why: str = "can't run in a compiled loop"
    ) -> UnsupportedStep:
        line = self._lines.get(node)
        where = f"at {line}" if line else "in the backward pass of the step"
        return UnsupportedStep(f"{name_of(node)} {where} {why}; it runs with backend='reference'")

"""From ATen operations on a batch of rows to a row program.

Each operation becomes ops that work on one row, after all that it needs: views are offsets,
normalisations are sums and elementwise operations, and what is none of these can't run in a
compiled loop.
"""

from collections.abc import Callable, Sequence
from math import nan, prod
from typing import Any

import torch
from torch import fx

from elman.engine.graph.nodes import fill_value, is_row_value, row_shape, source_of
from elman.engine.graph.operations import ARITY, Kind, PointwiseName, ReduceName, operation_of
from elman.engine.graph.schemas import bound
from elman.engine.program.exact import function_of_flags, is_exact, is_integer
from elman.engine.program.operands import Operands, Value
from elman.engine.program.ops import MANY, OpBuilder
from elman.engine.program.row_program import (
    Carried,
    Input,
    Product,
    RowProgram,
    Types,
)
from elman.engine.program.views import ViewLowering


class Lowering:
    """Builds one row program.

    place: tells for a value of rows whether it is lowered ("here") or read from a stream
        ("stream"). What all rows share becomes a vector or a weight.
    state: placeholders of what the loop carries, one for each state leaf; None for a cotangent
        that nothing depends on.

    `streams`, `vectors` and `weights` are what the program reads, in its order.
    """

    def __init__(
        self,
        place: Callable[[fx.Node], str],
        state: Sequence[fx.Node | None],
        types: Types,
        lines: dict[fx.Node, str],
    ) -> None:
        self._place = place
        self._state = state
        self._types = types
        self._lines = lines
        self._ops = OpBuilder()
        self._operands = Operands(self._ops, lines)
        self._views = ViewLowering(self._ops, self._operands)
        self.streams: list[fx.Node] = []
        self.vectors: list[tuple[fx.Node | float, tuple[int, ...]]] = self._ops.vectors
        self.weights: list[fx.Node] = []

    # What the planner asks for.

    def value(self, node: fx.Node) -> Value:
        """The node's value, lowering all that it needs first."""
        values, stack = self._operands.values, [node]
        while stack:  # not by recursion: a step may be a long chain
            current = stack[-1]
            if current in values:
                stack.pop()
                continue
            place = "carried" if current in self._state else self._place(current)
            if operation_of(current).kind is Kind.SPLITS:
                place = "here"  # it has no value of its own: the parts read what is split
            missing = [
                source for source in current.all_input_nodes
                if place == "here" and source not in values and is_row_value(source)
            ]  # fmt: skip
            if missing:
                stack.extend(missing)
                continue
            self._ops.label = self._lines.get(current, "")
            values[current] = self._lower(current, place)
            stack.pop()
        return values[node]

    def full(self, node: fx.Node) -> int:
        """The op of a node's value, as wide as its shape says."""
        value = self.value(node)
        stored = self._types.stored
        if not is_exact(node, self._types):
            raise self._operands.unsupported(
                node, f"is {node.meta['val'].dtype}, which the loop can't hold in {stored}"
            )
        return self._ops.widened(value.op, prod(value.shape))

    def zeros(self, width: int) -> int:
        return self._ops.constant(0.0, width)

    def program(
        self, following: list[int], outputs: list[int], carried: list[int],
        sums: Sequence[int] = (),
    ) -> RowProgram:  # fmt: skip
        vectors = tuple(prod(shape) for _, shape in self.vectors)
        weights = [node.meta["val"].shape for node in self.weights]
        return RowProgram(
            dtype=self._types.stored, ops=tuple(self._ops.ops), next=tuple(following),
            outputs=tuple(outputs), inputs=tuple(prod(row_shape(node)) for node in self.streams),
            vectors=vectors, weights=tuple((int(k), int(n)) for k, n in weights),
            carried=tuple(carried), sums=tuple(sums), labels=tuple(self._ops.labels),
        )  # fmt: skip

    # One node.

    def _lower(self, node: fx.Node, place: str) -> Value:
        shape = row_shape(node)
        if prod(shape) == 0:  # no numbers to compute, so none must come from what is combined
            return Value(self.zeros(0), shape)
        if place == "carried":
            return Value(self._ops.add(Carried(prod(shape), self._state.index(node))), shape)
        if place == "stream":
            self.streams.append(node)
            return Value(self._ops.add(Input(prod(shape), len(self.streams) - 1)), shape)
        if node.meta["obstacle"]:
            raise self._operands.unsupported(node, node.meta["obstacle"])
        return self._computed(node, shape)

    def _computed(self, node: fx.Node, shape: tuple[int, ...]) -> Value:
        operation = operation_of(node)
        logical = function_of_flags(node)
        if logical is not None:
            flags = [self._operands.op(argument, shape, node) for argument in node.args[:2]]
            return Value(self._ops.pointwise(logical, *flags), shape)
        if operation.pointwise is not None:
            return Value(self._elementwise(node, operation.pointwise, shape), shape)
        if operation.reduce is not None:
            return Value(self._reduced(node, operation.reduce), shape)
        handler = _HANDLERS.get(operation.handler or "")
        if handler is not None:
            return Value(handler(self, node, shape), shape)
        view = self._views.lower(node, shape)
        if view is None:
            raise self._operands.unsupported(node)
        return view

    # Elementwise operations and constants.

    def _elementwise(self, node: fx.Node, name: PointwiseName, shape: tuple[int, ...]) -> int:
        given = bound(node)
        if given.get("rounding_mode") is not None or given.get("decimals", 0) != 0:
            raise self._operands.unsupported(node)
        first, *rest = list(given.values())[: ARITY[name]]
        if name == "pow" and isinstance(rest[0], int | float):
            return self._ops.power(self._operands.op(first, shape, node), float(rest[0]))
        numbers = [self._operands.op(argument, shape, node) for argument in (first, *rest)]
        if given.get("alpha", 1) != 1:
            numbers[1] = self._scaled_by(numbers[1], given["alpha"])
        if name == "neg" and is_integer(node):  # never -0.0, which integers don't know
            return self._ops.pointwise("sub", self._ops.constant(0.0), numbers[0])
        result = self._ops.pointwise(name, *numbers)
        if is_integer(node) and name in ("mul", "remainder", "fmod"):
            return self._ops.pointwise("add", result, self._ops.constant(0.0))  # never -0.0
        return result

    def _scaled_by(self, op: int, factor: float) -> int:
        if factor == 1:
            return op
        return self._ops.pointwise("mul", op, self._ops.constant(float(factor)))

    def _rsub(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        given = bound(node)
        a, b = (self._operands.op(given[name], shape, node) for name in ("self", "other"))
        return self._ops.pointwise("sub", b, self._scaled_by(a, given["alpha"]))

    def _relu(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        zero = self._ops.constant(0.0)
        return self._ops.pointwise("maximum", self._operands.op(node.args[0], shape, node), zero)

    def _clamp(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        given = bound(node)
        result = self._operands.op(given["self"], shape, node)
        if given["min"] is not None:
            low = self._operands.op(given["min"], shape, node)
            result = self._ops.pointwise("maximum", result, low)
        if given["max"] is not None:
            high = self._operands.op(given["max"], shape, node)
            result = self._ops.pointwise("minimum", result, high)
        return result

    def _convert(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        value = self._operands.op(node.args[0], shape, node)
        if node.meta["val"].dtype == torch.bool:
            return self._ops.pointwise("ne", value, self._ops.constant(0.0))
        return value

    def _full(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        constant = fill_value(node)
        if constant is None:
            raise self._operands.unsupported(node)
        return self._ops.constant(constant)

    # Products and reductions.

    def _mm(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        given = bound(node)
        return self._product(node, given["self"], given["mat2"])

    def _addmm(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        given = bound(node)
        product = self._product(node, given["mat1"], given["mat2"])
        if (given["beta"], given["alpha"]) != (1, 1):
            raise self._operands.unsupported(node)
        return self._ops.pointwise("add", product, self._operands.op(given["self"], shape, node))

    def _product(self, node: fx.Node, left: Any, weight: Any) -> int:
        if is_row_value(weight) or not is_row_value(left):
            raise self._operands.unsupported(node, "multiplies two values that differ by row")
        source = self._operands.values[left]
        k, n = weight.meta["val"].shape
        if k == 0:  # loops over k run once at least
            return self._ops.constant(0.0, int(n))
        if weight not in self.weights:
            self.weights.append(weight)
        return self._ops.add(
            Product(int(n), self._ops.widened(source.op, int(k)), self.weights.index(weight))
        )

    def _sum(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        found = self._sum_of_leading(node)
        return self._reduced(node, "sum") if found is None else found

    def _sum_of_leading(self, node: fx.Node) -> int | None:
        """A sum over the first axes of a row: whole slices are added."""
        source, axes = self._source(node), bound(node).get("dim")
        rank = len(source.shape) + 1
        if not isinstance(axes, list | tuple) or len(axes) >= rank - 1:
            return None
        if sorted(axis % rank for axis in axes) != list(range(1, len(axes) + 1)):
            return None
        count, width = prod(source.shape[: len(axes)]), prod(source.shape[len(axes) :])
        if count > MANY:
            return None
        wide = self._ops.widened(source.op, count * width)
        return self._ops.sum_of_slices(wide, count, width)

    def _mean(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        return self._scaled(self._reduced(node, "sum"), node)

    def _scaled(self, total: int, node: fx.Node) -> int:
        count = prod(self._source(node).shape) // max(prod(row_shape(node)), 1)
        return self._ops.pointwise("mul", total, self._ops.constant(1.0 / count if count else nan))

    def _var(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        correction = bound(node)["correction"]
        if correction is None:
            raise self._operands.unsupported(node)
        return self._ops.cat([
            self._ops.variance(part, float(correction)) for part in self._groups(node)
        ])  # fmt: skip

    def _reduced(self, node: fx.Node, name: ReduceName) -> int:
        return self._ops.cat([self._ops.reduced(name, part) for part in self._groups(node)])

    def _groups(self, node: fx.Node) -> list[int]:
        """The values that are reduced, one group for each number that comes out."""
        source, given = self._source(node), bound(node)
        rank = len(source.shape) + 1
        along = given.get("dim", given.get("dims"))
        along = list(range(rank)) if along is None else along
        axes = sorted(axis % rank for axis in ([along] if isinstance(along, int) else along))
        kept = prod(source.shape[: axes[0] - 1]) if axes else 0
        trailing = axes == list(range(axes[0], rank)) if axes else False
        if 0 in axes or not trailing or kept > MANY:
            raise self._operands.unsupported(node)
        width = prod(source.shape) // kept
        wide = self._ops.widened(source.op, prod(source.shape))
        return [self._ops.slice(wide, i * width, width) for i in range(kept)]

    def _source(self, node: fx.Node) -> Value:
        return self._operands.values[source_of(node)]


Handler = Callable[[Lowering, fx.Node, tuple[int, ...]], int]
_HANDLERS: dict[str, Handler] = {
    "rsub": Lowering._rsub, "relu": Lowering._relu, "clamp": Lowering._clamp,
    "convert": Lowering._convert, "full": Lowering._full, "mm": Lowering._mm,
    "addmm": Lowering._addmm, "sum": Lowering._sum, "mean": Lowering._mean,
    "var": Lowering._var,
}  # fmt: skip
"""What puts an operation together from several ops, for a known shape within a row."""

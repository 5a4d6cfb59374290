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

from elman.engine.graph.nodes import fill_value, is_row_value, name_of, row_shape
from elman.engine.program.exact import function_of_flags, is_exact, is_integer
from elman.engine.program.operands import Operands, Value
from elman.engine.program.ops import MANY, OpBuilder
from elman.engine.program.row_program import (
    Carried,
    Input,
    PointwiseName,
    Product,
    RowProgram,
    Types,
)
from elman.engine.program.views import SPLITS, ViewLowering

aten = torch.ops.aten

_UNARY: dict[Any, PointwiseName] = {
    aten.neg.default: "neg", aten.abs.default: "abs", aten.sign.default: "sign",
    aten.sgn.default: "sign", aten.reciprocal.default: "reciprocal", aten.sqrt.default: "sqrt",
    aten.rsqrt.default: "rsqrt", aten.exp.default: "exp", aten.expm1.default: "expm1",
    aten.log.default: "log", aten.log1p.default: "log1p", aten.log2.default: "log2",
    aten.exp2.default: "exp2", aten.tanh.default: "tanh", aten.sigmoid.default: "sigmoid",
    aten.erf.default: "erf", aten.sin.default: "sin", aten.cos.default: "cos",
    aten.floor.default: "floor", aten.ceil.default: "ceil", aten.round.default: "round",
    aten.trunc.default: "trunc", aten.isnan.default: "isnan", aten.logical_not.default: "not",
    aten.bitwise_not.default: "not",
}  # fmt: skip
_BINARY: dict[str, PointwiseName] = {
    "mul": "mul", "div": "div", "minimum": "minimum", "maximum": "maximum", "pow": "pow",
    "remainder": "remainder", "fmod": "fmod", "eq": "eq", "ne": "ne", "lt": "lt", "le": "le",
    "gt": "gt", "ge": "ge", "logical_and": "and", "logical_or": "or", "bitwise_and": "and",
    "bitwise_or": "or", "add": "add", "sub": "sub",
}  # fmt: skip


class Lowering:
    """Builds one row program.

    place: tells for a value of rows whether it is lowered ("here") or read from a stream
        ("stream"). What all rows share becomes a vector or a weight.
    state: placeholders of what the loop carries, one for each state leaf; None for a cotangent
        that nothing depends on.

    `streams`, `vectors` and `weights` are what the program reads, in its order. `_lower_x` lowers
    the operation x, of a known shape within a row.
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
            if name_of(current) in SPLITS:
                place = "here"
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
        target, name = node.target, name_of(node)
        logical = function_of_flags(node)
        if logical is not None:
            flags = [self._operands.op(argument, shape, node) for argument in node.args[:2]]
            return Value(self._ops.pointwise(logical, *flags), shape)
        if is_integer(node) and name == "neg":  # never -0.0, which integers don't know
            source = self._operands.values[node.args[0]]
            return Value(self._ops.pointwise("sub", self._ops.constant(0.0), source.op), shape)
        if target in _UNARY:
            source = self._operands.values[node.args[0]]
            return Value(self._ops.pointwise(_UNARY[target], source.op), shape)
        view = self._views.lower(node, shape)
        if view is not None:
            return view
        handler = getattr(self, f"_lower_{name.strip('_')}", None)
        if handler is not None:
            return Value(handler(node, shape), shape)
        if name in _BINARY:
            return Value(self._binary(node, _BINARY[name], shape), shape)
        raise self._operands.unsupported(node)

    # Elementwise operations and constants.

    def _binary(self, node: fx.Node, name: PointwiseName, shape: tuple[int, ...]) -> int:
        a, b = node.args[:2]
        if node.kwargs.get("rounding_mode") is not None:
            raise self._operands.unsupported(node)
        if name == "pow" and isinstance(b, int | float):
            return self._ops.power(self._operands.op(a, shape, node), float(b))
        left, right = self._operands.op(a, shape, node), self._operands.op(b, shape, node)
        factor = node.kwargs.get("alpha", 1)
        if factor != 1:
            right = self._ops.pointwise("mul", right, self._ops.constant(float(factor)))
        result = self._ops.pointwise(name, left, right)
        if is_integer(node) and name in ("mul", "remainder", "fmod"):
            return self._ops.pointwise("add", result, self._ops.constant(0.0))  # never -0.0
        return result

    def _lower_rsub(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        a, b = (self._operands.op(arg, shape, node) for arg in node.args[:2])
        return self._ops.pointwise("sub", b, a)

    def _lower_relu(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        zero = self._ops.constant(0.0)
        return self._ops.pointwise("maximum", self._operands.op(node.args[0], shape, node), zero)

    def _lower_clamp(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        low, high = [*node.args[1:3], None, None][:2]
        low, high = node.kwargs.get("min", low), node.kwargs.get("max", high)
        result = self._operands.op(node.args[0], shape, node)
        if low is not None:
            result = self._ops.pointwise("maximum", result, self._operands.op(low, shape, node))
        if high is not None:
            result = self._ops.pointwise("minimum", result, self._operands.op(high, shape, node))
        return result

    def _lower_where(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        args = [self._operands.op(arg, shape, node) for arg in node.args]
        return self._ops.pointwise("where", *args)

    def _lower_to_copy(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        value = self._operands.op(node.args[0], shape, node)
        if node.meta["val"].dtype == torch.bool:
            return self._ops.pointwise("ne", value, self._ops.constant(0.0))
        return value

    _lower_convert_element_type = _lower_to_copy

    def _lower_full_like(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        constant = fill_value(node)
        if constant is None:
            raise self._operands.unsupported(node)
        return self._ops.constant(constant)

    _lower_zeros_like = _lower_ones_like = _lower_full = _lower_full_like

    # Products and reductions.

    def _lower_mm(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        return self._product(node, *node.args)

    def _lower_addmm(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        bias, left, weight = node.args
        product = self._product(node, left, weight)
        scales = [node.kwargs.get(key, 1) for key in ("beta", "alpha")]
        if scales != [1, 1]:
            raise self._operands.unsupported(node)
        return self._ops.pointwise("add", product, self._operands.op(bias, shape, node))

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

    def _lower_sum(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        found = self._sum_of_leading(node)
        return self._reduced(node, "sum") if found is None else found

    def _sum_of_leading(self, node: fx.Node) -> int | None:
        """A sum over the first axes of a row: whole slices are added."""
        source = self._operands.values[node.args[0]]
        axes = node.args[1] if len(node.args) > 1 else None
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

    def _lower_amax(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        return self._reduced(node, "amax")

    def _lower_amin(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        return self._reduced(node, "amin")

    def _lower_mean(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        return self._scaled(self._reduced(node, "sum"), node)

    def _scaled(self, total: int, node: fx.Node) -> int:
        count = prod(self._operands.values[node.args[0]].shape) // max(prod(row_shape(node)), 1)
        return self._ops.pointwise("mul", total, self._ops.constant(1.0 / count if count else nan))

    def _lower_var(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        """`prims.var(x, [axes], correction)`."""
        if len(node.args) < 3:
            raise self._operands.unsupported(node)
        return self._ops.cat([
            self._ops.variance(part, float(node.args[2])) for part in self._groups(node)
        ])  # fmt: skip

    def _reduced(self, node: fx.Node, name: Any) -> int:
        return self._ops.cat([self._ops.reduced(name, part) for part in self._groups(node)])

    def _groups(self, node: fx.Node) -> list[int]:
        """The values that are reduced, one group for each number that comes out."""
        source = self._operands.values[node.args[0]]
        along: Any = node.args[1] if len(node.args) > 1 else list(range(len(source.shape) + 1))
        rank = len(source.shape) + 1
        axes = sorted(axis % rank for axis in ([along] if isinstance(along, int) else along))
        kept = prod(source.shape[: axes[0] - 1]) if axes else 0
        trailing = axes == list(range(axes[0], rank)) if axes else False
        if 0 in axes or not trailing or kept > MANY:
            raise self._operands.unsupported(node)
        width = prod(source.shape) // kept
        wide = self._ops.widened(source.op, prod(source.shape))
        return [self._ops.slice(wide, i * width, width) for i in range(kept)]

"""From ATen operations on a batch of rows to a row program.

A node's value is flattened to one vector for each row; `Value` remembers its shape within a row.
Views are offsets, normalisations are sums and elementwise operations, and what is none of these
can't run in a compiled loop.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, fx

from elman.engine.program import (
    Carried,
    Cat,
    Constant,
    Input,
    Op,
    Pointwise,
    PointwiseName,
    Product,
    Reduce,
    RowProgram,
    Slice,
    Vector,
)  # fmt: skip
from elman.engine.rows import name_of
from elman.errors import UnsupportedStep

aten, prims = torch.ops.aten, torch.ops.prims

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
_RESHAPING = {
    aten.view.default, aten._unsafe_view.default, aten.reshape.default, aten.unsqueeze.default,
    aten.squeeze.default, aten.squeeze.dim, aten.squeeze.dims,
}  # fmt: skip
_SPLITS = ("split_with_sizes", "unbind")
_MANY = 64  # pieces into which a value may be cut before the program would grow too long


@dataclass(frozen=True)
class Value:
    """An op of the program, and the shape that its elements have within a row.

    An op of width 1 may stand for a larger shape, all of whose elements are equal.
    """

    op: int
    shape: tuple[int, ...]


class Lowering:
    """Builds one row program.

    place: tells for a value of rows whether it is lowered ("here") or read from a stream
        ("stream"). What all rows share becomes a vector or a weight.
    state: placeholders of what the loop carries, one for each state leaf; None for a cotangent
        that nothing depends on.
    """

    def __init__(
        self,
        place: Callable[[fx.Node], str],
        state: Sequence[fx.Node | None],
        dtype: torch.dtype,
        lines: dict[fx.Node, str],
    ) -> None:
        self.streams: list[fx.Node] = []
        self.vectors: list[tuple[fx.Node | float, tuple[int, ...]]] = []
        self.weights: list[fx.Node] = []
        self._place = place
        self._state = state
        self._dtype = dtype
        self._lines = lines
        self._ops: list[Op] = []
        self._labels: list[str] = []
        self._index: dict[Op, int] = {}
        self._values: dict[fx.Node, Value] = {}
        self._label = ""

    # What the planner asks for.

    def value(self, node: fx.Node) -> Value:
        """The node's value, lowering all that it needs first."""
        stack = [node]
        while stack:  # not by recursion: a step may be a long chain
            current = stack[-1]
            if current in self._values:
                stack.pop()
                continue
            place = "carried" if current in self._state else self._place(current)
            if name_of(current) in _SPLITS:  # no value of its own: the parts read what it splits
                place = "here"
            missing = [
                source for source in current.all_input_nodes
                if place == "here" and source not in self._values and is_row_value(source)
            ]  # fmt: skip
            if missing:
                stack.extend(missing)
                continue
            self._label = self._lines.get(current, "")
            self._values[current] = self._lower(current, place)
            stack.pop()
        return self._values[node]

    def full(self, node: fx.Node) -> int:
        """The op of a node's value, as wide as its shape says."""
        value = self.value(node)
        return self._widened(value.op, prod(value.shape))

    def zeros(self, width: int) -> int:
        return self._add(Constant(width, 0.0))

    def program(
        self, following: list[int], outputs: list[int], carried: list[int],
        sums: Sequence[int] = (),
    ) -> RowProgram:  # fmt: skip
        vectors = tuple(prod(shape) for _, shape in self.vectors)
        weights = [node.meta["val"].shape for node in self.weights]
        return RowProgram(
            dtype=self._dtype, ops=tuple(self._ops), next=tuple(following), outputs=tuple(outputs),
            inputs=tuple(prod(row_shape(node)) for node in self.streams), vectors=vectors,
            weights=tuple((int(k), int(n)) for k, n in weights), carried=tuple(carried),
            sums=tuple(sums), labels=tuple(self._labels),
        )  # fmt: skip

    # One node.

    def _lower(self, node: fx.Node, place: str) -> Value:
        shape = row_shape(node)
        self._require_dtype(node)
        if place == "carried":
            return Value(self._add(Carried(prod(shape), self._state.index(node))), shape)
        if place == "stream":
            self.streams.append(node)
            return Value(self._add(Input(prod(shape), len(self.streams) - 1)), shape)
        return self._computed(node, shape)

    def _computed(self, node: fx.Node, shape: tuple[int, ...]) -> Value:
        target, name = node.target, name_of(node)
        if target in _UNARY:
            source = self._values[node.args[0]]
            return Value(self._pointwise(_UNARY[target], source.op), shape)
        if target in _RESHAPING or name in ("expand", "broadcast_in_dim"):
            return self._reshaped(node, name, shape)
        if name in _SPLITS:  # the parts are taken by getitem
            return self._values[node.args[0]]
        if target is operator.getitem:
            return self._part_of_split(node, shape)
        handler = getattr(self, f"_lower_{name.strip('_')}", None)
        if handler is not None:
            return Value(handler(node, shape), shape)
        if name in _BINARY:
            return Value(self._binary(node, _BINARY[name], shape), shape)
        raise self._unsupported(node)

    # Leaves.

    def _operand(self, value: Any, shape: tuple[int, ...], node: fx.Node) -> int:
        """The op of an argument, a node or a number, to be combined with values of `shape`."""
        if isinstance(value, bool | int | float):
            return self._add(Constant(1, float(value)))
        if not isinstance(value, fx.Node):
            raise self._unsupported(node)
        if not is_row_value(value):
            return self._shared_operand(value, shape, node)
        found = self._values[value]
        return self._broadcast(found, shape, node)

    def _shared_operand(self, value: fx.Node, shape: tuple[int, ...], node: fx.Node) -> int:
        meta = value.meta.get("val")
        if not isinstance(meta, Tensor):
            raise self._unsupported(node, "uses the number of rows as a value")
        constant = fill_value(value)
        if constant is not None:
            return self._add(Constant(1, constant))
        if meta.dim() > len(shape) and meta.shape[0] != 1:
            raise self._unsupported(node)
        width = 1 if meta.numel() == 1 else prod(shape)
        for index, (known, known_shape) in enumerate(self.vectors):
            if known is value and prod(known_shape) == width:
                return self._add(Vector(width, index))
        self.vectors.append((value, () if width == 1 else shape))
        return self._add(Vector(width, len(self.vectors) - 1))

    def _broadcast(self, value: Value, shape: tuple[int, ...], node: fx.Node) -> int:
        width = self._ops[value.op].width
        if width == 1 or width == prod(shape):
            return value.op
        source = (1,) * (len(shape) - len(value.shape)) + value.shape
        if source[-1] == shape[-1] and prod(source[:-1]) == 1 and prod(shape[:-1]) <= _MANY:
            return self._add(Cat(prod(shape), (value.op,) * prod(shape[:-1])))
        if source[:-1] == shape[:-1] and source[-1] == 1 and prod(source) <= _MANY:
            columns = [self._add(Slice(1, value.op, i)) for i in range(prod(source))]
            return self._cat([self._widened(column, shape[-1]) for column in columns])
        raise self._unsupported(node, f"broadcasts {value.shape} to {shape} within a row")

    # Operations.

    def _binary(self, node: fx.Node, name: PointwiseName, shape: tuple[int, ...]) -> int:
        a, b = node.args[:2]
        if node.kwargs.get("rounding_mode") is not None:
            raise self._unsupported(node)
        if name == "pow" and isinstance(b, int | float):
            return self._power(self._operand(a, shape, node), float(b))
        left, right = self._operand(a, shape, node), self._operand(b, shape, node)
        factor = node.kwargs.get("alpha", 1)
        if factor != 1:
            right = self._pointwise("mul", right, self._add(Constant(1, float(factor))))
        return self._pointwise(name, left, right)

    def _power(self, base: int, exponent: float) -> int:
        whole = {2.0: 2, 3.0: 3, 4.0: 4}.get(exponent)
        if whole:
            result = base
            for _ in range(whole - 1):
                result = self._pointwise("mul", result, base)
            return result
        special: dict[float, PointwiseName] = {0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal"}
        if exponent in special:
            return self._pointwise(special[exponent], base)
        if exponent == 1.0:
            return base
        return self._pointwise("pow", base, self._add(Constant(1, exponent)))

    def _lower_rsub(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        a, b = (self._operand(arg, shape, node) for arg in node.args[:2])
        return self._pointwise("sub", b, a)

    def _lower_relu(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        zero = self._add(Constant(1, 0.0))
        return self._pointwise("maximum", self._operand(node.args[0], shape, node), zero)

    def _lower_clamp(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        low, high = [*node.args[1:3], None, None][:2]
        low, high = node.kwargs.get("min", low), node.kwargs.get("max", high)
        result = self._operand(node.args[0], shape, node)
        if low is not None:
            result = self._pointwise("maximum", result, self._operand(low, shape, node))
        if high is not None:
            result = self._pointwise("minimum", result, self._operand(high, shape, node))
        return result

    def _lower_where(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        return self._pointwise("where", *(self._operand(arg, shape, node) for arg in node.args))

    def _lower_to_copy(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        value = self._operand(node.args[0], shape, node)
        if node.meta["val"].dtype == torch.bool:
            return self._pointwise("ne", value, self._constant(0.0))
        return value

    _lower_convert_element_type = _lower_to_copy

    def _lower_full_like(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        constant = fill_value(node)
        if constant is None:
            raise self._unsupported(node)
        return self._add(Constant(1, constant))

    _lower_zeros_like = _lower_ones_like = _lower_full = _lower_full_like

    def _lower_mm(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        return self._product(node, *node.args)

    def _lower_addmm(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        bias, left, weight = node.args
        product = self._product(node, left, weight)
        scales = [node.kwargs.get(key, 1) for key in ("beta", "alpha")]
        if scales != [1, 1]:
            raise self._unsupported(node)
        return self._pointwise("add", product, self._operand(bias, shape, node))

    def _product(self, node: fx.Node, left: Any, weight: Any) -> int:
        if is_row_value(weight) or not is_row_value(left):
            raise self._unsupported(node, "multiplies two values that differ by row")
        source = self._values[left]
        k, n = weight.meta["val"].shape
        if weight not in self.weights:
            self.weights.append(weight)
        return self._add(
            Product(int(n), self._widened(source.op, int(k)), self.weights.index(weight))
        )

    def _lower_sum(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        return self._sum_of_leading(node) or self._reduced(node, "sum")

    def _sum_of_leading(self, node: fx.Node) -> int | None:
        """A sum over the first axes of a row: whole slices are added."""
        source, axes = self._values[node.args[0]], node.args[1] if len(node.args) > 1 else None
        rank = len(source.shape) + 1
        if not isinstance(axes, list | tuple) or len(axes) >= rank - 1:
            return None
        if sorted(axis % rank for axis in axes) != list(range(1, len(axes) + 1)):
            return None
        count, width = prod(source.shape[: len(axes)]), prod(source.shape[len(axes) :])
        if count > _MANY:
            return None
        wide = self._widened(source.op, count * width)
        total = self._slice(wide, 0, width)
        for i in range(1, count):
            total = self._pointwise("add", total, self._slice(wide, i * width, width))
        return total

    def _lower_amax(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        return self._reduced(node, "amax")

    def _lower_amin(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        return self._reduced(node, "amin")

    def _lower_mean(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        return self._scaled(self._reduced(node, "sum"), node)

    def _scaled(self, total: int, node: fx.Node) -> int:
        count = prod(self._values[node.args[0]].shape) // max(prod(row_shape(node)), 1)
        return self._pointwise("mul", total, self._add(Constant(1, 1.0 / count)))

    def _lower_var(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        """`prims.var(x, [axes], correction)`, in two passes."""
        if len(node.args) < 3:
            raise self._unsupported(node)
        return self._cat([
            self._variance(part, float(node.args[2])) for part in self._groups(node)
        ])  # fmt: skip

    def _variance(self, values: int, correction: float) -> int:
        count = self._ops[values].width
        total = self._add(Reduce(1, "sum", values))
        mean = self._pointwise("mul", total, self._constant(1 / count))
        centred = self._pointwise("sub", values, mean)
        squares = self._add(Reduce(1, "sum", self._pointwise("mul", centred, centred)))
        return self._pointwise("div", squares, self._constant(max(count - correction, 0.0)))

    def _reduced(self, node: fx.Node, name: Any) -> int:
        return self._cat([self._add(Reduce(1, name, part)) for part in self._groups(node)])

    def _groups(self, node: fx.Node) -> list[int]:
        """The values that are reduced, one group for each number that comes out."""
        source = self._values[node.args[0]]
        along: Any = node.args[1] if len(node.args) > 1 else list(range(len(source.shape) + 1))
        rank = len(source.shape) + 1
        axes = sorted(axis % rank for axis in ([along] if isinstance(along, int) else along))
        kept = prod(source.shape[: axes[0] - 1]) if axes else 0
        trailing = axes == list(range(axes[0], rank)) if axes else False
        if 0 in axes or not trailing or kept > _MANY:
            raise self._unsupported(node)
        width = prod(source.shape) // kept
        wide = self._widened(source.op, prod(source.shape))
        return [self._slice(wide, i * width, width) for i in range(kept)]

    # Views.

    def _reshaped(self, node: fx.Node, name: str, shape: tuple[int, ...]) -> Value:
        source = self._values[node.args[0]]
        if self._ops[source.op].width in (1, prod(shape)):
            return Value(source.op, shape)
        inner = source.shape
        if name == "broadcast_in_dim":  # args[2]: which axis of the result each axis becomes
            sizes = dict(zip([axis - 1 for axis in node.args[2][1:]], inner, strict=True))
            inner = tuple(sizes.get(axis, 1) for axis in range(len(shape)))
        return Value(self._broadcast(Value(source.op, inner), shape, node), shape)

    def _part_of_split(self, node: fx.Node, shape: tuple[int, ...]) -> Value:
        split, index = node.args
        name = name_of(split)
        if name == "unbind":
            sizes, axis = [1] * split.args[0].meta["val"].shape[split.args[1]], split.args[1]
        elif name == "split_with_sizes":
            sizes = split.args[1]
            axis = split.args[2] if len(split.args) > 2 else 0
        else:
            raise self._unsupported(split)
        source = self._values[split.args[0]]
        start = sum(sizes[:index])
        return Value(self._along(source, axis, start, sizes[index], node), shape)

    def _along(self, source: Value, axis: Any, start: int, size: int, node: fx.Node) -> int:
        """Elements `start : start + size` along an axis of the batch tensor."""
        rank = len(source.shape) + 1
        axis = axis % rank - 1
        if axis < 0:
            raise self._unsupported(node)
        if self._ops[source.op].width == 1:
            return source.op
        outer, inner = prod(source.shape[:axis]), prod(source.shape[axis + 1 :])
        whole = source.shape[axis] * inner
        if outer > _MANY:
            raise self._unsupported(node)
        pieces = [
            self._slice(source.op, i * whole + start * inner, size * inner) for i in range(outer)
        ]
        return self._cat(pieces)

    def _lower_slice(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        source, axis, start, end, step = [*node.args, *[None] * 5][:5]
        found = self._values[source]
        axis = (axis or 0) % (len(found.shape) + 1)
        if axis == 0:
            return found.op
        if step not in (None, 1):
            raise self._unsupported(node)
        begin = slice(start, end).indices(found.shape[axis - 1])[0]
        return self._along(found, axis, begin, shape[axis - 1], node)

    def _lower_select(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        source, axis, index = node.args
        found = self._values[source]
        size = found.shape[axis % (len(found.shape) + 1) - 1]
        return self._along(found, axis, index % size, 1, node)

    def _lower_cat(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        axis = (node.args[1] if len(node.args) > 1 else 0) % (len(shape) + 1) - 1
        parts = []
        if axis < 0 or prod(shape[:axis]) != 1:
            raise self._unsupported(node)
        for part in node.args[0]:
            part_shape = (
                row_shape(part) if is_row_value(part) else tuple(part.meta["val"].shape[1:])
            )
            if prod(part_shape) == 0:
                continue
            parts.append(self._widened(self._operand(part, part_shape, node), prod(part_shape)))
        return self._cat(parts)

    def _lower_slice_scatter(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        into, part, axis, start, end, step = [*node.args, *[None] * 6][:6]
        axis = (axis or 0) % (len(shape) + 1) - 1
        if axis < 0:
            return self._operand(part, shape, node)
        if step not in (None, 1):
            raise self._unsupported(node)
        begin, stop, _ = slice(start, end).indices(shape[axis])
        return self._scattered(node, shape, into, part, axis, begin, stop)

    def _lower_select_scatter(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        into, part, axis, index = node.args
        axis = axis % (len(shape) + 1) - 1
        index = index % shape[axis]
        return self._scattered(node, shape, into, part, axis, index, index + 1)

    def _scattered(
        self, node: fx.Node, shape: tuple[int, ...], into: Any, part: Any, axis: int,
        begin: int, stop: int,
    ) -> int:  # fmt: skip
        """`into` with `part` in place of `begin : stop` along an axis."""
        outer, inner = prod(shape[:axis]), prod(shape[axis + 1 :])
        if outer > _MANY:
            raise self._unsupported(node)
        whole, size = shape[axis] * inner, (stop - begin) * inner
        base = self._widened(self._operand(into, shape, node), prod(shape))
        part_shape = (*shape[:axis], stop - begin, *shape[axis + 1 :])
        filling = self._widened(self._operand(part, part_shape, node), prod(part_shape))
        pieces = []
        for i in range(outer):
            left = self._slice(base, i * whole, begin * inner) if begin else None
            right_start = i * whole + stop * inner
            right = self._slice(base, right_start, (i + 1) * whole - right_start)
            pieces += [left, self._slice(filling, i * size, size), right]
        return self._cat([p for p in pieces if p is not None and self._ops[p].width])

    # Building blocks.

    def _add(self, op: Op) -> int:
        if op not in self._index:
            self._index[op] = len(self._ops)
            self._ops.append(op)
            self._labels.append(self._label)
        return self._index[op]

    def _constant(self, value: float) -> int:
        return self._add(Constant(1, value))

    def _pointwise(self, name: PointwiseName, *args: int) -> int:
        return self._add(Pointwise(max(self._ops[arg].width for arg in args), name, args))

    def _slice(self, op: int, start: int, width: int) -> int:
        if start == 0 and width == self._ops[op].width:
            return op
        source = self._ops[op]
        if isinstance(source, Slice):
            return self._slice(source.arg, source.start + start, width)
        if isinstance(source, Cat):  # a slice within one part needs no cat
            position = 0
            for part in source.args:
                size = self._ops[part].width
                if position <= start and start + width <= position + size:
                    return self._slice(part, start - position, width)
                position += size
        return self._add(Slice(width, op, start))

    def _cat(self, parts: list[int]) -> int:
        if len(parts) == 1:
            return parts[0]
        return self._add(Cat(sum(self._ops[part].width for part in parts), tuple(parts)))

    def _widened(self, op: int, width: int) -> int:
        """An op of width 1 repeated to `width`."""
        source = self._ops[op]
        if source.width == width:
            return op
        if isinstance(source, Constant):
            return self._add(Constant(width, source.value))
        self.vectors.append((1.0, (width,)))
        ones = self._add(Vector(width, len(self.vectors) - 1))
        return self._pointwise("mul", op, ones)

    def _require_dtype(self, node: fx.Node) -> None:
        value = node.meta.get("val")
        if not isinstance(value, Tensor) or value.dtype in (self._dtype, torch.bool):
            return
        if not is_count(node):
            raise self._unsupported(
                node, f"gives {value.dtype}, but the loop computes in {self._dtype}"
            )

    def _unsupported(
        self, node: fx.Node, why: str = "can't run in a compiled loop"
    ) -> UnsupportedStep:
        where = self._lines.get(node, "the backward pass of the step")
        return UnsupportedStep(
            f"{name_of(node)} at {where} {why}; it runs with backend='reference'"
        )


def is_row_value(node: Any) -> bool:
    """Whether the node is a tensor, or several, with one entry for every row."""
    value = node.meta.get("val") if isinstance(node, fx.Node) else None
    if isinstance(value, tuple | list):
        value = value[0] if value else None
    return isinstance(value, Tensor) and value.dim() > 0 and not isinstance(value.shape[0], int)


def row_shape(node: fx.Node) -> tuple[int, ...]:
    """Shape within a row. Several tensors (a split) have the shape of their first."""
    known = node.meta.get("row_shape")
    if known is None:
        value = node.meta["val"]
        if isinstance(value, tuple | list):
            value = value[0]
        known = node.meta["row_shape"] = tuple(int(size) for size in value.shape[1:])
    return known


def fill_value(node: fx.Node) -> float | None:
    """The number that fills a tensor such as `zeros_like(x)`, if it is known."""
    name = name_of(node) if node.op == "call_function" else ""
    if name in ("zeros_like", "zeros", "new_zeros"):
        return 0.0
    if name in ("ones_like", "ones"):
        return 1.0
    if name in ("full", "full_like", "new_full", "scalar_tensor"):
        fill = (
            node.args[0] if name == "scalar_tensor" else node.args[1 if name != "new_full" else 2]
        )
        return float(fill) if isinstance(fill, bool | int | float) else None
    return None


def is_count(node: fx.Node) -> bool:
    """Whether an integer comes from comparisons and constants alone, such as the number of elements
    for which something holds: those are small, and exact in floating point."""
    known = node.meta.get("is_count")
    if known is None:
        value = node.meta.get("val")
        if not isinstance(value, Tensor) or not is_row_value(node):
            known = True  # a constant, or a size
        elif value.dtype == torch.bool:
            known = True
        elif value.dtype != torch.int64 or node.op == "placeholder":
            known = False
        else:
            known = all(is_count(source) for source in node.all_input_nodes)
        node.meta["is_count"] = known
    return known

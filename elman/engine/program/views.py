"""Views in a row program: elements are taken from a value and put together again, none computed.

Reshaping changes no elements, parts of a value are slices of it, and what is joined or written into
a part of another value is put together from slices.
"""

import operator
from math import prod
from typing import Any

import torch
from torch import fx

from elman.engine.graph.nodes import is_row_value, name_of, row_shape
from elman.engine.program.operands import Operands, Value
from elman.engine.program.ops import MANY, OpBuilder

aten = torch.ops.aten

_RESHAPING = {
    aten.view.default, aten._unsafe_view.default, aten.reshape.default, aten.unsqueeze.default,
    aten.squeeze.default, aten.squeeze.dim, aten.squeeze.dims,
}  # fmt: skip
SPLITS = ("split_with_sizes", "unbind")
"""They have no value of their own: the parts read what is split."""


class ViewLowering:
    """Lowers views. `_lower_x` lowers the operation x, of a known shape within a row."""

    def __init__(self, ops: OpBuilder, operands: Operands) -> None:
        self._ops = ops
        self._operands = operands

    def lower(self, node: fx.Node, shape: tuple[int, ...]) -> Value | None:
        """The node's value, or None if it is not a view."""
        name = name_of(node)
        if node.target in _RESHAPING or name in ("expand", "broadcast_in_dim"):
            return self._reshaped(node, name, shape)
        if name in SPLITS:  # the parts are taken by getitem
            return self._value(node.args[0])
        if node.target is operator.getitem:
            return self._part_of_split(node, shape)
        handler = getattr(self, f"_lower_{name}", None)
        return None if handler is None else Value(handler(node, shape), shape)

    def _value(self, node: fx.Node) -> Value:
        return self._operands.values[node]

    def _reshaped(self, node: fx.Node, name: str, shape: tuple[int, ...]) -> Value:
        if not is_row_value(node.args[0]):  # what all rows share, once for each row
            return Value(self._operands.op(node.args[0], shape, node), shape)
        source = self._value(node.args[0])
        if self._ops.width(source.op) in (1, prod(shape)):
            return Value(source.op, shape)
        inner = source.shape
        if name == "broadcast_in_dim":  # args[2]: which axis of the result each axis becomes
            sizes = dict(zip([axis - 1 for axis in node.args[2][1:]], inner, strict=True))
            inner = tuple(sizes.get(axis, 1) for axis in range(len(shape)))
        return Value(self._operands.broadcast(Value(source.op, inner), shape, node), shape)

    # Parts.

    def _part_of_split(self, node: fx.Node, shape: tuple[int, ...]) -> Value:
        split, index = node.args
        name = name_of(split)
        if name == "unbind":
            sizes, axis = [1] * split.args[0].meta["val"].shape[split.args[1]], split.args[1]
        elif name == "split_with_sizes":
            sizes = split.args[1]
            axis = split.args[2] if len(split.args) > 2 else 0
        else:
            raise self._operands.unsupported(split)
        source = self._value(split.args[0])
        start = sum(sizes[:index])
        return Value(self._along(source, axis, start, sizes[index], node), shape)

    def _lower_slice(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        source, axis, start, end, step = [*node.args, *[None] * 5][:5]
        found = self._value(source)
        axis = (axis or 0) % (len(found.shape) + 1)
        if axis == 0:
            return found.op
        if step not in (None, 1):
            raise self._operands.unsupported(node)
        begin = slice(start, end).indices(found.shape[axis - 1])[0]
        return self._along(found, axis, begin, shape[axis - 1], node)

    def _lower_select(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        source, axis, index = node.args
        found = self._value(source)
        size = found.shape[axis % (len(found.shape) + 1) - 1]
        return self._along(found, axis, index % size, 1, node)

    def _along(self, source: Value, axis: Any, start: int, size: int, node: fx.Node) -> int:
        """Elements `start : start + size` along an axis of the batch tensor."""
        rank = len(source.shape) + 1
        axis = axis % rank - 1
        if axis < 0:
            raise self._operands.unsupported(node)
        if self._ops.width(source.op) == 1:
            return source.op
        outer, inner = prod(source.shape[:axis]), prod(source.shape[axis + 1 :])
        whole = source.shape[axis] * inner
        if outer > MANY:
            raise self._operands.unsupported(node)
        return self._ops.cat([
            self._ops.slice(source.op, i * whole + start * inner, size * inner)
            for i in range(outer)
        ])  # fmt: skip

    # Put together.

    def _lower_cat(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        axis = (node.args[1] if len(node.args) > 1 else 0) % (len(shape) + 1) - 1
        parts = []
        if axis < 0 or prod(shape[:axis]) != 1:
            raise self._operands.unsupported(node)
        for part in node.args[0]:
            part_shape = (
                row_shape(part) if is_row_value(part) else tuple(part.meta["val"].shape[1:])
            )
            if prod(part_shape) == 0:
                continue
            parts.append(self._full(part, part_shape, node))
        return self._ops.cat(parts)

    def _lower_slice_scatter(self, node: fx.Node, shape: tuple[int, ...]) -> int:
        into, part, axis, start, end, step = [*node.args, *[None] * 6][:6]
        axis = (axis or 0) % (len(shape) + 1) - 1
        if axis < 0:
            return self._operands.op(part, shape, node)
        if step not in (None, 1):
            raise self._operands.unsupported(node)
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
        ops = self._ops
        outer, inner = prod(shape[:axis]), prod(shape[axis + 1 :])
        if outer > MANY:
            raise self._operands.unsupported(node)
        whole, size = shape[axis] * inner, (stop - begin) * inner
        base = self._full(into, shape, node)
        filling = self._full(part, (*shape[:axis], stop - begin, *shape[axis + 1 :]), node)
        pieces = []
        for i in range(outer):
            left = ops.slice(base, i * whole, begin * inner) if begin else None
            right_start = i * whole + stop * inner
            right = ops.slice(base, right_start, (i + 1) * whole - right_start)
            pieces += [left, ops.slice(filling, i * size, size), right]
        return ops.cat([p for p in pieces if p is not None and ops.width(p)])

    def _full(self, argument: Any, shape: tuple[int, ...], node: fx.Node) -> int:
        """The op of an argument, as wide as its shape says."""
        return self._ops.widened(self._operands.op(argument, shape, node), prod(shape))

"""Views in a row program: elements are taken from a value and put together again, none computed.

Reshaping changes no elements, parts of a value are slices of it, and what is joined or written into
a part of another value is put together from slices.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from torch import fx

from elman.engine.graph.nodes import is_row_value, row_shape, source_of
from elman.engine.graph.operations import Kind, operation_of
from elman.engine.graph.schemas import bound
from elman.engine.program.operands import Operands, Value
from elman.engine.program.ops import MANY, OpBuilder


class ViewLowering:
    """Lowers views, and what is put together from parts."""

    def __init__(self, ops: OpBuilder, operands: Operands) -> None:
        self._ops = ops
        self._operands = operands

    def lower(self, node: fx.Node, shape: tuple[int, ...]) -> Value | None:
        """The node's value, of a known shape within a row; None if it is nothing of the kind."""
        handler = _HANDLERS.get(operation_of(node).handler or "")
        return None if handler is None else handler(self, node, shape)

    def _reshape(self, node: fx.Node, shape: tuple[int, ...]) -> Value:
        return self._reshaped(node, shape, None)

    def _broadcast_in_dim(self, node: fx.Node, shape: tuple[int, ...]) -> Value:
        return self._reshaped(node, shape, bound(node)["broadcast_dimensions"])

    def _reshaped(
        self, node: fx.Node, shape: tuple[int, ...], becomes: Sequence[int] | None
    ) -> Value:
        """becomes: which axis of the result each axis becomes, if they do not follow each other."""
        first = source_of(node)
        if not is_row_value(first):  # what all rows share, once for each row
            return Value(self._operands.op(first, shape, node), shape)
        source = self._operands.values[first]
        if self._ops.width(source.op) in (1, prod(shape)):
            return Value(source.op, shape)
        inner = source.shape
        if becomes is not None:
            sizes = dict(zip([axis - 1 for axis in becomes[1:]], inner, strict=True))
            inner = tuple(sizes.get(axis, 1) for axis in range(len(shape)))
        return Value(self._operands.broadcast(Value(source.op, inner), shape, node), shape)

    # Parts.

    def _split(self, node: fx.Node, shape: tuple[int, ...]) -> Value:
        return self._operands.values[source_of(node)]  # the parts are taken by getitem

    def _getitem(self, node: fx.Node, shape: tuple[int, ...]) -> Value:
        split, index = source_of(node), bound(node)["index"]
        if operation_of(split).kind is not Kind.SPLITS:
            raise self._operands.unsupported(split)
        given = bound(split)
        axis = given["dim"]
        sizes = given.get("split_sizes") or [1] * given["self"].meta["val"].shape[axis]
        source = self._operands.values[source_of(split)]
        start = sum(sizes[:index])
        return Value(self._along(source, axis, start, sizes[index], node), shape)

    def _slice(self, node: fx.Node, shape: tuple[int, ...]) -> Value:
        given = bound(node)
        found = self._operands.values[given["self"]]
        axis = given["dim"] % (len(found.shape) + 1)
        if axis == 0:
            return Value(found.op, shape)
        if given["step"] not in (None, 1):
            raise self._operands.unsupported(node)
        begin = slice(given["start"], given["end"]).indices(found.shape[axis - 1])[0]
        return Value(self._along(found, axis, begin, shape[axis - 1], node), shape)

    def _select(self, node: fx.Node, shape: tuple[int, ...]) -> Value:
        given = bound(node)
        found, axis = self._operands.values[given["self"]], given["dim"]
        size = found.shape[axis % (len(found.shape) + 1) - 1]
        return Value(self._along(found, axis, given["index"] % size, 1, node), shape)

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

    def _cat(self, node: fx.Node, shape: tuple[int, ...]) -> Value:
        given = bound(node)
        axis = given["dim"] % (len(shape) + 1) - 1
        parts = []
        if axis < 0 or prod(shape[:axis]) != 1:
            raise self._operands.unsupported(node)
        for part in given["tensors"]:
            part_shape = (
                row_shape(part) if is_row_value(part) else tuple(part.meta["val"].shape[1:])
            )
            if prod(part_shape) == 0:
                continue
            parts.append(self._full(part, part_shape, node))
        return Value(self._ops.cat(parts), shape)

    def _slice_scatter(self, node: fx.Node, shape: tuple[int, ...]) -> Value:
        given = bound(node)
        axis = given["dim"] % (len(shape) + 1) - 1
        if axis < 0:
            return Value(self._operands.op(given["src"], shape, node), shape)
        if given["step"] not in (None, 1):
            raise self._operands.unsupported(node)
        begin, stop, _ = slice(given["start"], given["end"]).indices(shape[axis])
        return Value(self._written(node, shape, axis, begin, stop), shape)

    def _select_scatter(self, node: fx.Node, shape: tuple[int, ...]) -> Value:
        given = bound(node)
        axis = given["dim"] % (len(shape) + 1) - 1
        index = given["index"] % shape[axis]
        return Value(self._written(node, shape, axis, index, index + 1), shape)

    def _written(
        self, node: fx.Node, shape: tuple[int, ...], axis: int, begin: int, stop: int
    ) -> int:
        """The node's first argument with the second in place of `begin : stop` along an axis."""
        ops, given = self._ops, bound(node)
        into, part = given["self"], given["src"]
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


Handler = Callable[[ViewLowering, fx.Node, tuple[int, ...]], Value]
_HANDLERS: dict[str, Handler] = {
    "reshape": ViewLowering._reshape,
    "broadcast_in_dim": ViewLowering._broadcast_in_dim, "split": ViewLowering._split,
    "getitem": ViewLowering._getitem, "slice": ViewLowering._slice,
    "select": ViewLowering._select, "cat": ViewLowering._cat,
    "slice_scatter": ViewLowering._slice_scatter, "select_scatter": ViewLowering._select_scatter,
}  # fmt: skip

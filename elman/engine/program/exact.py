"""Which bools and integers a loop may compute, although its only type is floating point.

Floating point holds integers exactly up to a limit, so an integer may be computed in a row program
if its bounds prove that it, and what it is computed from, stay below. What is not proved is torch's
to compute, outside the loops, or stands in the way of compiling. Bools are flags: they are joined,
not added.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx

from elman.engine.graph.intervals import bounds_of
from elman.engine.graph.nodes import fill_value
from elman.engine.graph.operations import Kind, PointwiseName, operation_of
from elman.engine.program.bounds import (
    find_bounds,
    first_value,
    has_rule,
    is_integral,
    whole_range,
    within,
)
from elman.engine.program.row_program import Types
from elman.errors import UnsupportedStep

_NO_CODE = "computes with integers or bools in a way for which the loop has no code"
_LIMITS = {
    torch.float64: 1 << 53, torch.float32: 1 << 24, torch.float16: 1 << 11, torch.bfloat16: 1 << 8,
}  # fmt: skip


def find_obstacles(graph: fx.Graph, types: Types) -> None:
    """Note for every node why a row program can't compute it as torch does, as far as
    types matter, or None (`meta["obstacle"]`)."""
    find_bounds(graph)
    for node in graph.nodes:
        node.meta["obstacle"] = _obstacle(node, types)


def require_exact_state(state: list[fx.Node], types: Types) -> None:
    """Raise `UnsupportedStep` if a loop would round what it carries."""
    for number, node in enumerate(state):
        if not is_exact(node, types):
            raise UnsupportedStep(
                f"leaf {number} of the state holds {node.meta['val'].dtype} numbers "
                f"{_too_large(types)}; it runs with backend='reference'"
            )


def function_of_flags(node: fx.Node) -> PointwiseName | None:
    """What an operation on bools is, if it means another one on numbers."""
    value = node.meta.get("val")
    is_bool = isinstance(value, Tensor) and value.dtype == torch.bool
    return operation_of(node).on_flags if is_bool else None


def is_integer(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, Tensor) and is_integral(value.dtype) and value.dtype != torch.bool


def is_exact(argument: Any, types: Types) -> bool:
    """Whether floating point of this type holds all values that an argument may have."""
    limit = _LIMITS[types.stored]
    if isinstance(argument, bool | int):
        return abs(argument) <= limit
    value = first_value(argument) if isinstance(argument, fx.Node) else None
    if not isinstance(value, Tensor):
        return True
    if not is_integral(value.dtype):
        return value.dtype in (types.stored, types.computed)
    return within(argument.meta["bounds"], (-limit, limit))


def _obstacle(node: fx.Node, types: Types) -> str | None:
    value = first_value(node)
    if node.op != "call_function" or not isinstance(value, Tensor):
        return None
    if not is_integral(value.dtype):  # integers among the operands are converted, as torch does
        if value.dtype in (types.stored, types.computed) or fill_value(node) is not None:
            return None
        return _computes_in(value.dtype, types)
    operation = operation_of(node)
    if operation.kind is Kind.COMPARES:
        return _obstacle_to_comparison(node, types)
    if value.dtype == torch.bool:
        gives_flags = operation.gives_flags or operation.on_flags is not None
        is_known = gives_flags and node.kwargs.get("alpha", 1) == 1
        return _inexact(node.all_input_nodes, None, types) if is_known else _NO_CODE
    if not node.meta["is_proved"] and (not has_rule(node) or _takes_floats(node)):
        return _NO_CODE
    if not node.meta["is_proved"] or not is_exact(node, types):
        return f"gives {_short(value.dtype)} numbers {_too_large(types)}"
    return _inexact(_operands(node), value.dtype, types)


def _obstacle_to_comparison(node: fx.Node, types: Types) -> str | None:
    sides = node.args[:2]
    values: Any = [side.meta["val"] if isinstance(side, fx.Node) else side for side in sides]
    common = torch.result_type(*values)
    if is_integral(common):
        return _inexact(sides, common, types)
    return None if common in (types.stored, types.computed) else _computes_in(common, types)


def _operands(node: fx.Node) -> list[Any]:
    numbers = node.args[:3] if operation_of(node).on_numbers else ()
    limits = [node.kwargs.get(key) for key in ("min", "max")]
    return [*node.all_input_nodes, *numbers, *limits]


def _takes_floats(node: fx.Node) -> bool:
    values = map(first_value, node.all_input_nodes)
    return any(isinstance(v, Tensor) and v.is_floating_point() for v in values)


def _inexact(
    operands: Iterable[Any], common: torch.dtype | None, types: Types
) -> str | None:  # fmt: skip
    """Whether one of the operands is not what it was in the type that torch converts all of them
    to, or in the loop's."""
    for operand in operands:
        bounds = bounds_of(operand)
        fits = bounds is None or common is None or within(bounds, whole_range(common))
        if not fits or not is_exact(operand, types):
            value = first_value(operand) if isinstance(operand, fx.Node) else operand
            what = f"{_short(value.dtype)} numbers" if isinstance(value, Tensor) else str(value)
            return f"takes {what} {_too_large(types)}"
    return None


def _computes_in(found: torch.dtype, types: Types) -> str:
    return f"computes in {_short(found)}, but the loop in {_short(types.computed)}"


def _too_large(types: Types) -> str:
    return (
        f"that may be too large, or wrap around, for a loop that computes in {_short(types.stored)}"
    )


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")

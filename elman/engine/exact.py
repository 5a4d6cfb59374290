"""Which bools and integers a loop may compute, although its only type is floating point.

Floating point holds integers exactly up to a limit, so an integer may be computed in a row program
if its range proves that it, and what it is computed from, stays below: bools are 0 or 1, constants
are known, narrow types end by themselves, and sums of few small numbers are small. What is not
proved is torch's to compute, outside the loops, or stands in the way of compiling.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor, fx

from elman.engine.nodes import FILLED, VIEWS, fill_value, name_of

Bounds = tuple[int, int]

_LIMITS = {torch.float32: 1 << 24, torch.float64: 1 << 53}
_COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge"}
_LOGICAL = {"logical_and", "logical_or", "logical_xor", "logical_not"}
_ON_BOOLS = {
    "add": "or", "mul": "and", "bitwise_and": "and", "bitwise_or": "or", "bitwise_xor": "ne",
    "bitwise_not": "not",
}  # fmt: skip
_MOVING = {*VIEWS, "where", "amax", "amin", "minimum", "maximum", "slice_scatter", "select_scatter"}
_SAME = {"floor", "ceil", "round", "trunc", "permute", "transpose", "t", "amax", "amin"}


def find_obstacles(graph: fx.Graph, dtype: torch.dtype) -> None:
    """Note for every node, in order, the bounds of its integers (`meta["bounds"]`), and why a row
    program in `dtype` can't compute it as torch does, or None (`meta["obstacle"]`)."""
    for node in graph.nodes:
        computed = _computed_bounds(node)
        value = _first(node)
        if isinstance(value, Tensor) and not value.is_floating_point() and not value.is_complex():
            whole = _whole_range(value.dtype)
            is_proved = computed is not None and _within(computed, whole)
            node.meta["bounds"] = computed if is_proved else whole
            node.meta["is_proved"] = is_proved
        node.meta["obstacle"] = _obstacle(node, dtype)


def logical_function(node: fx.Node) -> Any:
    """The function of flags that an operation on bools is, if it means another one on numbers."""
    value = node.meta.get("val")
    is_bool = isinstance(value, Tensor) and value.dtype == torch.bool
    return _ON_BOOLS.get(name_of(node)) if is_bool else None


def is_integer(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, Tensor) and _is_integral(value.dtype) and value.dtype != torch.bool


def is_exact(argument: Any, dtype: torch.dtype) -> bool:
    """Whether floating point of this type holds all values that an argument may have."""
    if isinstance(argument, bool | int):
        return abs(argument) <= _LIMITS[dtype]
    value = _first(argument) if isinstance(argument, fx.Node) else None
    if not isinstance(value, Tensor):
        return True
    if not _is_integral(value.dtype):
        return value.dtype == dtype
    limit = _LIMITS[dtype]
    return _within(argument.meta["bounds"], (-limit, limit))  # type: ignore[union-attr]


# Obstacles.


def _obstacle(node: fx.Node, dtype: torch.dtype) -> str | None:
    value = _first(node)
    if node.op != "call_function" or not isinstance(value, Tensor):
        return None
    if not _is_integral(value.dtype):  # integers among the operands are converted, as torch does
        return None if value.dtype == dtype else _wrong_type(value.dtype, dtype)
    for argument in _arguments(node):
        if not is_exact(argument, dtype) and _is_compared_as_integer(node, dtype):
            return _not_exact(argument, dtype)
    if value.dtype == torch.bool:
        return _obstacle_to_flags(node, dtype)
    if not node.meta["is_proved"] and not _has_rule(node):
        return f"computes in {_short(value.dtype)}, for which the loop has no code"
    if not node.meta["is_proved"] or not is_exact(node, dtype):
        return (
            f"gives {_short(value.dtype)} numbers that may be too large for {_short(dtype)}, in "
            f"which the loop computes"
        )
    return None


def _has_rule(node: fx.Node) -> bool:
    name, sources = name_of(node), node.all_input_nodes
    if any(isinstance(_first(s), Tensor) and not _is_integral(_first(s).dtype) for s in sources):
        return False  # from floating point, of which nothing is known
    return name in _RULES or name in VIEWS or name in _SAME or name in FILLED


def _is_compared_as_integer(node: fx.Node, dtype: torch.dtype) -> bool:
    """Not if one side of a comparison is a floating-point number of the loop's type: torch then
    converts the other one, and so does the loop."""
    if name_of(node) not in _COMPARISONS:
        return True
    values = [a.meta["val"] if isinstance(a, fx.Node) else a for a in node.args[:2]]
    return torch.result_type(*values) != dtype  # type: ignore[arg-type]


def _obstacle_to_flags(node: fx.Node, dtype: torch.dtype) -> str | None:
    name = name_of(node)
    if name in _COMPARISONS:
        values = [a.meta["val"] if isinstance(a, fx.Node) else a for a in node.args[:2]]
        common = torch.result_type(*values)  # type: ignore[arg-type]
        is_known = _is_integral(common) or common == dtype
        return None if is_known else _wrong_type(common, dtype)
    if name in _ON_BOOLS and node.kwargs.get("alpha", 1) != 1:
        return "scales bools"
    if name in _ON_BOOLS or name in _LOGICAL or name in _MOVING or name in FILLED:
        return None
    return None if name in ("isnan", "isinf", "sign") else "gives bools in a way of its own"


def _wrong_type(found: torch.dtype, dtype: torch.dtype) -> str:
    return f"computes in {_short(found)}, but the loop in {_short(dtype)}"


def _not_exact(argument: Any, dtype: torch.dtype) -> str:
    value = _first(argument) if isinstance(argument, fx.Node) else argument
    what = f"{_short(value.dtype)} numbers, perhaps" if isinstance(value, Tensor) else str(value)
    return f"takes {what}, too large for {_short(dtype)}, in which the loop computes"


# Bounds.


def _computed_bounds(node: fx.Node) -> Bounds | None:
    """Between what the results lie, partial results included, before they wrap around; None if
    that is not known."""
    value = _first(node)
    if not isinstance(value, Tensor) or not _is_integral(value.dtype):
        return None
    if value.dtype == torch.bool:
        return 0, 1
    if node.op != "call_function":
        return _whole_range(value.dtype)
    name = name_of(node)
    if name in FILLED:
        fill = fill_value(node)
        return None if fill is None else (int(fill), int(fill))
    rule = _RULES.get(name)
    if rule is not None:
        return rule(node)
    if name in VIEWS or name in _SAME:
        return _of(node.args[0])
    return None


def _of(argument: Any) -> Bounds | None:
    if isinstance(argument, bool | int):
        return int(argument), int(argument)
    return argument.meta.get("bounds") if isinstance(argument, fx.Node) else None


def _hull(*found: Bounds | None) -> Bounds | None:
    known = [one for one in found if one is not None]
    if len(known) < len(found) or not known:
        return None
    return min(low for low, _ in known), max(high for _, high in known)


def _from_corners(function: Callable[[int, int], int]) -> Callable[[fx.Node], Bounds | None]:
    """For a function of two arguments that takes its extremes at those of its arguments."""

    def rule(node: fx.Node) -> Bounds | None:
        first, second = _of(node.args[0]), _of(node.args[1])
        alpha = node.kwargs.get("alpha", 1)
        if first is None or second is None or not isinstance(alpha, int):
            return None
        scaled = [alpha * bound for bound in second]
        corners = [function(a, b) for a in first for b in scaled]
        # What is scaled has to be exact, too.
        return min(corners + scaled), max(corners + scaled)

    return rule


def _extremum(pick: Callable[[int, int], int]) -> Callable[[fx.Node], Bounds | None]:
    def rule(node: fx.Node) -> Bounds | None:
        first, second = _of(node.args[0]), _of(node.args[1])
        if first is None or second is None:
            return None
        return pick(first[0], second[0]), pick(first[1], second[1])

    return rule


def _where(node: fx.Node) -> Bounds | None:
    return _hull(_of(node.args[1]), _of(node.args[2]))


def _joined(node: fx.Node) -> Bounds | None:
    return _hull(*[_of(part) for part in node.args[0]])  # type: ignore[union-attr]


def _scattered(node: fx.Node) -> Bounds | None:
    return _hull(_of(node.args[0]), _of(node.args[1]))


def _clamp(node: fx.Node) -> Bounds | None:
    low, high = [*node.args[1:3], None, None][:2]
    low, high = node.kwargs.get("min", low), node.kwargs.get("max", high)
    found = _of(node.args[0])
    for limit, pick in ((low, max), (high, min)):
        other = None if limit is None else _of(limit)
        if limit is not None and (found is None or other is None):
            return None
        if found is not None and other is not None:
            found = pick(found[0], other[0]), pick(found[1], other[1])
    return found


def _negated(node: fx.Node) -> Bounds | None:
    found = _of(node.args[0])
    return found and (-found[1], -found[0])


def _absolute(node: fx.Node) -> Bounds | None:
    found = _of(node.args[0])
    return found and (0, max(map(abs, found)))


def _sign(node: fx.Node) -> Bounds | None:
    return -1, 1


def _remainder(node: fx.Node) -> Bounds | None:
    """By a positive constant."""
    found, divisor = _of(node.args[0]), node.args[1]
    if found is None or not isinstance(divisor, int) or divisor <= 0:
        return None
    is_signed = name_of(node) == "fmod" and found[0] < 0
    return (1 - divisor if is_signed else 0), divisor - 1


def _power(node: fx.Node) -> Bounds | None:
    """To a small constant, which is a few products."""
    found, exponent = _of(node.args[0]), node.args[1]
    if found is None or exponent not in (1, 2, 3, 4):
        return None
    largest = max(map(abs, found)) ** exponent  # type: ignore[operator]
    return -largest, largest


def _sum(node: fx.Node) -> Bounds | None:
    source, along = node.args[0], node.args[1] if len(node.args) > 1 else None
    found, sizes = _of(source), source.meta["val"].shape  # type: ignore[union-attr]
    counted = [sizes[axis] for axis in along] if along else sizes  # type: ignore[union-attr]
    if found is None or not all(isinstance(size, int) for size in counted):
        return None
    count = prod(counted)
    return min(0, count * found[0]), max(0, count * found[1])


def _place(node: fx.Node) -> Bounds | None:
    """An argmax."""
    dim = node.args[1] if len(node.args) > 1 else None
    size = node.args[0].meta["val"].shape[dim] if isinstance(dim, int) else None  # type: ignore
    return (0, max(size - 1, 0)) if isinstance(size, int) else None


def _arange(node: fx.Node) -> Bounds | None:
    numbers = node.args
    if not numbers or not all(isinstance(number, int) for number in numbers):
        return None
    if name_of(node) == "iota":  # length, start and step
        start, step = node.kwargs.get("start", 0), node.kwargs.get("step", 1)
        if not isinstance(start, int) or not isinstance(step, int):
            return None
        return _hull((start, start), (start + numbers[0] * step,) * 2)  # type: ignore
    start, end = (0, numbers[0]) if len(numbers) == 1 else numbers[:2]  # type: ignore[misc]
    return _hull((start, start), (end, end))  # type: ignore[arg-type]


_RULES: dict[str, Callable[[fx.Node], Bounds | None]] = {
    "add": _from_corners(lambda a, b: a + b), "sub": _from_corners(lambda a, b: a - b),
    "rsub": _from_corners(lambda a, b: b - a), "mul": _from_corners(lambda a, b: a * b),
    "minimum": _extremum(min), "maximum": _extremum(max), "where": _where, "cat": _joined,
    "slice_scatter": _scattered, "select_scatter": _scattered, "clamp": _clamp, "neg": _negated,
    "abs": _absolute, "sign": _sign, "sgn": _sign, "remainder": _remainder, "fmod": _remainder,
    "pow": _power, "sum": _sum, "argmax": _place, "argmin": _place, "arange": _arange,
    "iota": _arange,
}  # fmt: skip


# Types.


def _first(node: fx.Node) -> Any:
    """The node's value; of several, all of one type, the first."""
    value = node.meta.get("val")
    if isinstance(value, tuple | list):
        return value[0] if value else None
    return value


def _arguments(node: fx.Node) -> list[Any]:
    """Tensors and numbers that are computed with; of other operations than elementwise ones only
    the tensors, since their numbers are axes and sizes."""
    tensors = [s for s in node.all_input_nodes if isinstance(_first(s), Tensor)]
    numbers = (
        node.args[:3] if name_of(node) in {*_COMPARISONS, *_RULES} - _NUMBERS_ARE_SIZES else ()
    )
    return [*tensors, *(n for n in numbers if isinstance(n, bool | int))]


_NUMBERS_ARE_SIZES = {
    "sum", "cat", "slice_scatter", "select_scatter", "argmax", "argmin", "arange", "iota",
}  # fmt: skip


def _is_integral(dtype: torch.dtype) -> bool:
    return not dtype.is_floating_point and not dtype.is_complex


def _whole_range(dtype: torch.dtype) -> Bounds:
    if dtype == torch.bool:
        return 0, 1
    info = torch.iinfo(dtype)
    return info.min, info.max


def _within(inner: Bounds, outer: Bounds) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")

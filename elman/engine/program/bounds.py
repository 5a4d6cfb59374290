"""Between what the integers of a graph lie, as far as that follows from what they are made of.

Bools are 0 or 1, constants are known, narrow types end by themselves, a sum of few small numbers is
small. Of an integer tensor from outside nothing is known but its type.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor, fx

from elman.engine.graph.nodes import FILLED, VIEWS, fill_value, name_of

Bounds = tuple[int, int]
Rule = Callable[[Any], Bounds | None]

SAME_VALUES = {*VIEWS, "floor", "ceil", "round", "trunc", "permute", "transpose", "t", "amax",
               "amin"}  # fmt: skip


def find_bounds(graph: fx.Graph) -> None:
    """Note for every bool or integer node, in order, its bounds (`meta["bounds"]`), and whether its
    operation stays within its type, wrapping nothing around (`meta["is_proved"]`)."""
    for node in graph.nodes:
        value = first_value(node)
        if not isinstance(value, Tensor) or not is_integral(value.dtype):
            continue
        computed, whole = _computed(node, value.dtype), whole_range(value.dtype)
        is_proved = computed is not None and within(computed, whole)
        node.meta["bounds"] = computed if is_proved else whole
        node.meta["is_proved"] = is_proved


def has_rule(node: fx.Node) -> bool:
    """Whether something can be known of what an operation on integers gives."""
    return name_of(node) in {*RULES, *SAME_VALUES, *FILLED}


def bounds_of(argument: Any) -> Bounds | None:
    """Of an integer number, or an integer node."""
    if isinstance(argument, bool | int):
        return int(argument), int(argument)
    return argument.meta.get("bounds") if isinstance(argument, fx.Node) else None


def first_value(node: fx.Node) -> Any:
    """The node's value; of several, all of one type, the first."""
    value = node.meta.get("val")
    if isinstance(value, tuple | list):
        return value[0] if value else None
    return value


def is_integral(dtype: torch.dtype) -> bool:
    return not dtype.is_floating_point and not dtype.is_complex


def within(inner: Bounds, outer: Bounds) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def whole_range(dtype: torch.dtype) -> Bounds:
    if dtype == torch.bool:
        return 0, 1
    info = torch.iinfo(dtype)
    return info.min, info.max


def _computed(node: fx.Node, dtype: torch.dtype) -> Bounds | None:
    """Between what the results lie, partial results included, before they wrap around; None if
    that is not known."""
    if dtype == torch.bool or node.op != "call_function":
        return whole_range(dtype)
    name = name_of(node)
    if name in FILLED:
        fill = fill_value(node)
        return None if fill is None else (int(fill), int(fill))
    if name in RULES:
        return RULES[name](node)
    return bounds_of(node.args[0]) if name in SAME_VALUES else None


def _hull(*found: Bounds | None) -> Bounds | None:
    known = [one for one in found if one is not None]
    if len(known) < len(found) or not known:
        return None
    return min(low for low, _ in known), max(high for _, high in known)


# Rules.


def _from_corners(function: Callable[[int, int], int]) -> Rule:
    """For a function of two arguments that takes its extremes at those of its arguments."""

    def rule(node: Any) -> Bounds | None:
        first, second = bounds_of(node.args[0]), bounds_of(node.args[1])
        alpha = node.kwargs.get("alpha", 1)
        if first is None or second is None or not isinstance(alpha, int):
            return None
        scaled = [alpha * bound for bound in second]
        corners = [function(a, b) for a in first for b in scaled]
        # What is scaled has to be exact, too.
        return _hull((min(corners), max(corners)), (min(scaled), max(scaled)))

    return rule


def _extremum(pick: Callable[[int, int], int]) -> Rule:
    def rule(node: Any) -> Bounds | None:
        return _picked(bounds_of(node.args[0]), bounds_of(node.args[1]), pick)

    return rule


def _picked(
    a: Bounds | None, b: Bounds | None, pick: Callable[[int, int], int]
) -> Bounds | None:  # fmt: skip
    return None if a is None or b is None else (pick(a[0], b[0]), pick(a[1], b[1]))


def _clamp(node: Any) -> Bounds | None:
    low, high = [*node.args[1:3], None, None][:2]
    low, high = node.kwargs.get("min", low), node.kwargs.get("max", high)
    found = bounds_of(node.args[0])
    if low is not None:
        found = _picked(found, bounds_of(low), max)
    if high is not None:
        found = _picked(found, bounds_of(high), min)
    return found


def _negated(node: Any) -> Bounds | None:
    found = bounds_of(node.args[0])
    return None if found is None else (-found[1], -found[0])


def _absolute(node: Any) -> Bounds | None:
    found = bounds_of(node.args[0])
    return None if found is None else (0, max(map(abs, found)))


def _remainder(node: Any) -> Bounds | None:
    """By a positive constant."""
    found, divisor = bounds_of(node.args[0]), node.args[1]
    if found is None or not isinstance(divisor, int) or divisor <= 0:
        return None
    is_signed = name_of(node) == "fmod" and found[0] < 0
    return (1 - divisor if is_signed else 0), divisor - 1


def _power(node: Any) -> Bounds | None:
    """To a small constant, which is a few products."""
    found, exponent = bounds_of(node.args[0]), node.args[1]
    if found is None or exponent not in (1, 2, 3, 4):
        return None
    largest = max(map(abs, found)) ** exponent
    return (-largest if found[0] < 0 and exponent % 2 else 0), largest


def _sum(node: Any) -> Bounds | None:
    source, along = node.args[0], node.args[1] if len(node.args) > 1 else None
    found, sizes = bounds_of(source), source.meta["val"].shape
    counted = [sizes[axis] for axis in along] if along else sizes
    if found is None or not all(isinstance(size, int) for size in counted):
        return None
    count = prod(counted)
    return min(0, count * found[0]), max(0, count * found[1])


def _place(node: Any) -> Bounds | None:
    """An argmax."""
    dim = node.args[1] if len(node.args) > 1 else None
    size = node.args[0].meta["val"].shape[dim] if isinstance(dim, int) else None
    return (0, max(size - 1, 0)) if isinstance(size, int) else None


def _arange(node: Any) -> Bounds | None:
    numbers = node.args
    if name_of(node) == "iota":  # length, start and step
        start, step = node.kwargs.get("start", 0), node.kwargs.get("step", 1)
        numbers = (start, start + numbers[0] * step)
    if not all(isinstance(number, int) for number in numbers):
        return None
    return _hull(*map(bounds_of, numbers[:2] if len(numbers) > 1 else (0, *numbers)))


RULES: dict[str, Rule] = {
    "add": _from_corners(lambda a, b: a + b), "sub": _from_corners(lambda a, b: a - b),
    "rsub": _from_corners(lambda a, b: b - a), "mul": _from_corners(lambda a, b: a * b),
    "minimum": _extremum(min), "maximum": _extremum(max), "clamp": _clamp, "neg": _negated,
    "abs": _absolute, "sign": lambda node: (-1, 1), "sgn": lambda node: (-1, 1),
    "remainder": _remainder, "fmod": _remainder, "pow": _power, "sum": _sum,
    "argmax": _place, "argmin": _place, "arange": _arange, "iota": _arange,
    "where": lambda node: _hull(bounds_of(node.args[1]), bounds_of(node.args[2])),
    "cat": lambda node: _hull(*[bounds_of(part) for part in node.args[0]]),
    "slice_scatter": lambda node: _hull(bounds_of(node.args[0]), bounds_of(node.args[1])),
    "select_scatter": lambda node: _hull(bounds_of(node.args[0]), bounds_of(node.args[1])),
}  # fmt: skip
ON_NUMBERS = {
    "add", "sub", "rsub", "mul", "minimum", "maximum", "clamp", "where", "remainder", "fmod", "pow",
}  # fmt: skip
"""Operations whose arguments, up to the third, are what they compute with, not axes or sizes."""

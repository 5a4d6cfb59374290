"""Between what the results of operations on integers lie, partial results included, before they
wrap around.

A rule takes a node whose arguments' bounds are known, and gives None where nothing is known.
"""

from collections.abc import Callable
from math import prod
from typing import Any

from torch import fx

from elman.engine.graph.schemas import bound

Bounds = tuple[int, int]
Rule = Callable[[fx.Node], Bounds | None]


def bounds_of(argument: Any) -> Bounds | None:
    """Of an integer number, or an integer node."""
    if isinstance(argument, bool | int):
        return int(argument), int(argument)
    return argument.meta.get("bounds") if isinstance(argument, fx.Node) else None


def hull(*found: Bounds | None) -> Bounds | None:
    known = [one for one in found if one is not None]
    if len(known) < len(found) or not known:
        return None
    return min(low for low, _ in known), max(high for _, high in known)


def same(node: fx.Node) -> Bounds | None:
    """For what moves or picks numbers of its first argument."""
    return bounds_of(node.args[0])


def corners(function: Callable[[int, int], int]) -> Rule:
    """For a function of two arguments that takes its extremes at those of its arguments."""

    def rule(node: fx.Node) -> Bounds | None:
        first, second = bounds_of(node.args[0]), bounds_of(node.args[1])
        alpha = node.kwargs.get("alpha", 1)
        if first is None or second is None or not isinstance(alpha, int):
            return None
        scaled = [alpha * bound for bound in second]
        found = [function(a, b) for a in first for b in scaled]
        # What is scaled has to be exact, too.
        return hull((min(found), max(found)), (min(scaled), max(scaled)))

    return rule


def extremum(pick: Callable[[int, int], int]) -> Rule:
    def rule(node: fx.Node) -> Bounds | None:
        return _picked(bounds_of(node.args[0]), bounds_of(node.args[1]), pick)

    return rule


def _picked(
    a: Bounds | None, b: Bounds | None, pick: Callable[[int, int], int]
) -> Bounds | None:  # fmt: skip
    return None if a is None or b is None else (pick(a[0], b[0]), pick(a[1], b[1]))


def clamped(node: fx.Node) -> Bounds | None:
    given = bound(node)
    found = bounds_of(given["self"])
    if given["min"] is not None:
        found = _picked(found, bounds_of(given["min"]), max)
    if given["max"] is not None:
        found = _picked(found, bounds_of(given["max"]), min)
    return found


def negated(node: fx.Node) -> Bounds | None:
    found = bounds_of(node.args[0])
    return None if found is None else (-found[1], -found[0])


def absolute(node: fx.Node) -> Bounds | None:
    found = bounds_of(node.args[0])
    return None if found is None else (0, max(map(abs, found)))


def sign(node: fx.Node) -> Bounds:
    return -1, 1


def remainder(is_signed: bool) -> Rule:
    """By a positive constant. is_signed: whether the result has the sign of what is divided."""

    def rule(node: fx.Node) -> Bounds | None:
        found, divisor = bounds_of(node.args[0]), node.args[1]
        if found is None or not isinstance(divisor, int) or divisor <= 0:
            return None
        return (1 - divisor if is_signed and found[0] < 0 else 0), divisor - 1

    return rule


def power(node: fx.Node) -> Bounds | None:
    """To a small constant, which is a few products."""
    found, exponent = bounds_of(node.args[0]), node.args[1]
    if found is None or not isinstance(exponent, int | float) or exponent not in (1, 2, 3, 4):
        return None
    largest = max(map(abs, found)) ** int(exponent)
    return (-largest if found[0] < 0 and exponent % 2 else 0), largest


def total(node: fx.Node) -> Bounds | None:
    """A sum."""
    given = bound(node)
    source, along = given["self"], given.get("dim")
    found, sizes = bounds_of(source), source.meta["val"].shape
    counted = [sizes[axis] for axis in along] if along else sizes
    if found is None or not all(isinstance(size, int) for size in counted):
        return None
    count = prod(counted)
    return min(0, count * found[0]), max(0, count * found[1])


def place(node: fx.Node) -> Bounds | None:
    """An argmax."""
    given = bound(node)
    dim = given["dim"]
    size = given["self"].meta["val"].shape[dim] if isinstance(dim, int) else None
    return (0, max(size - 1, 0)) if isinstance(size, int) else None


def counted(node: fx.Node) -> Bounds | None:
    """An arange."""
    given = bound(node)
    numbers = [given.get("start", 0), given["end"]]
    return _counted(numbers)


def counted_by_length(node: fx.Node) -> Bounds | None:
    """`prims.iota(length, start, step)`."""
    given = bound(node)
    start, step, length = given["start"], given["step"], given["length"]
    if not all(isinstance(number, int) for number in (start, step, length)):
        return None
    return _counted([start, start + length * step])


def _counted(numbers: list[Any]) -> Bounds | None:
    if not all(isinstance(number, int) for number in numbers):
        return None
    return hull(*map(bounds_of, numbers))


def chosen(node: fx.Node) -> Bounds | None:
    """A where."""
    return hull(bounds_of(node.args[1]), bounds_of(node.args[2]))


def joined(node: fx.Node) -> Bounds | None:
    """A cat."""
    return hull(*[bounds_of(part) for part in bound(node)["tensors"]])


def written(node: fx.Node) -> Bounds | None:
    """What is written into a part of another value."""
    return hull(bounds_of(node.args[0]), bounds_of(node.args[1]))

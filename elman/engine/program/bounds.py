"""Between what the integers of a graph lie, as far as that follows from what they are made of.

Bools are 0 or 1, constants are known, narrow types end by themselves, a sum of few small numbers is
small. Of an integer tensor from outside nothing is known but its type.
"""

from typing import Any

import torch
from torch import Tensor, fx

from elman.engine.graph.intervals import Bounds
from elman.engine.graph.nodes import fill_value
from elman.engine.graph.operations import operation_of


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
    operation = operation_of(node)
    return operation.interval is not None or operation.is_filled


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
    operation = operation_of(node)
    if operation.is_filled:
        fill = fill_value(node)
        return None if fill is None else (int(fill), int(fill))
    return None if operation.interval is None else operation.interval(node)

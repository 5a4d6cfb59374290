"""Cleaning a traced graph: no copies that change nothing, nothing computed twice."""

from typing import Any

import torch
from torch import fx

from elman.engine.graph.nodes import is_random, source_of
from elman.engine.graph.operations import Kind, operation_of
from elman.engine.graph.schemas import bound

aten = torch.ops.aten


def simplify(graph: fx.Graph) -> None:
    """Drop aliases and double transpositions, and merge equal nodes, in place."""
    seen: dict[Any, fx.Node] = {}
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        _drop_kept_axis(node)
        replacement = _shortcut(node)
        if replacement is None and not is_random(node):
            key = (node.target, _hashable(node.args), _hashable(node.kwargs))
            replacement = seen.setdefault(key, node)
        if replacement is not None and replacement is not node:
            node.replace_all_uses_with(replacement)
            graph.erase_node(node)
    graph.eliminate_dead_code()


def _drop_kept_axis(node: fx.Node) -> None:
    """`view(sum(x, [0], keepdim=True), x.shape[1:])` is `sum(x, [0])`."""
    if node.target not in (aten.view.default, aten._unsafe_view.default):
        return
    total, shape = source_of(node), tuple(node.meta["val"].shape)
    if total.target is not aten.sum.dim_IntList or total.args[1:] != ([0], True):
        return
    if shape == tuple(total.meta["val"].shape[1:]):
        node.target, node.args = aten.sum.dim_IntList, (total.args[0], [0])


def _shortcut(node: fx.Node) -> fx.Node | None:
    """An earlier node with the same value, where that can be seen from the operation."""
    if operation_of(node).kind is Kind.COPIES:
        return source_of(node)
    if node.target is aten.permute.default:
        source, order = source_of(node), bound(node)["dims"]
        if source.target is aten.permute.default:
            inner = bound(source)["dims"]
            if [inner[i] for i in order] == list(range(len(order))):
                return source_of(source)
    return None


def _hashable(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return (type(value).__name__, *map(_hashable, value))
    if isinstance(value, dict):
        return tuple((key, _hashable(item)) for key, item in value.items())
    # 1 == 1.0 == True, but they are different arguments
    return (type(value).__name__, value) if isinstance(value, bool | int | float) else value

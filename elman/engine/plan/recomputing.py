"""What the backward pass computes again rather than reads."""

from torch import fx

from elman.engine.graph.nodes import is_cheap, is_row_value
from elman.engine.graph.operations import operation_of
from elman.engine.plan.dependencies import Dependencies, Nodes

_MOST = 8
"""Operations to compute again for one value."""


def worth_recomputing(known: Dependencies, saved: list[fx.Node]) -> set[fx.Node]:
    """Nodes that are computed again in registers, from others that are saved, rather than kept in
    memory: a little arithmetic, and at most one elementary function for each."""
    kept, found = set(saved), set[fx.Node]()
    for node in sorted(saved, key=known.order.__getitem__, reverse=True):
        if node in known.trace.outputs or node not in known.from_state:
            continue
        sources = _recomputation(known, node, kept - {node})
        if sources:
            kept.remove(node)
            found |= sources
    return found - kept


def _recomputation(known: Dependencies, node: fx.Node, kept: Nodes) -> set[fx.Node]:
    """The nodes to compute again for this one, or none if that is too much."""
    given = {*known.trace.inputs, *known.trace.closed_nodes}
    found: set[fx.Node] = set()
    stack = [node]
    while stack:
        current = stack.pop()
        if current in found or current in kept or current in given:
            continue
        if current.op == "placeholder" or not is_cheap(current):
            return set()
        found.add(current)
        stack += [source for source in current.all_input_nodes if is_row_value(source)]
    operations = map(operation_of, found)
    functions = [one for one in operations if not one.is_arithmetic and not one.is_view]
    return found if len(found) <= _MOST and len(functions) <= 1 else set()

"""What depends on what in a traced step."""

from collections.abc import Set
from dataclasses import dataclass
from functools import cached_property

from torch import fx

from elman.engine.graph.nodes import (
    ancestors,
    descendants,
    fill_value,
    is_cheap,
    is_part,
    present,
    source_of,
)
from elman.engine.graph.operations import Kind, operation_of
from elman.engine.graph.trace import Trace

Nodes = Set[fx.Node]


@dataclass(frozen=True)
class Dependencies:
    """Sets of nodes of one trace.

    forward: what results are computed from. from_state: what depends on the state. loop: what does,
        and feeds the next state.
    backward: what gradients are computed from. from_cotangent: what depends on the cotangent of the
        next state. back_loop: what does, and feeds that of the state.
    """

    trace: Trace
    nodes: list[fx.Node]
    forward: Nodes
    from_state: Nodes
    loop: Nodes
    backward: Nodes
    from_cotangent: Nodes
    back_loop: Nodes

    @cached_property
    def order(self) -> dict[fx.Node, int]:
        return {node: index for index, node in enumerate(self.nodes)}


def dependencies_of(trace: Trace) -> Dependencies:
    nodes = [node for node in trace.graph.nodes if node.op != "output"]
    forward = ancestors(present([*trace.outputs, *trace.next_state]))
    # Other results of one operation, such as the mask of a dropout, are made in passing.
    forward |= {node for node in nodes if is_part(node) and source_of(node) in forward}
    from_state = descendants(trace.state, nodes)
    backward = ancestors(present([*trace.d_inputs, *trace.d_state, *trace.d_closed]))
    carried = present(trace.cot_state)
    from_cotangent = descendants(carried, nodes)
    back_loop = (from_cotangent & ancestors(present(trace.d_state))) - set(carried)
    back_loop |= {
        node
        for node in backward
        if operation_of(node).kind is Kind.JOINS
        and all(part in back_loop for part in node.all_input_nodes)
    }  # the loop had better write them whole than in pieces that are joined later
    return Dependencies(
        trace=trace, nodes=nodes, forward=forward, from_state=from_state,
        loop=from_state & ancestors(trace.next_state), backward=backward,
        from_cotangent=from_cotangent, back_loop=back_loop,
    )  # fmt: skip


def absorbed(
    known: Dependencies, loop: Nodes, candidates: Nodes, keep: Nodes,
    recomputed: Nodes = frozenset(),
) -> set[fx.Node]:  # fmt: skip
    """The loop's nodes, and elementwise operations and views outside that serve it alone.

    Computing those in registers saves writing and reading a stream for each. keep: what is wanted
    in memory in any case. recomputed: what is computed a second time, for the backward pass.
    """
    inside = set(loop)
    done = known.forward - recomputed  # what the forward pass does with a node, it has done
    for node in reversed(known.nodes):
        if node not in candidates or node in keep or not is_cheap(node):
            continue
        users = set(node.users)
        if node in recomputed:
            users = {user for user in users if user.op != "output"} - done
        is_result = any(user.op == "output" for user in users)
        serves_loop = bool(users) and all(user in inside for user in users)
        if (serves_loop and not is_result) or fill_value(node) is not None:
            inside.add(node)
    return inside

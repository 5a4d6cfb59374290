"""The backward pass, and what it wants of the forward pass."""

from dataclasses import dataclass
from math import prod

from torch import fx

from elman.engine.graph.nodes import (
    fill_value,
    is_random,
    is_row_tensor,
    is_view,
    present,
    row_shape,
    unique,
)
from elman.engine.graph.schemas import name_of
from elman.engine.plan.dependencies import Nodes, absorbed
from elman.engine.plan.one_pass import Pass, Planner
from elman.engine.plan.parts import Loop
from elman.engine.plan.recomputing import worth_recomputing
from elman.errors import UnsupportedStep


def backward_pass(planner: Planner) -> tuple[Pass, list[fx.Node]]:
    """The pass, and the nodes whose values it needs from the forward pass."""
    _, saved = _with_recomputed(planner, frozenset())
    return _with_recomputed(planner, worth_recomputing(planner.known, saved))


def _with_recomputed(planner: Planner, recomputed: Nodes) -> tuple[Pass, list[fx.Node]]:
    known, trace = planner.known, planner.known.trace
    found = _Found(planner, recomputed)
    loop, outputs = _loop(planner, found)
    produced = {*outputs, *present(trace.cot_state)}
    gradients = unique(present([*trace.d_inputs, *trace.d_closed]))
    after = planner.parts.make(
        [node for node in gradients if node not in produced],
        lambda node: node in produced or found.is_ready(node),
    )
    wanted = [node for node in [*loop.streams, *after.inputs] if node not in produced]
    missing = [node for node in unique(wanted) if not found.is_ready(node)]
    before = planner.parts.make(missing, found.is_ready)
    for node in [*before.nodes, *after.nodes]:
        if node in known.forward and is_random(node):  # a second draw would be another one
            raise UnsupportedStep(
                f"what {name_of(node)} at {trace.lines.get(node, 'unknown line')} draws can't "
                f"be kept for the backward pass; the step runs with backend='reference'"
            )
    saved = [node for node in unique([*wanted, *before.inputs]) if found.is_saved(node)]
    done_with = [node for node in saved if node not in after.inputs]
    return planner.made(before, loop, after, done_with), saved


@dataclass(frozen=True)
class _Found:
    """What the backward pass finds ready, if some is computed again."""

    planner: Planner
    recomputed: Nodes

    def is_ready(self, node: fx.Node) -> bool:
        """An argument, or saved by the forward pass."""
        if node.op == "placeholder":
            return True
        known = self.planner.known
        is_kept = node in known.forward and node not in self.recomputed and is_row_tensor(node)
        is_computed = fill_value(node) is None and not is_view(node)
        return is_kept and (is_computed or node in known.loop)

    def is_saved(self, node: fx.Node) -> bool:
        trace = self.planner.known.trace
        given = {*trace.inputs, *trace.closed_nodes, *present(trace.cot_outputs)}
        return self.is_ready(node) and node not in given


def _loop(planner: Planner, found: _Found) -> tuple[Loop, list[fx.Node]]:
    known, trace = planner.known, planner.known.trace
    carried = present(trace.cot_state)
    candidates = known.backward - known.from_cotangent - known.forward | found.recomputed
    inside = absorbed(known, known.back_loop, candidates, frozenset(), found.recomputed)
    lowering = planner.lowering(inside, trace.cot_state)
    following = [
        lowering.zeros(prod(row_shape(state))) if gradient is None else lowering.full(gradient)
        for gradient, state in zip(trace.d_state, trace.state, strict=True)
    ]
    by_loop = {*known.back_loop, *carried}
    frontier, _ = planner.parts.needed(
        unique(present([*trace.d_inputs, *trace.d_closed])),
        lambda node: node in by_loop or found.is_ready(node),
    )
    outputs = unique(node for node in frontier if node in by_loop)
    return planner.loop(lowering, following, outputs), outputs

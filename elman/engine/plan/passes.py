"""A place for every node of a traced step.

| place | rule | runs |
|---|---|---|
| before | does not depend on the state | on all rows of all steps at once |
| forward loop | depends on the state and feeds the next state | step by step |
| after | depends on the state and does not feed it | on all rows at once |
| backward before, loop, after | the same, for the cotangent of the state | the same |

What stands outside the loops becomes straight-line code on folded rows (`parts`); the loops become
row programs. Weight gradients thereby come out as one product over all steps. What a loop needs
from outside, and the backward pass from the forward pass, are streams.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import fx

from elman.engine.graph.trace import Trace
from elman.engine.machine import Limits
from elman.engine.plan.backward import backward_pass
from elman.engine.plan.dependencies import dependencies_of
from elman.engine.plan.forward import forward_pass, joined_products, kept_before
from elman.engine.plan.one_pass import Pass, Planner
from elman.engine.plan.overlay import overlays
from elman.engine.plan.parts import Parts
from elman.engine.program.exact import find_obstacles, require_exact_state
from elman.engine.program.row_program import Types

PassName = Literal["forward", "joined", "backward"]


@dataclass
class Plan:
    """All that running a compiled step needs to know.

    forward: the pass with all products of the input before the loop. joined: the same with small
        ones inside the loop, which saves a stream; None if there are none, or if they are large.
    saved: nodes whose folded values the forward pass keeps for the backward pass.
    before_all_at_once: whether what comes before the forward loop is kept, too.
    overlaid: saved values that share a buffer: the output of the backward loop that overwrites it,
        and the number of the value's columns in it.
    """

    trace: Trace
    forward: Pass
    joined: Pass | None
    backward: Pass | None
    saved: list[fx.Node]
    before_all_at_once: bool
    overlaid: dict[fx.Node, tuple[fx.Node, int]]
    limits: Limits

    def pass_of(self, name: PassName) -> Pass:
        found = {"forward": self.forward, "joined": self.joined, "backward": self.backward}[name]
        assert found is not None
        return found

    def joins(self, steps: int, rows: int) -> bool:
        """Whether products of the input run inside the loop. That depends on sizes alone, so that
        results do not depend on anything else."""
        if self.joined is None:
            return False
        limits = self.limits
        return rows >= limits.joined_rows or steps * self._joined_bytes <= limits.joined_bytes

    def states_that_are_outputs(self) -> dict[fx.Node, fx.Node]:
        """Outputs that are also the next state, and that state, of which the backward pass wants to
        know what it was before each step. If rows follow one another evenly and none is reset, it
        lies in the output's memory, one step apart; unless it is an output itself."""
        elsewhere = {*self.trace.outputs, *self.overlaid}
        return {
            output: state
            for output, state in zip(self.trace.next_state, self.trace.state, strict=True)
            if output in self.trace.outputs and state in self.saved and state not in elsewhere
        }

    @cached_property
    def _joined_bytes(self) -> int:
        assert self.joined is not None
        program = self.joined.loop.program
        return sum(k * n for k, n in program.weights) * program.dtype.itemsize


def plan(trace: Trace, types: Types, with_gradients: bool, limits: Limits) -> Plan:
    """Place every node and write the two row programs.

    Raises:
        elman.errors.UnsupportedStep: an operation of a loop can't be lowered.
    """
    find_obstacles(trace.graph, types)
    require_exact_state(trace.state, types)
    known = dependencies_of(trace)
    planner = Planner(known, Parts(trace, types, limits), types, limits)
    backward, saved = backward_pass(planner) if with_gradients else (None, [])
    products = joined_products(planner, set(saved))
    forward = forward_pass(planner, saved, frozenset())
    joined = forward_pass(planner, saved, products) if products else None
    return Plan(
        trace=trace,
        forward=forward,
        joined=joined,
        backward=backward,
        saved=saved,
        before_all_at_once=bool(kept_before(known, saved)),
        overlaid={} if backward is None else _overlaid(trace, forward, joined, backward, saved),
        limits=limits,
    )


def _overlaid(
    trace: Trace, forward: Pass, joined: Pass | None, backward: Pass, saved: list[fx.Node]
) -> dict[fx.Node, tuple[fx.Node, int]]:
    by_loop = set(forward.loop.outputs) - set(trace.outputs)
    by_loop &= set(joined.loop.outputs) if joined is not None else by_loop
    found = overlays(backward.loop, by_loop & set(saved), set(backward.after.inputs))
    return {
        node: (output, number)
        for output, nodes in found.items() for number, node in enumerate(nodes)
    }  # fmt: skip

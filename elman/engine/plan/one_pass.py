"""One run over time, and how it is put together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from torch import fx

from elman.engine.graph.nodes import row_shape, transposed_weight, unique
from elman.engine.machine import Limits
from elman.engine.plan.dependencies import Dependencies, Nodes
from elman.engine.plan.parts import Loop, Part, Parts
from elman.engine.program.lower import Lowering
from elman.engine.program.row_program import Types


@dataclass(frozen=True)
class Pass:
    """What is computed once from what all rows share, what comes before the loop, the loop, and
    what comes after. done_with: saved values that nothing needs after the loop (of the backward
    pass)."""

    shared: Part
    before: Part
    loop: Loop
    after: Part
    done_with: list[fx.Node] = field(default_factory=list)


@dataclass(frozen=True)
class Planner:
    """All that passes are made from."""

    known: Dependencies
    parts: Parts
    types: Types
    limits: Limits

    def lowering(self, inside: Nodes, state: Sequence[fx.Node | None]) -> Lowering:
        """For a loop of the nodes `inside`, which carries the state."""
        return Lowering(
            lambda node: "here" if node in inside else "stream",
            state, self.types, self.known.trace.lines,
        )  # fmt: skip

    def loop(self, lowering: Lowering, following: list[int], outputs: list[fx.Node]) -> Loop:
        """following: the ops of the state after a step."""
        indices = [lowering.full(node) for node in outputs]
        widths = [prod(row_shape(node)) for node in self.known.trace.state]
        program = lowering.program(following, indices, widths)
        return Loop(program, lowering.streams, outputs, lowering.vectors, lowering.weights)

    def made(
        self, before: Part, loop: Loop, after: Part, done_with: list[fx.Node] | None = None
    ) -> Pass:
        nodes = [node for node, _ in loop.vectors if isinstance(node, fx.Node)]
        targets = unique([*nodes, *(w for w in loop.weights if transposed_weight(w) is None)])
        shared = self.parts.make(targets, lambda node: node.op == "placeholder", fuse=False)
        return Pass(shared, before, loop, after, done_with or [])

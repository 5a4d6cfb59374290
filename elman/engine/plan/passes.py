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
from math import prod

from torch import fx

from elman.engine.graph.nodes import (
    ancestors,
    descendants,
    factors,
    fill_value,
    is_cheap,
    is_part,
    is_product,
    is_product_of_rows,
    is_random,
    is_row_tensor,
    is_row_value,
    is_view,
    present,
    row_shape,
    source_of,
    transposed_weight,
    unique,
)
from elman.engine.graph.operations import Kind, operation_of
from elman.engine.graph.schemas import name_of
from elman.engine.graph.trace import Trace
from elman.engine.machine import Limits
from elman.engine.plan.overlay import overlays
from elman.engine.plan.parts import Loop, Part, Parts
from elman.engine.program.exact import find_obstacles, require_exact_state
from elman.engine.program.lower import Lowering
from elman.engine.program.row_program import Types
from elman.errors import UnsupportedStep


@dataclass
class Pass:
    """One run over time: what is computed once from what all rows share, what comes before the
    loop, the loop, and what comes after. done_with: saved values that nothing needs after the loop
    (of the backward pass)."""

    shared: Part
    before: Part
    loop: Loop
    after: Part
    done_with: list[fx.Node]


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
    return _Planner(trace, types, limits).plan(with_gradients)


class _Planner:
    def __init__(self, trace: Trace, types: Types, limits: Limits) -> None:
        self._trace = trace
        self._types = types
        self._limits = limits
        find_obstacles(trace.graph, types)
        require_exact_state(trace.state, types)
        self._nodes = [node for node in trace.graph.nodes if node.op != "output"]
        self._order = {node: index for index, node in enumerate(self._nodes)}
        self._parts = Parts(trace, types, limits)
        results = present([*trace.outputs, *trace.next_state])
        self._forward = ancestors(results)
        # Other results of one operation, such as the mask of a dropout, are made in passing.
        self._forward |= {
            node for node in self._nodes
            if is_part(node) and source_of(node) in self._forward
        }  # fmt: skip
        self._from_state = descendants(trace.state, self._nodes)
        carried = present(trace.cot_state)
        self._from_cotangent = descendants(carried, self._nodes)
        self._loop = self._from_state & ancestors(trace.next_state)
        self._back_loop = self._from_cotangent & ancestors(present(trace.d_state))
        self._back_loop -= set(carried)
        gradients = present([*trace.d_inputs, *trace.d_state, *trace.d_closed])
        self._backward = ancestors(gradients)
        self._back_loop |= {
            node
            for node in self._backward
            if operation_of(node).kind is Kind.JOINS
            and all(part in self._back_loop for part in node.all_input_nodes)
        }  # the loop had better write them whole than in pieces that are joined later
        self._recomputed: set[fx.Node] = set()

    def plan(self, with_gradients: bool) -> Plan:
        backward, saved = self._backward_pass() if with_gradients else (None, [])
        kept_before = [n for n in saved if n not in self._from_state]
        products = self._joined_products(set(saved))
        forward = self._forward_pass(saved, kept_before, set())
        joined = self._forward_pass(saved, kept_before, products) if products else None
        overlaid = {}
        if backward is not None:
            by_loop = set(forward.loop.outputs) - set(self._trace.outputs)
            by_loop &= set(joined.loop.outputs) if joined is not None else by_loop
            found = overlays(backward.loop, by_loop & set(saved), set(backward.after.inputs))
            overlaid = {
                node: (output, number)
                for output, nodes in found.items() for number, node in enumerate(nodes)
            }  # fmt: skip
        return Plan(
            trace=self._trace,
            forward=forward,
            joined=joined,
            backward=backward,
            saved=saved,
            before_all_at_once=bool(kept_before),
            overlaid=overlaid,
            limits=self._limits,
        )

    def _forward_pass(
        self, saved: list[fx.Node], kept_before: list[fx.Node], joined: set[fx.Node]
    ) -> Pass:
        loop = self._forward_loop(saved, joined)
        wanted = self._before_targets(loop, kept_before)
        _, before = self._parts.needed(wanted, lambda node: node.op == "placeholder")
        made = self._from_state | set(before)
        after = self._parts.make(
            self._after_targets(saved),
            # What only this part needs had better be made in it than written and read again.
            lambda node: self._ready_after(node) and (node.op == "placeholder" or node in made),
        )
        return self._pass(self._before(wanted, after), loop, after)

    def _backward_pass(self) -> tuple[Pass, list[fx.Node]]:
        """The pass, and the nodes whose values it needs from the forward pass."""
        self._recomputed = set()
        _, saved = self._backward_with_what_is_saved()
        self._recomputed = self._worth_recomputing(saved)
        return self._backward_with_what_is_saved()

    def _backward_with_what_is_saved(self) -> tuple[Pass, list[fx.Node]]:
        trace = self._trace
        loop, outputs = self._backward_loop()
        produced = set(outputs) | set(present(trace.cot_state))
        targets = [
            node for node in unique(present([*trace.d_inputs, *trace.d_closed]))
            if node not in produced
        ]  # fmt: skip
        after = self._parts.make(targets, lambda node: node in produced or self._kept(node))
        wanted = [n for n in [*loop.streams, *after.inputs] if n not in produced]
        before = self._parts.make([n for n in unique(wanted) if not self._kept(n)], self._kept)
        for node in [*before.nodes, *after.nodes]:
            if node in self._forward and is_random(node):  # a second draw would be another one
                raise UnsupportedStep(
                    f"what {name_of(node)} at {trace.lines.get(node, 'unknown line')} draws can't "
                    f"be kept for the backward pass; the step runs with backend='reference'"
                )
        needed = unique([*wanted, *before.inputs])
        saved = [node for node in needed if self._saves(node)]
        made = self._pass(before, loop, after)
        made.done_with = [node for node in saved if node not in after.inputs]
        return made, saved

    def _worth_recomputing(self, saved: list[fx.Node]) -> set[fx.Node]:
        """Nodes that are computed again in registers, from others that are saved, rather than kept
        in memory: a little arithmetic, and at most one elementary function for each."""
        kept, found = set(saved), set()
        for node in sorted(saved, key=self._order.__getitem__, reverse=True):
            if node in self._trace.outputs or node not in self._from_state:
                continue
            sources = self._recomputation(node, kept - {node})
            if sources:
                kept.remove(node)
                found |= sources
        return found - kept

    def _recomputation(self, node: fx.Node, kept: set[fx.Node]) -> set[fx.Node]:
        """The nodes to compute again for this one, or none if that is too much."""
        given = {*self._trace.inputs, *self._trace.closed_nodes}
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
        known = map(operation_of, found)
        functions = [one for one in known if not one.is_arithmetic and not one.is_view]
        return found if len(found) <= 8 and len(functions) <= 1 else set()

    def _joined_products(self, keep: set[fx.Node]) -> set[fx.Node]:
        """Products of the input that only the loop reads, if all weights together stay in a cache;
        a product before the loop would write and read a stream."""
        candidates = self._forward - self._from_state
        inside = self._absorbing(self._loop, candidates, keep)
        found = {
            node for node in candidates
            if is_product_of_rows(node) and node not in keep
            and all(user in inside for user in node.users)
        }  # fmt: skip
        products = [node for node in (*found, *self._loop) if is_product(node)]
        weights = {factors(node)[1] for node in products}
        size = sum(prod(weight.meta["val"].shape) for weight in weights)
        fits = size * self._types.stored.itemsize <= self._limits.joined_weight_bytes
        return found if fits else set()

    # What is known without computing it in the backward pass.

    def _kept(self, node: fx.Node) -> bool:
        """A value that the backward pass finds ready: an argument, or saved by the forward pass."""
        if node.op == "placeholder":
            return True
        return (
            node in self._forward - self._recomputed
            and is_row_tensor(node)
            and self._depends_on_rows(node)
        )

    def _saves(self, node: fx.Node) -> bool:
        given = {*self._trace.inputs, *self._trace.closed_nodes, *present(self._trace.cot_outputs)}
        return self._kept(node) and node not in given

    def _depends_on_rows(self, node: fx.Node) -> bool:
        return (fill_value(node) is None and not is_view(node)) or node in self._loop

    # Loops.

    def _forward_loop(self, saved: list[fx.Node], joined: set[fx.Node]) -> Loop:
        trace = self._trace
        loop = self._loop | joined
        inside = self._absorbing(loop, self._forward - self._from_state, set(saved))
        lowering = Lowering(
            lambda node: "here" if node in inside else "stream",
            trace.state, self._types, trace.lines,
        )  # fmt: skip
        following = [lowering.full(node) for node in trace.next_state]
        wanted = [n for n in trace.outputs if n in self._loop or n in trace.state]
        wanted += [n for n in saved if n in self._loop or n in trace.state]
        wanted += [
            n for n in self._parts.needed(self._after_targets(saved), self._ready_after)[0]
            if n in self._loop or n in trace.state
        ]  # fmt: skip
        return self._loop_of(lowering, following, unique(wanted), trace.state)

    def _backward_loop(self) -> tuple[Loop, list[fx.Node]]:
        trace = self._trace
        carried = present(trace.cot_state)
        candidates = self._backward - self._from_cotangent - self._forward | self._recomputed
        inside = self._absorbing(self._back_loop, candidates, set())
        lowering = Lowering(
            lambda node: "here" if node in inside else "stream",
            trace.cot_state, self._types, trace.lines,
        )  # fmt: skip
        following = [
            lowering.zeros(prod(row_shape(state))) if gradient is None else lowering.full(gradient)
            for gradient, state in zip(trace.d_state, trace.state, strict=True)
        ]
        targets = present([*trace.d_inputs, *trace.d_closed])
        frontier, _ = self._parts.needed(
            unique(targets),
            lambda node: node in self._back_loop or node in carried or self._kept(node),
        )
        outputs = [n for n in frontier if n in self._back_loop or n in carried]
        return self._loop_of(lowering, following, unique(outputs), trace.state), outputs

    def _loop_of(
        self, lowering: Lowering, following: list[int], outputs: list[fx.Node],
        state: list[fx.Node],
    ) -> Loop:  # fmt: skip
        indices = [lowering.full(node) for node in outputs]
        widths = [prod(row_shape(node)) for node in state]
        program = lowering.program(following, indices, widths)
        return Loop(program, lowering.streams, outputs, lowering.vectors, lowering.weights)

    def _pass(self, before: Part, loop: Loop, after: Part) -> Pass:
        nodes = [node for node, _ in loop.vectors if isinstance(node, fx.Node)]
        targets = unique([*nodes, *(w for w in loop.weights if transposed_weight(w) is None)])
        shared = self._parts.make(targets, lambda n: n.op == "placeholder", fuse=False)
        return Pass(shared, before, loop, after, [])

    def _absorbing(
        self, loop: set[fx.Node], candidates: set[fx.Node], keep: set[fx.Node]
    ) -> set[fx.Node]:
        """The loop's nodes, and elementwise operations and views outside that serve it alone.

        Computing those in registers saves writing and reading a stream for each.
        """
        inside = set(loop)
        for node in reversed(self._nodes):
            if node in candidates and node not in keep and is_cheap(node):
                users = set(node.users)
                if node in self._recomputed:  # what the forward pass does with it, it has done
                    users = {u for u in users if u.op != "output"} - (
                        self._forward - self._recomputed
                    )
                is_result = any(user.op == "output" for user in users)
                serves_loop = bool(users) and all(user in inside for user in users)
                if (serves_loop and not is_result) or fill_value(node) is not None:
                    inside.add(node)
        return inside

    # Parts outside the loops.

    def _before_targets(self, loop: Loop, saved: list[fx.Node]) -> list[fx.Node]:
        outside = [n for n in self._trace.outputs if n not in self._from_state]
        streams = [n for n in loop.streams if n.op != "placeholder"]
        return unique([*streams, *saved, *outside])

    def _before(self, targets: list[fx.Node], after: Part) -> Part:
        read = [n for n in after.inputs if n not in self._from_state and n.op != "placeholder"]
        return self._parts.make(unique([*targets, *read]), lambda node: node.op == "placeholder")

    def _after_targets(self, saved: list[fx.Node]) -> list[fx.Node]:
        results = [*self._trace.outputs, *saved]
        given = {*self._trace.state}
        return [
            n for n in unique(results)
            if n in self._from_state and n not in self._loop and n not in given
        ]  # fmt: skip

    def _ready_after(self, node: fx.Node) -> bool:
        if node.op == "placeholder":
            return True
        if node in self._loop:
            return is_row_tensor(node)
        # What was computed before the loop is kept rather than computed again, unless it is cheap.
        return node not in self._from_state and is_row_tensor(node) and not is_cheap(node)

"""A place for every node of a traced step.

| place | rule | runs |
|---|---|---|
| before | does not depend on the state | on all rows of all steps at once |
| forward loop | depends on the state and feeds the next state | step by step |
| after | depends on the state and does not feed it | on all rows at once |
| backward before, loop, after | the same, for the cotangent of the state | the same |

What stands outside the loops becomes straight-line functions of torch operations on folded rows
(`Part`); the loops become row programs. Weight gradients thereby come out as one product over all
steps. What a loop needs from outside, and the backward pass from the forward pass, are streams.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor, fx

from elman.engine import faster
from elman.engine.lower import Lowering, _fill_value, _is_row_value, is_count, row_shape
from elman.engine.program import RowProgram
from elman.engine.rows import name_of
from elman.engine.trace import Trace
from elman.errors import UnsupportedStep

_FASTER = {
    torch.ops.aten.mm.default: faster.mm,
    torch.ops.aten.addmm.default: faster.addmm,
    torch.ops.prims.var.default: faster.var,
}
_ARITHMETIC = {
    "add", "sub", "rsub", "mul", "neg", "abs", "minimum", "maximum", "where", "lt", "le", "gt",
    "ge", "eq", "ne", "relu", "clamp", "logical_and", "logical_or", "logical_not", "bitwise_not",
}  # fmt: skip
_PRODUCTS = {torch.ops.aten.mm.default, torch.ops.aten.addmm.default}
CACHE_BYTES = 640 << 10
"""Weights of a loop up to this size stay in a core's second cache beside everything else."""
_VIEWS = {
    "view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "expand", "split_with_sizes",
    "getitem", "slice", "select", "unbind", "broadcast_in_dim", "cat", "_to_copy",
    "convert_element_type", "full", "full_like", "zeros_like", "ones_like",
}  # fmt: skip


@dataclass
class Part:
    """Straight-line torch code that runs on folded rows.

    Call it as `function(rows, *values of inputs)`; it returns the values of `targets` as a tuple.
    nodes: what it computes, in order.
    """

    inputs: list[fx.Node]
    targets: list[fx.Node]
    nodes: list[fx.Node]
    function: Callable[..., tuple] = field(repr=False)


@dataclass
class Loop:
    """A row program, and the nodes that its streams stand for.

    streams: nodes whose folded values it reads. outputs: nodes whose values it writes for every
    (time, row). vectors, weights: come from `shared`, a part that runs once a call; its targets
    are the nodes in `shared.targets`; `vectors` holds (node or fill value, shape).
    """

    program: RowProgram
    streams: list[fx.Node]
    outputs: list[fx.Node]
    vectors: list[tuple[fx.Node | float, tuple[int, ...]]]
    weights: list[fx.Node]
    shared: Part


@dataclass
class Pass:
    """One run over time: what comes before its loop, the loop, and what comes after."""

    before: Part
    loop: Loop
    after: Part


@dataclass
class Plan:
    """All that running a compiled step needs to know.

    forward: the pass with all products of the input before the loop. joined: the same with small
        ones inside the loop, which saves a stream; None if there are none, or if they are large.
    saved: nodes whose folded values the forward pass keeps for the backward pass.
    before_all_at_once: whether what comes before the forward loop is kept, too.
    """

    trace: Trace
    forward: Pass
    joined: Pass | None
    backward: Pass | None
    saved: list[fx.Node]
    before_all_at_once: bool


def plan(trace: Trace, dtype: torch.dtype, with_gradients: bool) -> Plan:
    """Place every node and write the two row programs.

    Raises:
        elman.errors.UnsupportedStep: an operation of a loop can't be lowered.
    """
    return _Planner(trace, dtype).plan(with_gradients)


class _Planner:
    def __init__(self, trace: Trace, dtype: torch.dtype) -> None:
        self._trace = trace
        self._dtype = dtype
        self._nodes = [node for node in trace.graph.nodes if node.op != "output"]
        self._order = {node: index for index, node in enumerate(self._nodes)}
        results = _present([*trace.outputs, *trace.next_state])
        self._forward = _ancestors(results)
        # Other results of one operation, such as the mask of a dropout, are made in passing.
        self._forward |= {
            node for node in self._nodes
            if name_of(node) == "getitem" and node.args[0] in self._forward
        }  # fmt: skip
        self._from_state = self._descendants(trace.state)
        carried = _present(trace.cot_state)
        self._from_cotangent = self._descendants(carried)
        self._loop = self._from_state & _ancestors(trace.next_state)
        self._back_loop = self._from_cotangent & _ancestors(_present(trace.d_state))
        self._back_loop -= set(carried)
        gradients = _present([*trace.d_inputs, *trace.d_state, *trace.d_closed])
        self._backward = _ancestors(gradients)
        self._back_loop |= {
            node
            for node in self._backward
            if node.target is torch.ops.aten.cat.default
            and all(part in self._back_loop for part in node.args[0])
        }  # the loop had better write them whole than in pieces that are joined later
        self._recomputed: set[fx.Node] = set()

    def plan(self, with_gradients: bool) -> Plan:
        backward, saved = self._backward_pass() if with_gradients else (None, [])
        kept_before = [n for n in saved if n not in self._from_state]
        joined = self._joined_products(set(saved))
        return Plan(
            trace=self._trace,
            forward=self._forward_pass(saved, kept_before, set()),
            joined=self._forward_pass(saved, kept_before, joined) if joined else None,
            backward=backward,
            saved=saved,
            before_all_at_once=bool(kept_before),
        )

    def _forward_pass(
        self, saved: list[fx.Node], kept_before: list[fx.Node], joined: set[fx.Node]
    ) -> Pass:
        loop = self._forward_loop(saved, joined)
        after = self._part(self._after_targets(saved), self._ready_after)
        return Pass(self._before(loop, kept_before, after), loop, after)

    def _backward_pass(self) -> tuple[Pass, list[fx.Node]]:
        """The pass, and the nodes whose values it needs from the forward pass."""
        self._recomputed = set()
        _, saved = self._backward_with_what_is_saved()
        self._recomputed = self._worth_recomputing(saved)
        return self._backward_with_what_is_saved()

    def _backward_with_what_is_saved(self) -> tuple[Pass, list[fx.Node]]:
        trace = self._trace
        loop, outputs = self._backward_loop()
        produced = set(outputs) | set(_present(trace.cot_state))
        targets = [
            node for node in _unique(_present([*trace.d_inputs, *trace.d_closed]))
            if node not in produced
        ]  # fmt: skip
        after = self._part(targets, lambda node: node in produced or self._kept(node))
        wanted = [n for n in [*loop.streams, *after.inputs] if n not in produced]
        before = self._part([n for n in _unique(wanted) if not self._kept(n)], self._kept)
        for node in [*before.nodes, *after.nodes]:
            if node in self._forward and _is_random(node):  # a second draw would be another one
                raise UnsupportedStep(
                    f"what {name_of(node)} at {trace.lines.get(node, 'unknown line')} draws can't "
                    f"be kept for the backward pass; the step runs with backend='reference'"
                )
        needed = _unique([*wanted, *before.inputs])
        return Pass(before, loop, after), [node for node in needed if self._saves(node)]

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
            if current.op == "placeholder" or not _is_cheap(current):
                return set()
            found.add(current)
            stack += [source for source in current.all_input_nodes if _is_row_value(source)]
        functions = [n for n in found if name_of(n) not in _ARITHMETIC and name_of(n) not in _VIEWS]
        return found if len(found) <= 8 and len(functions) <= 1 else set()

    def _joined_products(self, keep: set[fx.Node]) -> set[fx.Node]:
        """Products of the input that only the loop reads, if all weights together stay in the
        cache; a product before the loop would write and read a stream."""
        candidates = self._forward - self._from_state
        inside = self._absorbing(self._loop, candidates, keep)
        found = {
            node for node in candidates
            if node.target in _PRODUCTS and node not in keep and _is_row_tensor(node)
            and not _is_row_value(node.args[-1]) and _is_row_value(node.args[-2])
            and all(user in inside for user in node.users)
        }  # fmt: skip
        weights = {node.args[-1] for node in [*found, *self._loop] if node.target in _PRODUCTS}
        size = sum(prod(weight.meta["val"].shape) for weight in weights)
        return found if size * self._dtype.itemsize <= CACHE_BYTES else set()

    # What is known without computing it in the backward pass.

    def _kept(self, node: fx.Node) -> bool:
        """A value that the backward pass finds ready: an argument, or saved by the forward pass."""
        if node.op == "placeholder":
            return True
        return (
            node in self._forward - self._recomputed
            and _is_row_tensor(node)
            and self._depends_on_rows(node)
        )

    def _saves(self, node: fx.Node) -> bool:
        given = {*self._trace.inputs, *self._trace.closed_nodes, *_present(self._trace.cot_outputs)}
        return self._kept(node) and node not in given

    def _depends_on_rows(self, node: fx.Node) -> bool:
        return (_fill_value(node) is None and not _is_view(node)) or node in self._loop

    # Loops.

    def _forward_loop(self, saved: list[fx.Node], joined: set[fx.Node]) -> Loop:
        trace = self._trace
        loop = self._loop | joined
        inside = self._absorbing(loop, self._forward - self._from_state, set(saved))
        lowering = Lowering(
            lambda node: "here" if node in inside else "stream",
            trace.state, self._dtype, trace.lines,
        )  # fmt: skip
        following = [lowering.full(node) for node in trace.next_state]
        wanted = [n for n in trace.outputs if n in self._loop or n in trace.state]
        wanted += [n for n in saved if n in self._loop or n in trace.state]
        wanted += [
            n for n in self._part(self._after_targets(saved), self._ready_after).inputs
            if n in self._loop or n in trace.state
        ]  # fmt: skip
        return self._loop_of(lowering, following, _unique(wanted), trace.state)

    def _backward_loop(self) -> tuple[Loop, list[fx.Node]]:
        trace = self._trace
        carried = _present(trace.cot_state)
        candidates = self._backward - self._from_cotangent - self._forward | self._recomputed
        inside = self._absorbing(self._back_loop, candidates, set())
        lowering = Lowering(
            lambda node: "here" if node in inside else "stream",
            trace.cot_state, self._dtype, trace.lines,
        )  # fmt: skip
        following = [
            lowering.zeros(prod(row_shape(state))) if gradient is None else lowering.full(gradient)
            for gradient, state in zip(trace.d_state, trace.state, strict=True)
        ]
        targets = _present([*trace.d_inputs, *trace.d_closed])
        frontier = self._part(
            _unique(targets),
            lambda node: node in self._back_loop or node in carried or self._kept(node),
        ).inputs
        outputs = [n for n in frontier if n in self._back_loop or n in carried]
        return self._loop_of(lowering, following, _unique(outputs), trace.state), outputs

    def _loop_of(
        self, lowering: Lowering, following: list[int], outputs: list[fx.Node],
        state: list[fx.Node],
    ) -> Loop:  # fmt: skip
        indices = [lowering.full(node) for node in outputs]
        widths = [prod(row_shape(node)) for node in state]
        program = lowering.program(following, indices, widths)
        nodes = [node for node, _ in lowering.vectors if isinstance(node, fx.Node)]
        shared = self._part(_unique([*nodes, *lowering.weights]), lambda n: n.op == "placeholder")
        return Loop(program, lowering.streams, outputs, lowering.vectors, lowering.weights, shared)

    def _absorbing(
        self, loop: set[fx.Node], candidates: set[fx.Node], keep: set[fx.Node]
    ) -> set[fx.Node]:
        """The loop's nodes, and elementwise operations and views outside that serve it alone.

        Computing those in registers saves writing and reading a stream for each.
        """
        inside = set(loop)
        for node in reversed(self._nodes):
            if node in candidates and node not in keep and _is_cheap(node):
                users = set(node.users)
                if node in self._recomputed:  # what the forward pass does with it, it has done
                    users = {u for u in users if u.op != "output"} - (
                        self._forward - self._recomputed
                    )
                is_result = any(user.op == "output" for user in users)
                serves_loop = bool(users) and all(user in inside for user in users)
                if (serves_loop and not is_result) or _fill_value(node) is not None:
                    inside.add(node)
        return inside

    # Parts outside the loops.

    def _before(self, loop: Loop, saved: list[fx.Node], after: Part) -> Part:
        outside = [n for n in self._trace.outputs if n not in self._from_state]
        read = [n for n in after.inputs if n not in self._from_state and n.op != "placeholder"]
        streams = [n for n in loop.streams if n.op != "placeholder"]
        targets = _unique([*streams, *saved, *outside, *read])
        return self._part(targets, lambda node: node.op == "placeholder")

    def _after_targets(self, saved: list[fx.Node]) -> list[fx.Node]:
        results = [*self._trace.outputs, *saved]
        given = {*self._trace.state}
        return [
            n for n in _unique(results)
            if n in self._from_state and n not in self._loop and n not in given
        ]  # fmt: skip

    def _ready_after(self, node: fx.Node) -> bool:
        if node.op == "placeholder":
            return True
        if node in self._loop:
            return _is_row_tensor(node)
        # What was computed before the loop is kept rather than computed again, unless it is cheap.
        return node not in self._from_state and _is_row_tensor(node) and not _is_cheap(node)

    def _part(self, targets: list[fx.Node], is_ready: Callable[[fx.Node], bool]) -> Part:
        """Code for `targets` from what is ready."""
        inside: set[fx.Node] = set()
        inputs: list[fx.Node] = []
        stack = list(targets)
        while stack:
            node = stack.pop()
            if node in inside or node in inputs:
                continue
            if self._is_row_count(node):
                continue
            if is_ready(node):
                inputs.append(node)
            else:
                inside.add(node)
                stack.extend(node.all_input_nodes)
        inputs.sort(key=self._order.__getitem__)
        nodes = sorted(inside, key=self._order.__getitem__)
        return Part(inputs, targets, nodes, self._code(inputs, inside, targets))

    def _code(
        self, inputs: list[fx.Node], inside: set[fx.Node], targets: list[fx.Node]
    ) -> Callable[..., tuple]:
        graph = fx.Graph()
        copies: dict[fx.Node, fx.Node] = {}
        rows = graph.placeholder("rows")
        for index, node in enumerate(inputs):
            copies[node] = graph.placeholder(f"value_{index}")

        def copy_of(node: fx.Node) -> fx.Node:
            return rows if self._is_row_count(node) else copies[node]

        for node in self._nodes:
            if node in inside:
                copies[node] = copy = graph.node_copy(node, copy_of)
                copy.target = _FASTER.get(node.target, node.target)
        graph.output(tuple(copy_of(node) for node in targets))
        return fx.GraphModule(torch.nn.Module(), graph).forward

    def _is_row_count(self, node: fx.Node) -> bool:
        value = node.meta.get("val")
        return isinstance(value, torch.SymInt) and value.node.expr == self._trace.rows

    def _descendants(self, sources: Iterable[fx.Node]) -> set[fx.Node]:
        """What depends on the data of the sources, not only on their number of rows."""
        found = set(sources)
        for node in self._nodes:
            value = node.meta.get("val")
            if isinstance(value, torch.SymInt | int):
                continue
            if any(source in found for source in node.all_input_nodes):
                found.add(node)
        return found


def _is_cheap(node: fx.Node) -> bool:
    """Elementwise or a view, and the same each time it is computed."""
    tags: Any = getattr(node.target, "tags", ())
    if _is_random(node) or name_of(node) == "embedding":
        return False
    value = node.meta.get("val")
    if isinstance(value, Tensor) and not (value.is_floating_point() or is_count(node)):
        return False
    return torch.Tag.pointwise in tags or _is_view(node)


def _is_random(node: fx.Node) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def _is_view(node: fx.Node) -> bool:
    """A view, or a constant; not one of several results that are computed together."""
    if name_of(node) == "getitem" and name_of(node.args[0]) not in _VIEWS:
        return False
    return name_of(node) in _VIEWS


def _is_row_tensor(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), Tensor) and _is_row_value(node)


def _ancestors(nodes: Iterable[fx.Node]) -> set[fx.Node]:
    found: set[fx.Node] = set()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack.extend(node.all_input_nodes)
    return found


def _present(nodes: Iterable[fx.Node | None]) -> list[fx.Node]:
    return [node for node in nodes if node is not None]


def _unique(nodes: Iterable[fx.Node]) -> list[fx.Node]:
    return list(dict.fromkeys(nodes))

"""Straight-line code outside the loops, on the folded rows of many time steps at once.

What can be lowered is fused into row programs without a state, which pass over the rows once and
keep what is between in registers; products, sums over rows, random draws and the rest are torch
operations. The two kinds take turns.
"""

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, fx

from elman.engine.graph.nodes import (
    factors,
    is_elementwise,
    is_product_of_rows,
    is_random,
    is_row_value,
    is_view,
    row_shape,
    source_of,
    unique,
)
from elman.engine.graph.operations import Kind, operation_of, products_of_one_left
from elman.engine.graph.schemas import bound, name_of
from elman.engine.graph.trace import Trace
from elman.engine.machine import Limits
from elman.engine.program.lower import Lowering
from elman.engine.program.row_program import RowProgram, Types
from elman.errors import UnsupportedStep


@dataclass
class TorchCode:
    """Operations of torch. The graph takes the number of rows and the values of `inputs`, and gives
    those of `targets`."""

    inputs: list[fx.Node]
    targets: list[fx.Node]
    graph: fx.Graph = field(repr=False)


@dataclass
class Loop:
    """A row program, and the nodes that its streams stand for.

    streams: nodes whose folded values it reads. outputs: nodes whose values it writes for every
    row. sums: sums over rows that it takes in passing. vectors: (node or fill value, shape within a
    row) of what all rows share. weights: the nodes of its weights.
    """

    program: RowProgram
    streams: list[fx.Node]
    outputs: list[fx.Node]
    vectors: list[tuple[fx.Node | float, tuple[int, ...]]]
    weights: list[fx.Node]
    sums: list[fx.Node] = field(default_factory=list)


@dataclass
class Part:
    """Code that computes `targets` from `inputs`, section by section. nodes: what it computes, in
    order."""

    inputs: list[fx.Node]
    targets: list[fx.Node]
    nodes: list[fx.Node]
    sections: list[TorchCode | Loop]


class _Turn(NamedTuple):
    """torch and fused loops take turns, whose number is their order; torch has the first."""

    number: int
    is_fused: bool


_FIRST = _Turn(0, is_fused=False)


class Parts:
    """Makes parts of one trace."""

    def __init__(self, trace: Trace, types: Types, limits: Limits) -> None:
        self._trace = trace
        self._types = types
        self._limits = limits
        nodes = [node for node in trace.graph.nodes if node.op != "output"]
        self._order = {node: index for index, node in enumerate(nodes)}

    def needed(
        self, targets: Iterable[fx.Node], is_ready: Callable[[fx.Node], bool]
    ) -> tuple[list[fx.Node], list[fx.Node]]:
        """What is ready and serves as input, and what has to be computed, both in order."""
        inside: set[fx.Node] = set()
        inputs: set[fx.Node] = set()
        stack = list(targets)
        while stack:
            node = stack.pop()
            if node in inside or node in inputs or self._is_row_count(node):
                continue
            if is_ready(node):
                inputs.add(node)
            else:
                inside.add(node)
                stack.extend(node.all_input_nodes)
        order = self._order.__getitem__
        return sorted(inputs, key=order), sorted(inside, key=order)

    def make(
        self, targets: list[fx.Node], is_ready: Callable[[fx.Node], bool], fuse: bool = True
    ) -> Part:
        inputs, nodes = self.needed(targets, is_ready)
        turns = self._turns(nodes, fuse)
        turn_of = {node: turn for turn, members in turns.items() for node in members}
        wanted = set(targets)
        for node in nodes:
            wanted |= {s for s in node.all_input_nodes if turn_of.get(s) != turn_of[node]}
        sections = [
            section
            for turn in sorted(turns)
            for section in self._sections(turns[turn], wanted, turn.is_fused)
        ]
        return Part(inputs, targets, nodes, sections)

    def _turns(self, nodes: list[fx.Node], fuse: bool) -> dict[_Turn, list[fx.Node]]:
        """Nodes by the first turn of their kind in which all that they need is there."""
        turn_of: dict[fx.Node, _Turn] = {}
        for node in nodes:
            needed = [turn_of[source] for source in node.all_input_nodes if source in turn_of]
            latest = max(needed, default=_FIRST)
            is_fused = fuse and (self._can_be_fused(node) or self._is_fusable_sum(node))
            is_part = operation_of(node).kind in (Kind.SPLITS, Kind.PICKS)
            if is_part and not latest.is_fused:
                is_fused = False  # torch needs no copy for it
            same = is_fused == latest.is_fused
            turn_of[node] = latest if same else _Turn(latest.number + 1, is_fused)
        found: dict[_Turn, list[fx.Node]] = {}
        for node, turn in turn_of.items():
            found.setdefault(turn, []).append(node)
        return found

    def _can_be_fused(self, node: fx.Node) -> bool:
        value = node.meta.get("val")
        tensors = value if isinstance(value, tuple | list) else [value]
        if not tensors or not all(isinstance(v, Tensor) for v in tensors):
            return False
        if not is_row_value(node) or is_random(node):
            return False
        if node.meta["obstacle"]:
            return False
        is_row_by_row = is_view(node) or operation_of(node).kind is Kind.REDUCES
        return is_elementwise(node) or is_row_by_row or self._is_small_product(node)

    def _is_fusable_sum(self, node: fx.Node) -> bool:
        """Whether a sum over rows, such as the gradient of a bias, can be taken in passing."""
        if name_of(node) != "sum" or bound(node).get("dim") != [0]:
            return False
        source = source_of(node)
        same_type = source.meta["val"].dtype == node.meta["val"].dtype == self._types.stored
        return is_row_value(source) and same_type

    def _sections(
        self, nodes: list[fx.Node], wanted: set[fx.Node], fused: bool
    ) -> list[TorchCode | Loop]:
        targets = [node for node in nodes if node in wanted]
        if not targets:
            return []
        if fused and sum(map(self._passes, nodes)) >= 2:
            try:
                return [self._fused(set(nodes), targets)]
            except UnsupportedStep:
                pass  # torch can do it, only with more passes over memory
        return [self._torch_code(nodes, targets)]

    def _fused(self, inside: set[fx.Node], targets: list[fx.Node]) -> Loop:
        lowering = Lowering(
            lambda node: "here" if node in inside else "stream", [], self._types, self._trace.lines
        )
        outputs = [node for node in targets if is_row_value(node)]
        sums = [node for node in targets if not is_row_value(node)]
        program = lowering.program(
            [], [lowering.full(node) for node in outputs], [],
            [lowering.full(source_of(node)) for node in sums],
        )  # fmt: skip
        return Loop(program, lowering.streams, outputs, lowering.vectors, lowering.weights, sums)

    def _torch_code(self, nodes: list[fx.Node], targets: list[fx.Node]) -> TorchCode:
        inside = set(nodes)
        graph = fx.Graph()
        rows = graph.placeholder("rows")
        inputs = unique(
            source for node in nodes for source in node.all_input_nodes
            if source not in inside and not self._is_row_count(source)
        )  # fmt: skip
        copies = {node: graph.placeholder(f"value_{i}") for i, node in enumerate(inputs)}

        def copy_of(node: fx.Node) -> fx.Node:
            return rows if self._is_row_count(node) else copies[node]

        together = self._with_common_left(nodes, set(inputs))
        for node in nodes:
            if node in together:
                group = together[node]
                if node is group[0]:
                    rights = [copy_of(factors(one)[1]) for one in group]
                    given = (copy_of(factors(node)[0]), *rights)
                    found = graph.call_function(products_of_one_left, given)
                    for number, one in enumerate(group):
                        copies[one] = graph.call_function(operator.getitem, (found, number))
                continue
            copies[node] = copy = graph.node_copy(node, copy_of)
            if name_of(node) in (
                "view",
                "_unsafe_view",
            ):  # the trace saw no strides that were not its own
                copy.target = torch.ops.aten.reshape.default
        graph.output(tuple(copies[node] for node in targets))
        return TorchCode(inputs, targets, graph)

    def _with_common_left(
        self, nodes: list[fx.Node], ready: set[fx.Node]
    ) -> dict[fx.Node, list[fx.Node]]:
        """Products of one left operand with several right ones that are ready, by each of them."""
        groups: dict[fx.Node, list[fx.Node]] = {}
        for node in nodes:
            if name_of(node) != "mm":
                continue
            left, right = factors(node)
            if right in ready:
                groups.setdefault(left, []).append(node)
        return {node: group for group in groups.values() if len(group) > 1 for node in group}

    def _is_row_count(self, node: fx.Node) -> bool:
        value = node.meta.get("val")
        return isinstance(value, torch.SymInt) and bool(value.node.expr == self._trace.rows)

    def _passes(self, node: fx.Node) -> int:
        """How often torch would pass over memory for this node; a product counts as two."""
        if is_view(node):
            return 0
        values = [node, *(s for s in node.all_input_nodes if is_row_value(s))]
        is_wide = any(row_shape(value) not in ((), (1,)) for value in values)
        return 2 if self._is_small_product(node) else int(is_wide)

    def _is_small_product(self, node: fx.Node) -> bool:
        """A product of rows with a weight that stays in a core's own cache."""
        if not is_product_of_rows(node):
            return False
        weight = factors(node)[1].meta["val"]
        size: int = weight.numel() * weight.element_size()
        return size <= self._limits.fused_weight_bytes

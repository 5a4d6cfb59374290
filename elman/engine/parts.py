"""Straight-line code outside the loops, on the folded rows of many time steps at once.

What can be lowered is fused into row programs without a state, which pass over the rows once and
keep what is between in registers; products, sums over rows, random draws and the rest are torch
operations. The two kinds take turns.
"""

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx

from elman.engine import faster
from elman.engine.leftovers import without_source
from elman.engine.lower import Lowering
from elman.engine.nodes import (
    PRODUCTS,
    is_elementwise,
    is_random,
    is_row_value,
    is_view,
    name_of,
    row_shape,
    unique,
)
from elman.engine.program import RowProgram
from elman.engine.trace import Trace
from elman.errors import UnsupportedStep

_AT_RUN_TIME = {
    torch.ops.aten.mm.default: faster.mm,
    torch.ops.aten.addmm.default: faster.addmm,
    torch.ops.prims.var.default: faster.var,
    # The trace saw no strides that were not its own.
    torch.ops.aten.view.default: torch.ops.aten.reshape.default,
    torch.ops.aten._unsafe_view.default: torch.ops.aten.reshape.default,
}
CACHE_BYTES = 640 << 10
"""Weights up to this size stay in a core's second cache beside everything else."""
_FREE_VIEWS = {"split_with_sizes", "getitem", "slice", "select", "unbind"}
_REDUCTIONS = {"sum", "amax", "amin", "mean", "var"}


@dataclass
class TorchCode:
    """Operations of torch. `function(rows, *values of inputs)` gives the values of `targets`."""

    inputs: list[fx.Node]
    targets: list[fx.Node]
    function: Callable[..., tuple] = field(repr=False)


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


class Parts:
    """Makes parts of one trace."""

    def __init__(self, trace: Trace, dtype: torch.dtype) -> None:
        self._trace = trace
        self._dtype = dtype
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
        in_order = lambda found: sorted(found, key=self._order.__getitem__)  # noqa: E731
        return in_order(inputs), in_order(inside)

    def make(
        self, targets: list[fx.Node], is_ready: Callable[[fx.Node], bool], fuse: bool = True
    ) -> Part:
        inputs, nodes = self.needed(targets, is_ready)
        stages = self._stages(nodes, fuse)
        stage_of = {node: number for number, stage in stages.items() for node in stage}
        wanted = set(targets)
        for node in nodes:
            wanted |= {s for s in node.all_input_nodes if stage_of.get(s) != stage_of[node]}
        sections = [
            section
            for number in sorted(stages)
            for section in self._sections(stages[number], wanted, fused=number % 2 == 1)
        ]
        return Part(inputs, targets, nodes, sections)

    def _stages(self, nodes: list[fx.Node], fuse: bool) -> dict[int, list[fx.Node]]:
        """Nodes by stage: even ones are left to torch, odd ones are fused."""
        stage: dict[fx.Node, int] = {}
        for node in nodes:
            before = max((stage[s] for s in node.all_input_nodes if s in stage), default=0)
            is_odd = before % 2 == 1
            fused = fuse and (self._can_be_fused(node) or self._is_fusable_sum(node))
            if fused and name_of(node) in _FREE_VIEWS and not is_odd:
                fused = False  # torch needs no copy for it
            stage[node] = before if fused == is_odd else before + 1
        found: dict[int, list[fx.Node]] = {}
        for node, number in stage.items():
            found.setdefault(number, []).append(node)
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
        is_row_by_row = is_view(node) or name_of(node) in _REDUCTIONS or is_small_product(node)
        return is_elementwise(node) or is_row_by_row

    def _is_fusable_sum(self, node: fx.Node) -> bool:
        """Whether a sum over rows, such as the gradient of a bias, can be taken in passing."""
        if node.target is not torch.ops.aten.sum.dim_IntList or list(node.args[1] or ()) != [0]:
            return False
        source = node.args[0]
        same_type = source.meta["val"].dtype == node.meta["val"].dtype == self._dtype
        return is_row_value(source) and same_type

    def _sections(
        self, nodes: list[fx.Node], wanted: set[fx.Node], fused: bool
    ) -> list[TorchCode | Loop]:
        targets = [node for node in nodes if node in wanted]
        if not targets:
            return []
        if fused and sum(map(_passes, nodes)) >= 2:
            try:
                return [self._fused(set(nodes), targets)]
            except UnsupportedStep:
                pass  # torch can do it, only with more passes over memory
        return [self._torch_code(nodes, targets)]

    def _fused(self, inside: set[fx.Node], targets: list[fx.Node]) -> Loop:
        lowering = Lowering(
            lambda node: "here" if node in inside else "stream", [], self._dtype, self._trace.lines
        )
        outputs = [node for node in targets if is_row_value(node)]
        sums = [node for node in targets if not is_row_value(node)]
        program = lowering.program(
            [], [lowering.full(node) for node in outputs], [],
            [lowering.full(node.args[0]) for node in sums],
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
                    lefts = (copy_of(node.args[0]), *[copy_of(one.args[1]) for one in group])
                    found = graph.call_function(faster.mms, lefts)
                    for number, one in enumerate(group):
                        copies[one] = graph.call_function(operator.getitem, (found, number))
                continue
            copies[node] = copy = graph.node_copy(node, copy_of)
            copy.target = _AT_RUN_TIME.get(node.target, node.target)
        graph.output(tuple(copies[node] for node in targets))
        return TorchCode(
            inputs, targets, without_source(fx.GraphModule(torch.nn.Module(), graph)).forward
        )

    def _with_common_left(
        self, nodes: list[fx.Node], ready: set[fx.Node]
    ) -> dict[fx.Node, list[fx.Node]]:
        """Products of one left operand with several right ones that are ready, by each of them."""
        groups: dict[fx.Node, list[fx.Node]] = {}
        for node in nodes:
            if node.target is torch.ops.aten.mm.default and node.args[1] in ready:
                groups.setdefault(node.args[0], []).append(node)
        return {node: group for group in groups.values() if len(group) > 1 for node in group}

    def _is_row_count(self, node: fx.Node) -> bool:
        value = node.meta.get("val")
        return isinstance(value, torch.SymInt) and value.node.expr == self._trace.rows


def _passes(node: fx.Node) -> int:
    """How often torch would pass over memory for this node; a product counts as two."""
    if is_view(node):
        return 0
    values = [node, *(s for s in node.all_input_nodes if is_row_value(s))]
    is_wide = any(row_shape(value) not in ((), (1,)) for value in values)
    return 2 if is_small_product(node) else int(is_wide)


def is_small_product(node: fx.Node) -> bool:
    """A product of rows with a weight that stays in a core's second cache."""
    if node.target not in PRODUCTS or not is_row_value(node) or not is_row_value(node.args[-2]):
        return False
    weight = node.args[-1].meta["val"]
    return not is_row_value(node.args[-1]) and weight.numel() * weight.element_size() <= CACHE_BYTES

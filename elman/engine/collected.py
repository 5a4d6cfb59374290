"""Values of all rows and steps, put together from those of chunks of time."""

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, fx

from elman.engine import workspace
from elman.engine.arguments import Arguments
from elman.engine.layout import Folded
from elman.engine.lower import row_shape
from elman.engine.plan import Plan
from elman.engine.trace import Trace

Environment = dict[fx.Node, Tensor]


@dataclass
class Saved:
    """What the backward pass needs of the forward pass.

    buffers: memory of the saved values that an output of the backward loop may overwrite, by that
    output. versions: of the values' tensors, so that a change in place is noticed. is_last_use: no
    other backward pass will need them, so that they may be overwritten and dropped.
    """

    values: Environment
    buffers: Environment
    versions: list[tuple[Tensor, int]]
    is_last_use: bool = True

    def require_unchanged(self) -> None:
        if any(value._version != version for value, version in self.versions):
            raise RuntimeError(
                "an output of elman.scan that its backward pass needs was changed in place; "
                "work on a clone of it"
            )


class Gradients:
    """Cotangents put together from those of chunks: for inputs their rows, for closed-over tensors
    the sum. Since a step treats rows independently, that is the gradient of all rows."""

    def __init__(self, total: int, trace: Trace) -> None:
        self._total = total
        self._by_row = list(dict.fromkeys(node for node in trace.d_inputs if node is not None))
        self._summed = list(dict.fromkeys(node for node in trace.d_closed if node is not None))
        self._values: Environment = {}
        self._owned: set[fx.Node] = set()  # sums that may be added to in place

    def add(self, env: Environment, rows: slice) -> None:
        for node in self._by_row:
            value = env[node]
            if len(value) == self._total:
                self._values[node] = value
                continue
            if node not in self._values:
                shape = (self._total, *value.shape[1:])
                self._values[node] = workspace.take(shape, value.dtype)
            self._values[node][rows] = value
        for node in self._summed:
            if node in self._owned:
                self._values[node] += env[node]
            elif node in self._values:
                self._values[node] = self._values[node] + env[node]
                self._owned.add(node)
            else:
                self._values[node] = env[node]

    def of(self, nodes: list[fx.Node | None]) -> list[Tensor | None]:
        return [None if node is None else self._values[node] for node in nodes]


class Collected:
    """Values of all rows, put together from those of chunks."""

    def __init__(self, layout: Folded, plan: Plan, arguments: Arguments) -> None:
        self.values: Environment = {}
        self._reverse = arguments.reverse
        # A reset would put something between an output and the state before the next step.
        follows = layout.is_even and arguments.reset is None
        self._state_of = plan.states_that_are_outputs() if follows else {}
        self._layout = layout
        self._outputs_made: dict[fx.Node, Tensor | None] = {}
        self._outputs = plan.trace.outputs
        self._wanted = {*plan.trace.outputs, *plan.saved}
        self._plan = plan
        self._buffers: Environment = {}  # by the output of the backward loop that overwrites them
        self._total = layout.total

    def place(self, node: fx.Node, rows: slice, dtype: torch.dtype) -> Tensor:
        """Where the loop writes a node's rows: into the whole value, if the whole is wanted."""
        width = width_of(node)
        if node not in self._wanted or node.meta["val"].dtype != dtype:
            return workspace.take((rows.stop - rows.start, width), dtype)
        if node not in self.values:
            if node in self._outputs:
                self._make_output(node, dtype)
            elif node in self._state_of.values():
                (output,) = (o for o, state in self._state_of.items() if state is node)
                self._make_output(output, dtype)
            elif node in self._plan.overlaid:
                self.values[node] = self._column(node, dtype)
            else:
                self.values[node] = workspace.take((self._total, *row_shape(node)), dtype)
        value = self.values[node]
        return rows_of(value if value.dim() == 2 else value.view(self._total, width), rows)

    def _make_output(self, node: fx.Node, dtype: torch.dtype) -> None:
        """Memory for an output, and in it for the states before each step, if those are outputs."""
        shape, state = row_shape(node), self._state_of.get(node)
        if state is None:
            self._outputs_made[node], self.values[node] = self._layout.fresh(shape, dtype)
            return
        together = self._layout.fresh_with_states(shape, dtype, self._reverse)
        self._outputs_made[node], self.values[node], self.values[state] = together

    def _column(self, node: fx.Node, dtype: torch.dtype) -> Tensor:
        """The node's columns of the buffer that it shares with others."""
        over, number = self._plan.overlaid[node]
        if over not in self._buffers:
            self._buffers[over] = workspace.take((self._total, width_of(over)), dtype)
        width = width_of(node)
        return self._buffers[over][:, number * width : (number + 1) * width]

    def saved(self, keep: bool) -> Saved:
        values = {node: self.values[node] for node in self._plan.saved} if keep else {}
        shown = [self.values[output] for output in self._state_of] if keep else []
        versions = [(value, value._version) for value in [*values.values(), *shown]]
        return Saved(values, self._buffers, versions)

    def output(self, node: fx.Node) -> Tensor:
        """`(T, B, ...)`; no view of another tensor if that can be had, so that the user may change
        it in place."""
        made = self._outputs_made.get(node)
        return self._layout.unfold(self.values[node]) if made is None else made

    def collect(self, env: Environment, rows: slice) -> None:
        whole = rows.stop - rows.start == self._total
        for node in self._wanted:
            value = env.get(node)
            if value is None or (node.op == "placeholder" and node in self.values):
                continue
            if whole and node not in self.values:
                self.values[node] = value
            elif node not in self.values:
                self.values[node] = value.new_empty((self._total, *value.shape[1:]))
                self.values[node][rows] = value
            elif not self._is_in_place(node, value, rows):
                self.values[node][rows] = value

    def _is_in_place(self, node: fx.Node, value: Tensor, rows: slice) -> bool:
        goal = self.values[node]
        start = goal.data_ptr() + rows.start * goal.stride(0) * value.element_size()
        return start == value.data_ptr()


def rows_of(value: Tensor, rows: slice) -> Tensor:
    """`value[rows]`; a slice that would change nothing is not worth its time in a short call."""
    return value if rows.stop - rows.start == len(value) else value[rows]


def width_of(node: fx.Node) -> int:
    return prod(row_shape(node))

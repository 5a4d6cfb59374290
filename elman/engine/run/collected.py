"""Values of all rows and steps, put together from those of chunks of time."""

from dataclasses import dataclass

import torch
from torch import Tensor, fx

from elman.engine.graph.nodes import is_view, row_shape, shares_memory
from elman.engine.plan.passes import Plan
from elman.engine.run.layout import Folded, Take
from elman.engine.run.runners import Environment, matrix, no_view, width_of


@dataclass
class Saved:
    """What the backward pass needs of the forward pass.

    buffers: memory of the saved values that an output of the backward loop may overwrite, by that
    output. versions: of the values' tensors, some of which the user holds as outputs, too.
    is_last_use: no other backward pass will need them, so that they may be overwritten and dropped.
    """

    values: Environment
    buffers: Environment
    versions: list[tuple[Tensor, int]]
    is_last_use: bool = True

    def were_changed(self) -> bool:
        """Whether the user has changed one of them in place, and so the values are lost."""
        return any(value._version != version for value, version in self.versions)


class Places:
    """Where the forward pass puts what it leaves, outputs and saved values; the same for all calls.

    loop: for each output of the loop the node whose rows it writes in place, or None for one that
        serves its chunk only; and its width.
    outputs: those that the loop writes, their shapes in a row, and the states that lie in their
        memory one step behind, or None.
    columns: outputs of the backward loop, their widths, the width of a column, and the saved values
        that are the columns of their memory.
    own: other saved values, and their shapes. loose: what has to be gathered after each chunk.
    shared: outputs whose memory may be that of another tensor.
    """

    def __init__(self, plan: Plan, loop: list[fx.Node], dtype: torch.dtype, follows: bool) -> None:
        wanted = dict.fromkeys([*plan.trace.outputs, *plan.saved])
        in_place = [n for n in loop if n in wanted and n.meta["val"].dtype == dtype]
        state_of = plan.states_that_are_outputs() if follows else {}
        self.loop = [(node if node in in_place else None, width_of(node)) for node in loop]
        self.outputs = [
            (node, row_shape(node), state_of.get(node))
            for node in in_place if node in plan.trace.outputs
        ]  # fmt: skip
        self.shown = [node for node, _, state in self.outputs if state is not None]
        behind = {state for _, _, state in self.outputs}
        columns: dict[fx.Node, list[fx.Node]] = {}
        for node in sorted(plan.overlaid, key=lambda node: plan.overlaid[node][1]):
            columns.setdefault(plan.overlaid[node][0], []).append(node)
        self.columns = [
            (over, width_of(over), width_of(nodes[0]), nodes) for over, nodes in columns.items()
        ]
        elsewhere = {*plan.trace.outputs, *behind, *plan.overlaid}
        self.own = [(node, row_shape(node)) for node in in_place if node not in elsewhere]
        self.loose = [node for node in wanted if node not in in_place]
        self.shared = {
            node for node in plan.trace.outputs
            if node.op == "placeholder" or is_view(node) or shares_memory(node)
            or plan.trace.outputs.count(node) > 1
        }  # fmt: skip


class Collected:
    """Values of all rows, put together from those of chunks."""

    def __init__(
        self, places: Places, plan: Plan, layout: Folded, dtype: torch.dtype, take: Take,
        reverse: bool,
    ) -> None:  # fmt: skip
        self._places, self._plan, self._layout, self._dtype = places, plan, layout, dtype
        self._take = take
        self.values: Environment = {}
        self._whole: dict[fx.Node, Tensor | None] = {}  # outputs as the user sees them
        self._buffers: Environment = {}  # by the output of the backward loop that overwrites them
        total = layout.total
        for node, shape, state in places.outputs:
            if state is None:
                self._whole[node], self.values[node] = layout.fresh(take, shape, dtype)
                continue
            together = layout.fresh_with_states(take, shape, dtype, reverse)
            self._whole[node], self.values[node], self.values[state] = together
        for over, width, column, nodes in places.columns:
            self._buffers[over] = buffer = take((total, width), dtype)
            self.values.update(zip(nodes, buffer.split(column, 1), strict=False))
        for node, shape in places.own:
            self.values[node] = take((total, *shape), dtype)

    def written(self, rows: slice) -> list[Tensor]:
        """Where the loop writes its outputs for a chunk, `(rows, W)` each: into the whole value, if
        it is wanted."""
        found = []
        number = rows.stop - rows.start
        for node, width in self._places.loop:
            if node is None:
                found.append(self._take((number, width), self._dtype))
                continue
            value = matrix(self.values[node])
            found.append(value if number == self._layout.total else value[rows])
        return found

    def collect(self, env: Environment, rows: slice) -> None:
        """Take over what the loop has not written where it belongs: the chunk's values in env,
        `(rows, ...)`, become rows of whole ones, `(N, ...)`."""
        total = self._layout.total
        for node in self._places.loose:
            value = env.get(node)
            if value is None:
                continue
            if rows.stop - rows.start == total:
                self.values[node] = value
                continue
            if node not in self.values:
                self.values[node] = value.new_empty((total, *value.shape[1:]))
            self.values[node][rows] = value

    def saved(self) -> Saved:
        if not self._plan.saved:
            return Saved({}, self._buffers, [])
        values = {node: self.values[node] for node in self._plan.saved}
        shown = [self.values[node] for node in self._places.shown]
        versions = [(value, value._version) for value in [*values.values(), *shown]]
        return Saved(values, self._buffers, versions)

    def output(self, node: fx.Node) -> Tensor:
        """`(T, B, ...)`; no view of another tensor if that can be had, so that the user may change
        it in place; above all not the input, or what all rows share."""
        made = self._whole.pop(node, None)  # a step may return one value twice
        if made is not None:
            return made
        value = self._layout.unfold(self.values[node])
        if node in self._places.shared:
            return value.clone(memory_format=torch.contiguous_format)
        if not value._is_view():
            return value
        # The saved value becomes a view of the output, so that it shows when that was changed.
        whole = no_view(value)
        self.values[node] = whole.detach().view(self.values[node].shape)
        return whole


class Gradients:
    """Cotangents put together from those of chunks: for inputs their rows, for closed-over tensors
    the sum. Since a step treats rows independently, that is the gradient of all rows."""

    def __init__(
        self, total: int, take: Take, by_row: list[fx.Node], summed: list[fx.Node]
    ) -> None:
        self._total, self._take, self._by_row, self._summed = total, take, by_row, summed
        self._values: Environment = {}
        self._owned: set[fx.Node] = set()  # sums that may be added to in place

    def add(self, env: Environment, rows: slice) -> None:
        """Take over a chunk's cotangents: those of inputs, `(rows, ...)`, and those of closed-over
        tensors, each in its own shape."""
        if rows.stop - rows.start == self._total:
            self._values = {node: env[node] for node in (*self._by_row, *self._summed)}
            return
        for node in self._by_row:
            value = env[node]
            if node not in self._values:
                shape = (self._total, *value.shape[1:])
                self._values[node] = self._take(shape, value.dtype)
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
        """Cotangents of inputs, `(N, ...)`, or of closed-over tensors, each in its own shape."""
        return [None if node is None else self._values[node] for node in nodes]


def rows_of(value: Tensor, rows: slice) -> Tensor:
    """`value[rows]` of `(N, ...)`; a slice that would change nothing is not worth its time in a
    short call."""
    return value if rows.stop - rows.start == value.shape[0] else value[rows]

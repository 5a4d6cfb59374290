"""Does a step treat the rows of a batch independently?

Only then may the loop run rows on their own, and may what stands outside of it run on all time
steps at once. The check follows the symbol of the row count through the graph: every value that
leads to an output, a state, or a cotangent of them must have one row axis, kept by each operation.
"""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx

from elman.engine.nodes import VIEWS, ancestors, descendants, is_random, name_of, present
from elman.engine.trace import Trace
from elman.errors import UnsupportedStep

aten, prims = torch.ops.aten, torch.ops.prims

# Operations along listed axes: position of the axes among the arguments, and their default.
_ALONG = {
    "sum": (1, None), "mean": (1, None), "amax": (1, None), "amin": (1, None), "prod": (1, None),
    "var": (1, None), "any": (1, None), "all": (1, None), "argmax": (1, None), "argmin": (1, None),
    "max": (1, None), "min": (1, None), "linalg_vector_norm": (2, None),
    "_softmax": (1, None), "_log_softmax": (1, None), "logsumexp": (1, None),
    "cumsum": (1, None), "cumprod": (1, None), "flip": (1, None), "sort": (1, -1),
    "topk": (2, -1), "slice": (1, 0), "select": (1, 0), "split_with_sizes": (2, 0),
    "split": (2, 0), "cat": (1, 0), "slice_scatter": (2, 0), "select_scatter": (2, 0),
    "gather": (1, None), "index_select": (1, None), "unbind": (1, 0), "roll": (2, None),
    "scatter": (1, None), "scatter_add": (1, None),
}  # fmt: skip
_RESHAPING = {"view", "_unsafe_view", "reshape"}
_AXIS_SAFE = {
    "permute",
    "unsqueeze",
    "squeeze",
    "expand",
    "transpose",
    "broadcast_in_dim",
    "getitem",
}
_PRODUCTS = {"mm", "addmm", "bmm", "baddbmm"}
_FRESH = {
    "full", "full_like", "zeros_like", "ones_like", "empty_like", "rand_like", "randn_like",
    "rand", "randn", "empty", "zeros", "ones", "new_zeros", "new_full", "scalar_tensor",
    "empty_permuted", "empty_strided", "new_empty",
}  # fmt: skip

_LINEAR = VIEWS | {
    "add", "sub", "neg", "sum", "permute", "t", "transpose", "clone", "slice_scatter",
    "select_scatter", "constant_pad_nd",
}  # fmt: skip
_LINEAR_IN_ONE = _PRODUCTS | {"mul"}


def require_independent_rows(trace: Trace) -> None:
    """Raise `UnsupportedStep` with operation and source line if the step mixes rows."""
    checker = _Rows(trace)
    per_row = [*trace.outputs, *trace.next_state, *trace.d_inputs, *trace.d_state]
    needed = present(per_row)
    behind = ancestors(needed)
    for node in trace.graph.nodes:  # in order, so that the first line at fault is named
        if node in behind:
            checker.check(node)
    for node in needed:
        if checker.axes(node) != [0]:
            raise checker.error(node, "gives a result without one entry for each row")
    summed = ancestors(present(trace.d_closed))
    for node in trace.graph.nodes:
        if node in behind or node in summed:
            checker.check_draws(node)
        if node in summed:
            checker.check_sum(node)


class _Rows:
    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    def axes(self, node: fx.Node) -> list[int]:
        """Axes of a node's value whose size contains the row count."""
        value = node.meta.get("val")
        if isinstance(value, tuple | list):
            value = value[0]
        if not isinstance(value, Tensor):
            return []
        return [axis for axis, size in enumerate(value.shape) if self._holds_rows(size)]

    def _holds_rows(self, size: Any) -> bool:
        return not isinstance(size, int) and self._trace.rows in size.node.expr.free_symbols

    def check(self, node: fx.Node) -> None:
        if node.op != "call_function":
            return
        axes = self.axes(node)
        sources = [a for a in node.all_input_nodes if self.axes(a)]
        if not sources:
            if axes and name_of(node) not in _FRESH | {"expand", "broadcast_in_dim", "sym_size"}:
                raise self.error(node, "makes values for rows out of none", is_proved=False)
            self._require_no_row_count(node)
            return
        if not axes:
            if isinstance(node.meta.get("val"), Tensor):
                raise self.error(node, "joins all rows")
            return
        if len(axes) > 1:
            raise self.error(node, "pairs rows with rows")
        name = name_of(node)
        if name in _PRODUCTS:
            self._check_product(node, name)
        elif name in _ALONG:
            self._check_along(node, name)
        elif name in _RESHAPING:
            self._check_reshape(node, sources[0])
        elif torch.Tag.pointwise in getattr(node.target, "tags", ()) or name in _FRESH:
            self._check_pointwise(node, axes[0], sources)
        elif name not in _AXIS_SAFE and not self._known(node, name):
            raise UnsupportedStep(
                f"{name} {self._place(node)} is no operation that is known to keep the rows of a "
                f"batch apart; it runs with backend='reference'"
            )

    def check_draws(self, node: fx.Node) -> None:
        """A step draws anew each time; what has no rows is computed once for all."""
        if is_random(node) and not self.axes(node):
            raise UnsupportedStep(
                f"{name_of(node)} {self._place(node)} draws numbers that all rows share, anew at "
                f"every step; it runs with backend='reference'"
            )

    def check_sum(self, node: fx.Node) -> None:
        """The gradient of what all rows share is summed over rows and steps in any order, which
        autograd's own operations allow."""
        if not self._trace.calls_back or self.axes(node) or node not in self._of_rows:
            return
        varying = [source in self._of_rows for source in node.all_input_nodes]
        is_linear = name_of(node) in _LINEAR or (
            name_of(node) in _LINEAR_IN_ONE and varying.count(True) == 1
        ) or (name_of(node) == "div" and varying in ([True], [True, False]))  # fmt: skip
        if not is_linear and not any(self.axes(source) for source in node.all_input_nodes):
            raise self.error(node, "changes a gradient that is summed over the rows")

    @cached_property
    def _of_rows(self) -> set[fx.Node]:
        """What depends on a value with rows."""
        nodes = list(self._trace.graph.nodes)
        return descendants([node for node in nodes if self.axes(node)], nodes)

    def _known(self, node: fx.Node, name: str) -> bool:
        if name == "embedding":
            if len(node.args) > 3 and node.args[3] and present(self._trace.d_closed):
                raise self.error(node, "counts rows for its gradient (scale_grad_by_freq)")
            return True
        return name in ("_to_copy", "native_dropout", "bernoulli", "where", "div", "mul", "add",
                        "constant_pad_nd", "convert_element_type")  # fmt: skip

    def _check_pointwise(self, node: fx.Node, axis: int, sources: list[fx.Node]) -> None:
        value = node.meta["val"]
        rank = (value[0] if isinstance(value, tuple | list) else value).dim()
        for source in sources:
            value = source.meta["val"]
            if isinstance(value, Tensor) and self.axes(source)[0] - value.dim() != axis - rank:
                raise self.error(node, "pairs rows with another axis")
        self._require_no_row_count(node)

    def _require_no_row_count(self, node: fx.Node) -> None:
        if torch.Tag.pointwise not in getattr(node.target, "tags", ()):
            return
        for source in node.all_input_nodes:
            value = source.meta.get("val")
            if not isinstance(value, Tensor | tuple | list):
                raise self.error(node, "uses the number of rows as a value")

    def _check_product(self, node: fx.Node, name: str) -> None:
        left, right = node.args[-2:] if name in ("mm", "bmm") else node.args[1:3]
        for side, contracted in ((left, -1), (right, -2)):
            rank = side.meta["val"].dim()
            if rank + contracted in self.axes(side):
                raise self.error(node, "sums over rows")

    def _check_along(self, node: fx.Node, name: str) -> None:
        source = node.args[0]
        if isinstance(source, list | tuple):
            source = source[0]
        position, default = _ALONG[name]
        along = node.args[position] if len(node.args) > position else default
        along = node.kwargs.get("dim", along)
        rank = source.meta["val"].dim()
        if along is None or along == []:
            raise self.error(node, "works over all rows")
        listed = [along] if isinstance(along, int) else list(along)
        if name in ("slice", "slice_scatter") and listed == [0] and self._is_whole(node, name):
            return
        axes = self.axes(source)
        if axes and axes[0] in [axis % rank for axis in listed]:
            raise self.error(node, "works along the rows", is_proved=name != "cat")

    def _is_whole(self, node: fx.Node, name: str) -> bool:
        """Whether a slice takes all rows."""
        first = 2 if name == "slice" else 3
        start, end, step = [*node.args[first:], *[None] * 3][:3]
        to_end = end is None or end == 2**63 - 1 or self._is_row_count(end)
        return start in (0, None) and to_end and step in (1, None)

    def _is_row_count(self, value: Any) -> bool:
        size = value.meta.get("val") if isinstance(value, fx.Node) else None
        return isinstance(size, torch.SymInt) and size.node.expr == self._trace.rows

    def _check_reshape(self, node: fx.Node, source: fx.Node) -> None:
        """Rows must stay the outermost axis and must not be joined with another."""
        before, after = source.meta["val"].shape, node.meta["val"].shape
        rows = self._trace.rows
        if self.axes(source) == [0] and self.axes(node) == [0]:
            same = before[0].node.expr == rows and after[0].node.expr == rows
            if same:
                return
        raise self.error(node, "regroups rows", is_proved=False)

    def error(self, node: fx.Node, what: str, is_proved: bool = True) -> UnsupportedStep:
        """is_proved: whether rows are mixed, and not only lost from sight."""
        call = self._trace.calls.get(node, name_of(node))
        why = (
            "but a step must treat the rows of a batch independently"
            if is_proved
            else "so it can't be seen that the step treats the rows of a batch independently"
        )
        return UnsupportedStep(
            f"{call} {self._place(node)} {what}, {why}; it runs with backend='reference'"
        )

    def _place(self, node: fx.Node) -> str:
        where = self._trace.lines.get(node)
        return f"at {where}" if where else "in the backward pass of the step"

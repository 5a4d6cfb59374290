"""Does a step treat the rows of a batch independently?

Only then may the loop run rows on their own, and may what stands outside of it run on all time
steps at once. The check follows the symbol of the row count through the graph: every value that
leads to an output, a state, or a cotangent of them must have one row axis, kept by each operation.
"""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx

from elman.engine.graph.nodes import (
    ancestors,
    descendants,
    is_elementwise,
    is_random,
    present,
    source_of,
)
from elman.engine.graph.operations import Rows, operation_of
from elman.engine.graph.schemas import bound, name_of
from elman.engine.graph.trace import Trace
from elman.errors import UnsupportedStep


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
        axes, operation = self.axes(node), operation_of(node)
        sources = [a for a in node.all_input_nodes if self.axes(a)]
        if not sources:
            if axes and operation.rows not in (Rows.MADE, Rows.BROADCAST):
                raise self.error(node, "makes values for rows out of none", is_proved=False)
            self._require_no_row_count(node)
            return
        if not axes:
            if isinstance(node.meta.get("val"), Tensor):
                raise self.error(node, "joins all rows")
            return
        if len(axes) > 1:
            raise self.error(node, "pairs rows with rows")
        if operation.rows is Rows.MULTIPLIED:
            self._check_product(node)
        elif operation.rows is Rows.ALONG:
            self._check_along(node)
        elif operation.rows is Rows.RESHAPED:
            self._check_reshape(node, sources[0])
        elif is_elementwise(node) or operation.rows is Rows.MADE:
            self._check_elementwise(node, axes[0], sources)
        elif operation.rows is None:
            raise UnsupportedStep(
                f"{operation.name} {self._place(node)} is no operation that is known to keep the "
                f"rows of a batch apart; it runs with backend='reference'"
            )
        elif operation.name == "embedding":
            self._check_embedding(node)

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
        match operation_of(node).linear:
            case "in all":
                is_linear = True
            case "in one":
                is_linear = varying.count(True) == 1
            case "in the first":
                is_linear = varying in ([True], [True, False])
            case _:
                is_linear = False
        if not is_linear and not any(self.axes(source) for source in node.all_input_nodes):
            raise self.error(node, "changes a gradient that is summed over the rows")

    @cached_property
    def _of_rows(self) -> set[fx.Node]:
        """What depends on a value with rows."""
        nodes = list(self._trace.graph.nodes)
        return descendants([node for node in nodes if self.axes(node)], nodes)

    def _check_embedding(self, node: fx.Node) -> None:
        if bound(node)["scale_grad_by_freq"] and present(self._trace.d_closed):
            raise self.error(node, "counts rows for its gradient (scale_grad_by_freq)")

    def _check_elementwise(self, node: fx.Node, axis: int, sources: list[fx.Node]) -> None:
        value = node.meta["val"]
        rank = (value[0] if isinstance(value, tuple | list) else value).dim()
        for source in sources:
            value = source.meta["val"]
            if isinstance(value, Tensor) and self.axes(source)[0] - value.dim() != axis - rank:
                raise self.error(node, "pairs rows with another axis")
        self._require_no_row_count(node)

    def _require_no_row_count(self, node: fx.Node) -> None:
        if not is_elementwise(node):
            return
        for source in node.all_input_nodes:
            value = source.meta.get("val")
            if not isinstance(value, Tensor | tuple | list):
                raise self.error(node, "uses the number of rows as a value")

    def _check_product(self, node: fx.Node) -> None:
        left, right = [value for value in bound(node).values() if isinstance(value, fx.Node)][-2:]
        for side, contracted in ((left, -1), (right, -2)):
            rank = side.meta["val"].dim()
            if rank + contracted in self.axes(side):
                raise self.error(node, "sums over rows")

    def _check_along(self, node: fx.Node) -> None:
        given = bound(node)
        source = given["tensors"][0] if "tensors" in given else source_of(node)
        along = given.get("dim", given.get("dims"))
        if along is None or along == []:
            raise self.error(node, "works over all rows")
        listed = [along] if isinstance(along, int) else list(along)
        if listed == [0] and "start" in given and self._is_whole(given):
            return
        axes, rank = self.axes(source), source.meta["val"].dim()
        if axes and axes[0] in [axis % rank for axis in listed]:
            raise self.error(node, "works along the rows", is_proved="tensors" not in given)

    def _is_whole(self, given: dict[str, Any]) -> bool:
        """Whether a slice takes all rows."""
        start, end = given["start"], given["end"]
        to_end = end is None or end == 2**63 - 1 or self._is_row_count(end)
        return start in (0, None) and to_end and given["step"] in (1, None)

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

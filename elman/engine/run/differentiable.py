"""Which results of a scan have a gradient."""

from torch import fx

from elman.engine.graph.nodes import ancestors
from elman.engine.graph.trace import Trace

Flags = tuple[bool, ...]


class Differentiable:
    """Follows gradients through a step: which results depend on a leaf that requires one.

    A counter that is part of the state has none, as in the plain loop.
    """

    def __init__(self, trace: Trace) -> None:
        self._outputs = len(trace.outputs)
        self._state = trace.state
        self._leaves = (trace.inputs, trace.state, trace.closed_nodes)
        self._behind: list[set[fx.Node]] = [
            set() if cotangent is None or result is None else ancestors([result])
            for result, cotangent in zip(
                [*trace.outputs, *trace.next_state], [*trace.cot_outputs, *trace.cot_state],
                strict=True,
            )
        ]  # fmt: skip
        self._known: dict[tuple[Flags, Flags, Flags], list[bool]] = {}

    def results(self, inputs: Flags, state: Flags, closed: Flags) -> list[bool]:
        """One flag for each output and each leaf of the final state.

        inputs, state, closed: whether each leaf, or closed-over tensor, requires a gradient.
        """
        key = inputs, state, closed
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._found(key)
        return found

    def _found(self, require: tuple[Flags, Flags, Flags]) -> list[bool]:
        has = {
            node for nodes, flags in zip(self._leaves, require, strict=True)
            for node, flag in zip(nodes, flags, strict=True) if flag
        }  # fmt: skip
        while True:
            carry = [not has.isdisjoint(nodes) for nodes in self._behind]
            following = carry[self._outputs :]
            late = {n for n, flag in zip(self._state, following, strict=True) if flag}
            if late <= has:
                return carry
            has |= late

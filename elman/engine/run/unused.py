"""NaN from results that the loss does not use.

autograd gives no gradient for an unused result, and zeros come in its place: those of a final state
meet others in the loop. Where they meet an infinite derivative, 0 * inf is NaN, while the plain
loop has no path there at all. So where zeros may meet anything before they are added to a gradient
that the plain loop has, too, a NaN is looked at once more.
"""

from dataclasses import dataclass
from math import isnan

from torch import Tensor, fx

from elman.engine.graph.nodes import descendants, present
from elman.engine.graph.operations import operation_of
from elman.engine.graph.schemas import name_of
from elman.engine.graph.trace import Trace


@dataclass(frozen=True)
class Reached:
    """may_make_nan: whether zeros in place of gradients that did not come may do so. The others:
    which leaves the loss depends on at all; torch has no gradient for those that it does not."""

    may_make_nan: bool
    inputs: list[bool]
    state: list[bool]
    closed: list[bool]


class Unused:
    """What a step's backward pass makes of gradients that did not come."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._nodes = list(trace.graph.nodes)
        self._cotangents = [*trace.cot_outputs, *trace.cot_state]
        self._known: dict[tuple[bool, ...], Reached] = {}

    def reached(self, came: tuple[bool, ...]) -> Reached:
        """came: for each result, whether the loss has a gradient for it."""
        found = self._known.get(came)
        if found is None:
            found = self._known[came] = self._reached(came)
        return found

    def _reached(self, came: tuple[bool, ...]) -> Reached:
        """That the loss has a gradient for a state holds for the last step alone; before it counts
        whether the step that follows has one."""
        trace, seen = self._trace, set[tuple[bool, ...]]()
        reached: set[fx.Node] = set()
        are_right = True
        while came not in seen:
            seen.add(came)
            used, is_right = self._at_one_step(came)
            reached |= used
            are_right &= is_right
            following = [node in used for node in trace.d_state]
            came = (*came[: len(trace.outputs)], *following)
        inputs, state, closed = [
            [node in reached for node in nodes]
            for nodes in (trace.d_inputs, trace.d_state, trace.d_closed)
        ]
        return Reached(not are_right, inputs, state, closed)

    def _at_one_step(self, came: tuple[bool, ...]) -> tuple[set[fx.Node], bool]:
        """Gradients that the plain loop has, too, and whether zeros change none of them."""
        given = [node for node, is_given in zip(self._cotangents, came, strict=True) if is_given]
        used = descendants(present(given), self._nodes)
        zeros = [node for node in present(self._cotangents) if node not in used]
        return used, all(self._ends_well(user, used) for node in zeros for user in node.users)

    def _ends_well(self, node: fx.Node, used: set[fx.Node]) -> bool:
        """Whether zeros that go into a node change nothing, wherever they go from there."""
        stack = [node]
        while stack:
            node = stack.pop()
            if node.op == "output" or (name_of(node) == "add" and node in used):
                continue
            if not operation_of(node).keeps_zeros and name_of(node) != "add":
                return False
            stack += node.users
        return True


def holds_nan(value: Tensor | None) -> bool:
    """Whether a number of a tensor of any shape is NaN."""
    # A sum takes no memory; infinities of both signs are NaN together, too.
    return value is not None and isnan(value.sum().item()) and bool(value.isnan().any())

"""What is planned for each cell: written down, so that a change is seen and meant.

`python -m tests.engine.plan.test_golden` prints the plans as they are now.
"""

from pathlib import Path

import pytest
import torch

from elman.cells import CELLS
from elman.engine import arguments
from elman.engine.graph.nodes import row_shape
from elman.engine.graph.schemas import name_of
from elman.engine.machine import Limits
from elman.engine.plan.parts import Loop
from elman.engine.run import cache
from tests.engine.torch_machine import Torch

FILE = Path(__file__).with_name("plans.txt")


def plan_of(name, limits=None):
    cell = CELLS[name](5, 9)
    input, state = torch.randn(4, 3, 5, requires_grad=True), cell.initial_state(3)
    given = arguments.check(input, state, None, None, None, False, None)
    return cache._Compiler(cell, given, True, Torch(limits or Limits())).compile().plan


def written(node):
    """`tanh[9]`: the names of nodes are torch's, and change with it."""
    shape = ", ".join(map(str, row_shape(node)))
    name = node.name if node.op == "placeholder" else name_of(node)
    return f"{name}[{shape}]"


def lines_of_pass(title, one):
    for place in ("shared", "before", "after"):
        part = getattr(one, place)
        if part.nodes:
            kinds = ["loop" if isinstance(section, Loop) else "torch" for section in part.sections]
            yield f"{title} {place}: {len(part.nodes)} operations, {' '.join(kinds)}"
    loop = one.loop
    yield f"{title} loop: {len(loop.program.ops)} ops, weights {list(loop.program.weights)}"
    yield f"{title} loop reads: {' '.join(map(written, loop.streams))}"
    yield f"{title} loop writes: {' '.join(map(written, loop.outputs))}"


def described(plan):
    lines = [f"saved: {' '.join(map(written, plan.saved))}"]
    for node, (output, number) in plan.overlaid.items():
        lines.append(f"overlaid: {written(node)} is column {number} of {written(output)}")
    for output, state in plan.states_that_are_outputs().items():
        lines.append(f"state in the output: {written(state)} in {written(output)}")
    lines += lines_of_pass("forward", plan.forward)
    if plan.joined is not None:
        lines += lines_of_pass("joined", plan.joined)
    lines += lines_of_pass("backward", plan.backward)
    return "\n".join(lines)


def plans():
    return "\n\n".join(f"[{name}]\n{described(plan_of(name))}" for name in CELLS) + "\n"


@pytest.mark.parametrize("name", CELLS)
def test_plans_are_those_that_were_written_down(name):
    sections = FILE.read_text(encoding="utf-8").split("\n\n")
    known = dict(section.strip().split("\n", 1) for section in sections)
    assert described(plan_of(name)) == known[f"[{name}]"]


if __name__ == "__main__":
    print(plans(), end="")  # noqa: T201

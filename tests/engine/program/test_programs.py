"""Random row programs: machine code against the interpreter."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elman.engine.llvm.kernel import LLVMKernel
from elman.engine.program.interpret import Interpreter
from elman.engine.program.row_program import (
    Carried,
    Cat,
    Constant,
    Input,
    Pointwise,
    Product,
    Reduce,
    Resets,
    RowProgram,
    Slice,
    Timetable,
    Vector,
)  # fmt: skip
from tests.engine.comparing import Expected

UNARY = ["tanh", "sigmoid", "exp", "neg", "abs", "erf", "floor", "sign", "not", "sin"]
BINARY = ["add", "sub", "mul", "minimum", "maximum", "lt", "ge", "and"]


@st.composite
def programs(draw):
    """A program over two inputs, a vector, two state leaves and some weights."""
    widths = [draw(st.sampled_from([1, 3, 8, 16, 17, 33])) for _ in range(3)]
    ops = [
        Input(widths[0], 0), Input(1, 1), Vector(widths[0], 0), Carried(widths[1], 0),
        Carried(widths[2], 1), Constant(1, draw(st.floats(-2, 2))),
    ]  # fmt: skip
    weights: list[tuple[int, int]] = []
    for _ in range(draw(st.integers(1, 14))):
        source = draw(st.integers(0, len(ops) - 1))
        width = ops[source].width
        kind = draw(st.sampled_from(["unary", "binary", "where", "reduce", "slice", "cat", "mm"]))
        partners = [i for i, op in enumerate(ops) if op.width in (width, 1)]
        if kind == "unary":
            ops.append(Pointwise(width, draw(st.sampled_from(UNARY)), (source,)))
        elif kind == "binary":
            other = draw(st.sampled_from(partners))
            order = (source, other) if draw(st.booleans()) else (other, source)
            ops.append(Pointwise(width, draw(st.sampled_from(BINARY)), order))
        elif kind == "where":
            others = draw(st.tuples(st.sampled_from(partners), st.sampled_from(partners)))
            ops.append(Pointwise(width, "where", (source, *others)))
        elif kind == "reduce":
            ops.append(Reduce(1, draw(st.sampled_from(["sum", "amax", "amin"])), source))
        elif kind == "slice":
            start = draw(st.integers(0, width - 1))
            ops.append(Slice(draw(st.integers(1, width - start)), source, start))
        elif kind == "cat":
            others = [draw(st.integers(0, len(ops) - 1)) for _ in range(draw(st.integers(1, 3)))]
            parts = (source, *others)
            ops.append(Cat(sum(ops[i].width for i in parts), parts))
        else:
            weights.append((width, draw(st.sampled_from([1, 5, 16, 40]))))
            ops.append(Product(weights[-1][1], source, len(weights) - 1))
    following = []
    for width in widths[1:]:  # the next state is bounded, so that nothing grows without end
        source = draw(st.sampled_from([i for i, op in enumerate(ops) if op.width >= width]))
        ops.append(Slice(width, source, 0))
        ops.append(Pointwise(width, "tanh", (len(ops) - 1,)))
        following.append(len(ops) - 1)
    outputs = draw(st.lists(st.integers(0, len(ops) - 1), min_size=1, max_size=3, unique=True))
    dtype = draw(st.sampled_from([torch.float64, torch.float32]))
    return RowProgram(
        dtype, tuple(ops), tuple(following), tuple(outputs), (widths[0], 1), (widths[0],),
        tuple(weights), tuple(widths[1:]), tuple(draw(st.sets(st.sampled_from(outputs)))),
    )  # fmt: skip


@st.composite
def schedules(draw):
    rows = draw(st.integers(1, 40))
    lengths = sorted(draw(st.lists(st.integers(0, 4), min_size=rows, max_size=rows)), reverse=True)
    active = [sum(length > t for length in lengths) for t in range(max(lengths))]
    offsets = torch.tensor([0, *torch.tensor(active).cumsum(0).tolist()])
    return Timetable(rows, len(active), int(offsets[-1]), offsets, draw(st.booleans()))


def run(kernel, program, timetable, when, seed, is_disturbed=False):
    torch.manual_seed(seed)
    random = lambda *shape: torch.randn(shape).to(program.dtype)  # noqa: E731
    inputs = [random(timetable.total, w) for w in program.inputs]
    vectors = [random(w) for w in program.vectors]
    weights = [random(k, n) / k**0.5 for k, n in program.weights]
    state = [random(timetable.rows, w) for w in program.carried]
    resets = None
    if when is not None:
        mask = torch.rand(timetable.total) < 0.3
        resets = Resets(mask, [random(timetable.rows, w) for w in program.carried], when)
    outputs = [
        torch.full((timetable.total, program.ops[i].width), float("nan"), dtype=program.dtype)
        for i in program.outputs
    ]
    sums = kernel(
        timetable, inputs=inputs, vectors=vectors, weights=kernel.pack(weights), state=state,
        outputs=outputs, resets=resets,
    )  # fmt: skip
    for index, found in zip(program.sums, () if is_disturbed else sums, strict=not is_disturbed):
        summed = outputs[program.outputs.index(index)]
        tolerance = (1e-12 if program.dtype == torch.float64 else 1e-5) * summed.abs().sum()
        torch.testing.assert_close(found, summed.sum(0), rtol=0, atol=tolerance.item() + 1e-30,
                                   equal_nan=True)  # fmt: skip
    found = [*outputs, *state, *(resets.values if resets else []), *sums]
    return {f"result {number}": tensor for number, tensor in enumerate(found)}


def interpreted(program, timetable, when):
    """What the program gives: in double precision, and in its own."""
    double = replace(program, dtype=torch.float64)
    exact = partial(run, Interpreter(double), double, timetable, when, 0)
    return Expected(
        exact(),
        lambda: exact(is_disturbed=True),
        run(Interpreter(program), program, timetable, when, 0),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(), schedules(), st.sampled_from([None, "before", "after"]))
def test_machine_code_does_what_the_interpreter_does(program, timetable, when):
    expected = interpreted(program, timetable, when)
    compiled = LLVMKernel(program)
    found = run(compiled, program, timetable, when, 0)
    lines = expected.differences(found, program.dtype)
    assert not lines, "\n".join(lines)
    for threads in (1, 3):
        torch.set_num_threads(threads)
        again = run(compiled, program, timetable, when, 0)
        for name, tensor in again.items():
            assert torch.equal(tensor.nan_to_num(), found[name].nan_to_num())
    torch.set_num_threads(2)


@pytest.mark.parametrize("backwards", [False, True])
def test_a_sum_by_hand(backwards):
    """x0 + x1 + ... of each row, written out."""
    ops = (Input(2, 0), Carried(2, 0), Pointwise(2, "add", (0, 1)))
    program = RowProgram(torch.float64, ops, (2,), (2,), (2,), (), (), (2,))
    offsets = torch.tensor([0, 3, 5, 6])  # rows of 3, 2 and 1 steps
    x = torch.arange(12, dtype=torch.float64).view(6, 2)
    state, output = torch.zeros(3, 2, dtype=torch.float64), torch.empty(6, 2, dtype=torch.float64)
    kernel = LLVMKernel(program)
    kernel(Timetable(3, 3, 6, offsets, backwards), inputs=[x], vectors=[], weights=kernel.pack([]),
           state=[state], outputs=[output])  # fmt: skip
    assert state[:, 0].tolist() == [0 + 6 + 10, 2 + 8, 4]
    first_row = output[[0, 3, 5], 0].tolist()
    assert first_row == ([16, 16, 10] if backwards else [0, 6, 16])

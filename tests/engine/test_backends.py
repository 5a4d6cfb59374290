"""Every cell on every backend gives what the plain loop gives in float64."""

import threading

import pytest
import torch
from torch.utils import _pytree as pytree

import elman
from elman.cells import CELLS
from elman.engine import BACKENDS
from tests.engine.comparing import Run, oracle
from tests.engine.settings import engine_set

# All that compile: they are held to `reference`, and `auto` chooses one of them or it.
COMPILING = [name for name in BACKENDS if name not in ("reference", "auto")]
DTYPES = [torch.float64, torch.float32]
STEPS, ROWS = 7, 6
LENGTHS = [7, 0, 3, 5, 1, 7]
VARIANTS = {
    "plain": (),
    "lengths": ("lengths",),
    "reset": ("reset",),
    "reverse": ("reverse",),
    "all": ("lengths", "reset", "reverse"),
}


def options_of(variant, state):
    names = VARIANTS[variant]
    options = {}
    if "lengths" in names:
        options["lengths"] = LENGTHS
    if "reverse" in names:
        options["reverse"] = True
    if "reset" in names:
        options["reset"] = torch.rand(STEPS, ROWS) < 0.25
        options["reset_state"] = pytree.tree_map(torch.randn_like, state)
    return options


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("backend", COMPILING)
@pytest.mark.parametrize("name", CELLS)
def test_cells(name, backend, variant, dtype):
    cell = CELLS[name](5, 9).to(dtype)
    input = torch.randn(STEPS, ROWS, 5, dtype=dtype)
    state = pytree.tree_map(torch.randn_like, cell.initial_state(ROWS))
    options = options_of(variant, state)
    expected = oracle(cell, input, state, **options)
    Run.of(cell, input, state, backend, **options).require_equal(expected)
    with torch.no_grad():  # another program: nothing is kept for a backward pass
        run = Run.of(cell, input, state, backend, **options)
    run.require_equal(expected, lambda name: not name.startswith("d "))


@pytest.mark.parametrize("sizes", [(1, 1), (3, 17), (127, 3), (64, 128)])
@pytest.mark.parametrize("name", CELLS)
def test_awkward_sizes(name, sizes):
    cell = CELLS[name](*sizes)
    for rows in (1, 2, 13, 70):
        input, state = torch.randn(4, rows, sizes[0]), cell.initial_state(rows)
        expected = oracle(cell, input, state)
        Run.of(cell, input, state, "llvm").require_equal(expected)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("variant", ["plain", "all"])
def test_any_number_of_threads_gives_the_same_bits(name, variant):
    cell = CELLS[name](70, 96)  # large enough that the work is shared
    input = torch.randn(STEPS, ROWS, 70).repeat(1, 6, 1)
    state = pytree.tree_map(torch.randn_like, cell.initial_state(6 * ROWS))
    options = {}
    if variant == "all":
        options = {"lengths": LENGTHS * 6, "reverse": True}
        options["reset"] = torch.rand(STEPS, 6 * ROWS) < 0.2
    runs = []
    for threads in (1, 2, 3, 4, 4):
        torch.set_num_threads(threads)
        runs.append(Run.of(cell, input, state, "llvm", **options))
    for run in runs[1:]:
        run.require_same_bits(runs[0], lambda name: not name.startswith("d "))
    runs[-1].require_same_bits(runs[-2], lambda name: True)


def test_several_python_threads_may_call_one_step():
    cell = CELLS["lstm"](16, 32)
    inputs = [torch.randn(20, 8, 16) for _ in range(6)]
    expected = [elman.scan(cell, x, cell.initial_state(8), backend="reference")[0] for x in inputs]
    found = [None] * len(inputs)

    def work(number):
        for _ in range(20):
            found[number] = elman.scan(cell, inputs[number], cell.initial_state(8))[0]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_nan_and_infinity_behave_as_in_the_plain_loop():
    cell = CELLS["gru"](3, 4).double()
    input = torch.randn(5, 4, 3, dtype=torch.double)
    input[1, 0, 0], input[2, 1, 1], input[0, 2] = float("nan"), float("inf"), -float("inf")
    state = cell.initial_state(4)
    results = [elman.scan(cell, input, state, backend=b)[0] for b in ("reference", "llvm")]
    torch.testing.assert_close(*results, equal_nan=True)
    assert results[0][:, 3].isfinite().all()


def test_a_graph_can_be_run_backward_twice_and_after_a_change_of_its_output():
    cell = CELLS["lstm"](3, 4)
    x = torch.randn(5, 2, 3, requires_grad=True)
    output, _ = elman.scan(cell, x, cell.initial_state(2), backend="llvm")
    (first,) = torch.autograd.grad(output.sum(), x, retain_graph=True)
    (second,) = torch.autograd.grad(output.sum(), x, retain_graph=True)
    assert torch.equal(first, second)
    output.mul_(2)  # the states before each step lie in it
    for keep in (True, False):
        (found,) = torch.autograd.grad(output.sum(), x, retain_graph=keep)
        assert torch.equal(found, 2 * first)
    lengths = torch.tensor([5, 3])
    output, _ = elman.scan(cell, x, cell.initial_state(2), lengths=lengths, backend="llvm")
    (first,) = torch.autograd.grad(output.sum(), x, retain_graph=True)
    output.mul_(2)  # a padded copy, which the backward pass does not need
    torch.testing.assert_close(torch.autograd.grad(output.sum(), x)[0], 2 * first)


PLACES = {
    "in the loop": lambda h, x: h,
    "after the loop": lambda h, x: h.exp() @ torch.eye(4),
    "before the loop": lambda h, x: x.sin(),
    "of another shape": lambda h, x: h.sin().view(-1, 2, 2),
    "of a number a row": lambda h, x: h.sum(1),
}


@pytest.mark.parametrize("shape", [(3, 4), (3,), (3, 2, 2)], ids=str)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("options", [{}, {"lengths": [5, 0, 3]}, {"reverse": True}], ids=str)
def test_all_that_a_scan_returns_may_be_changed_in_place(place, options, shape):
    def step(x, state):
        h, other = state
        h, other = torch.tanh(h * 0.5 + x), other.cos()
        return PLACES[place](h, x), (h, other)

    def results(backend):
        output, (h, other) = elman.scan(
            step, x, (first, torch.zeros(shape)), backend=backend, **options
        )
        if backend == "reference":  # whose results autograd may have kept
            return output + 1, h * 3, other - 2
        return output.add_(1), h.mul_(3), other.sub_(2)

    x, first = torch.randn(5, 3, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    gradients = []
    for backend in ("llvm", "reference"):
        loss = sum(result.pow(2).sum() for result in results(backend))
        gradients.append(torch.autograd.grad(loss, [x, first]))
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", CELLS)
def test_a_backward_pass_in_chunks_of_time_gives_the_same(name, variant):
    cell = CELLS[name](5, 9).double()
    input = torch.randn(STEPS, ROWS, 5, dtype=torch.double)
    state = pytree.tree_map(torch.randn_like, cell.initial_state(ROWS))
    options = options_of(variant, state)
    expected = oracle(cell, input, state, **options)
    with engine_set("chunks"):
        Run.of(cell, input, state, "llvm", **options).require_equal(expected)


def test_results_are_not_memory_that_is_used_again():
    cell = CELLS["lstm"](64, 64)
    x = torch.randn(40, 16, 64, requires_grad=True)
    run = lambda: elman.scan(cell, x, cell.initial_state(16), backend="llvm")  # noqa: E731
    output, state = run()
    gradients = torch.autograd.grad(output.sum(), [x, *cell.parameters()])
    kept = [t.clone() for t in (output, *state, *gradients)]
    for _ in range(3):
        other, _ = run()
        torch.autograd.grad((3 * other).sum(), [x, *cell.parameters()])
    for before, after in zip(kept, (output, *state, *gradients), strict=True):
        assert torch.equal(before, after)


def has_started(x, state):
    """A step whose state holds a flag for each unit beside the numbers."""
    value, started = state
    value = torch.where(started, torch.tanh(value + x), x)
    return (value, started), (value, started | (x > 0))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("backend", COMPILING)
def test_flags_in_the_state(backend, variant, dtype):
    random_flags = lambda: torch.rand(ROWS, 40) > 0.5  # noqa: E731
    x = torch.randn(STEPS, ROWS, 40, dtype=dtype)
    state = (torch.randn(ROWS, 40, dtype=dtype), random_flags())
    options = options_of(variant, state[0])
    if "reset_state" in options:
        options["reset_state"] = (options["reset_state"], random_flags())
    expected = oracle(has_started, x, state, **options)
    found = Run.of(has_started, x, state, backend, **options)
    assert found.tensors["state 1"].dtype == torch.bool
    found.require_equal(expected)


@pytest.mark.parametrize("backend", COMPILING)
@pytest.mark.parametrize("used", ["output", "hidden", "cell"])
def test_gradients_come_from_what_was_used_alone(used, backend):
    cell = CELLS["lstm"](3, 4).double()
    x = torch.randn(5, 2, 3, dtype=torch.double)

    def gradients(backend):
        output, (hidden, state) = elman.scan(cell, x, cell.initial_state(2), backend=backend)
        result = {"output": output, "hidden": hidden, "cell": state}[used]
        return torch.autograd.grad(result.square().sum(), list(cell.parameters()))

    for found, expected in zip(gradients(backend), gradients("reference"), strict=True):
        torch.testing.assert_close(found, expected)

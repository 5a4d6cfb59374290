"""`scan` against a loop written out row by row, and its errors."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils import _pytree as pytree

import elman
from elman.cells import LSTMCell, RNNCell
from elman.errors import ArgumentError, ShapeError, StepError

CELL = RNNCell(2, 3).double()
LSTM = LSTMCell(2, 3).double()


def nested_step(x, state):
    """Nested input, output and state, one leaf of which counts and one never changes."""
    hidden, _ = CELL(x["a"], state["h"] + state["fixed"])
    count = state["count"] + x["b"][:, :1]
    return {"h": hidden, "both": (count, hidden * 2)}, {
        "h": hidden,
        "count": count,
        "fixed": state["fixed"],
    }


def row_by_row(step, inputs, state, lengths, reset, reset_state, reverse):
    """The meaning of `scan`, one row and one step at a time."""
    steps, rows = pytree.tree_leaves(inputs)[0].shape[:2]
    outputs, finals = [], []
    for row in range(rows):
        s = pytree.tree_map(lambda leaf, row=row: leaf[row : row + 1], state)
        times = list(range(lengths[row] if lengths is not None else steps))
        ys = {}
        for t in reversed(times) if reverse else times:
            if reset is not None and reset[t, row]:
                s = pytree.tree_map(lambda leaf, row=row: leaf[row : row + 1], reset_state)
            x = pytree.tree_map(lambda leaf, row=row, t=t: leaf[t, row : row + 1], inputs)
            ys[t], s = step(x, s)
        template = (
            ys[times[0]]
            if times
            else step(pytree.tree_map(lambda leaf, row=row: leaf[0, row : row + 1], inputs), s)[0]
        )
        zero = pytree.tree_map(torch.zeros_like, template)
        column = [ys.get(t, zero) for t in range(steps)]
        outputs.append(pytree.tree_map(lambda *leaf: torch.stack(leaf), *column))
        finals.append(s)
    join = lambda dim: lambda *leaf: torch.cat(leaf, dim=dim)  # noqa: E731
    return pytree.tree_map(join(1), *outputs), pytree.tree_map(join(0), *finals)


@st.composite
def cases(draw):
    steps, rows = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    lengths = draw(st.none() | st.lists(st.integers(0, steps), min_size=rows, max_size=rows))
    reset = draw(st.none() | st.just(True))
    if reset:
        flags = st.lists(st.booleans(), min_size=steps * rows, max_size=steps * rows)
        reset = torch.tensor(draw(flags)).view(steps, rows)
    return steps, rows, lengths, reset, draw(st.booleans()), draw(st.sampled_from([None, 1, 2]))


def nested_arguments(steps, rows):
    r = lambda *shape: torch.randn(*shape, dtype=torch.double, requires_grad=True)  # noqa: E731
    state = lambda: {"h": r(rows, 3), "count": r(rows, 1), "fixed": r(rows, 3)}  # noqa: E731
    return {"a": r(steps, rows, 2), "b": r(steps, rows, 2)}, state(), state()


def gradients(result, wanted):
    torch.manual_seed(1)
    terms = [(leaf * torch.randn_like(leaf)).sum() for leaf in pytree.tree_leaves(result)]
    return torch.autograd.grad(sum(terms), wanted, allow_unused=True, materialize_grads=True)


@pytest.mark.parametrize("backend", ["reference", "auto"])
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_equals_the_loop_written_out(backend, case):
    steps, rows, lengths, reset, reverse, checkpoint = case
    inputs, state, reset_state = nested_arguments(steps, rows)
    given_reset_state = reset_state if reset is not None else None
    ours = elman.scan(
        nested_step,
        inputs,
        state,
        lengths=lengths,
        reset=reset,
        reset_state=given_reset_state,
        reverse=reverse,
        checkpoint=checkpoint,
        backend=backend,
    )
    written_out = row_by_row(nested_step, inputs, state, lengths, reset, reset_state, reverse)
    wanted = [*pytree.tree_leaves((inputs, state, reset_state)), *CELL.parameters()]
    torch.testing.assert_close(ours, written_out)
    torch.testing.assert_close(gradients(ours, wanted), gradients(written_out, wanted))


def test_what_stands_in_the_padding_touches_nothing():
    x = torch.randn(4, 3, 2, dtype=torch.double)
    lengths = torch.tensor([2, 4, 1])
    spoiled = x.clone()
    for row, length in enumerate(lengths):
        spoiled[length:, row] = float("nan")
    results = []
    for values in (x, spoiled):
        output, state = elman.scan(LSTM, values, LSTM.initial_state(3), lengths=lengths)
        grads = torch.autograd.grad(output.sum() + state[1].sum(), list(LSTM.parameters()))
        results.append((output, state, grads))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)


def test_a_reset_goes_to_reset_state_and_not_to_the_state_that_was_passed():
    def add(x, s):
        return s + x, s + x

    reset = torch.tensor([[False], [True]])
    start = torch.full((1, 1), 100.0, requires_grad=True)
    output, _ = elman.scan(add, torch.ones(2, 1, 1), start, reset=reset)
    assert output.flatten().tolist() == [101.0, 1.0]
    (gradient,) = torch.autograd.grad(output[1].sum(), start)
    assert gradient.item() == 0.0


@pytest.mark.parametrize("rows", [0, 2])
def test_no_time_steps(rows):
    output, state = elman.scan(LSTM, torch.empty(0, rows, 2).double(), LSTM.initial_state(rows))
    assert output.shape == (0, rows, 3)
    assert state[0].shape == (rows, 3)


def test_all_lengths_zero():
    start = tuple(torch.randn(2, 3, dtype=torch.double) for _ in range(2))
    output, state = elman.scan(LSTM, torch.randn(4, 2, 2).double(), start, lengths=[0, 0])
    assert torch.equal(output, torch.zeros(4, 2, 3, dtype=torch.double))
    assert torch.equal(state[1], start[1])


def test_closed_over_tensors_get_gradients():
    weight = torch.randn(2, 2, requires_grad=True)
    output, _ = elman.scan(
        lambda x, h: (torch.tanh(x + h @ weight),) * 2, torch.randn(3, 4, 2), torch.ones(4, 2)
    )
    output.sum().backward()
    assert weight.grad is not None
    assert weight.grad.abs().sum() > 0


def test_autocast_does_not_change_the_state():
    cell = RNNCell(2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        output, state = elman.scan(cell, torch.randn(3, 2, 2), cell.initial_state(2))
    assert output.dtype == state.dtype == torch.float32


def test_second_derivatives_vmap_and_forward_mode():
    x = torch.randn(3, 2, 2, dtype=torch.double, requires_grad=True)
    run = lambda x: elman.scan(CELL, x, CELL.initial_state(x.shape[1]))[0]  # noqa: E731
    assert torch.autograd.gradgradcheck(run, (x,))
    mapped = torch.func.vmap(run)(torch.stack([x, 2 * x]))
    torch.testing.assert_close(mapped[1], run(2 * x))
    _, tangent = torch.func.jvp(run, (x,), (torch.ones_like(x),))
    small = 1e-6
    torch.testing.assert_close(tangent, (run(x + small) - run(x)) / small, rtol=1e-4, atol=1e-5)


X, H = torch.zeros(4, 2, 3), torch.zeros(2, 5)


def keep(x, h):
    return h, h


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((keep, torch.zeros(4), H), ShapeError, r"input must have shape \(T, B, \.\.\.\).*\(4,\)"),
        (
            (keep, X, torch.zeros(3, 5)),
            ShapeError,
            r"state must have the batch of 2 rows.*\(3, 5\)",
        ),
        ((keep, (X, torch.zeros(5, 2, 1)), H), ShapeError, r"share.*input\[1\] has \(5, 2, 1\)"),
        ((keep, X, (H, None)), ShapeError, "state must be a tensor or a nest.*None"),
        ((keep, (), H), ShapeError, "no tensor"),
        ((lambda x, h: (h, h[:, :2]), X, H), StepError, r"state went in as \(2, 5\).*\(2, 2\)"),
        ((lambda x, h: (h, h.double()), X, H), StepError, "dtype.*float32.*float64"),
        ((lambda x, h: (h, (h, h)), X, H), StepError, "built like"),
        ((lambda x, h: h, X, H), StepError, r"pair \(output, state\)"),
        ((lambda x, h: (h.sum(), h), X, H), StepError, "each of its 2 rows"),
        ((None, X, H), ArgumentError, "step must be a function or a module.* got None"),
    ],
)
def test_wrong_arguments_and_steps_are_named(arguments, error, words):
    with pytest.raises(error, match=words) as caught:
        elman.scan(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"lengths": [1, 5]}, ArgumentError, r"between 0 and the 4 steps.*lengths\[1\] is 5"),
        ({"lengths": [1, -1]}, ArgumentError, r"lengths\[1\] is -1"),
        ({"lengths": [1, 2, 3]}, ShapeError, "2 integers"),
        ({"lengths": torch.ones(2)}, ShapeError, "integers.*float32"),
        ({"reset": torch.zeros(4, 2)}, ShapeError, "bool.*float32"),
        ({"reset": torch.zeros(2, 4, dtype=torch.bool)}, ShapeError, r"\(4, 2\)"),
        ({"reset_state": H}, ArgumentError, "reset is None"),
        (
            {"reset": torch.zeros(4, 2, dtype=torch.bool), "reset_state": torch.zeros(2, 4)},
            ShapeError,
            "reset_state must be like state",
        ),
        ({"checkpoint": 0}, ArgumentError, ">= 1"),
        ({"checkpoint": 1.5}, ArgumentError, ">= 1, got 1.5"),
        ({"checkpoint": True}, ArgumentError, ">= 1, got True"),
        ({"reverse": "no"}, ArgumentError, "True or False, got 'no'"),
        ({"lengths": "abc"}, ArgumentError, "lengths must be 2 integers.*'abc'"),
        ({"lengths": [[1], [1, 2]]}, ArgumentError, "lengths must be 2 integers"),
        ({"backend": "cuda"}, ArgumentError, "backend must be one of.*cuda"),
    ],
)
def test_wrong_options_are_named(options, error, words):
    with pytest.raises(error, match=words):
        elman.scan(keep, X, H, **options)


@pytest.mark.parametrize("backend", ["reference", "llvm"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_a_packed_input_equals_the_loop_written_out(backend, reverse, enforce_sorted):
    lengths = torch.tensor([5, 4, 4, 1] if enforce_sorted else [4, 1, 5, 4])
    x = torch.randn(5, 4, 2, dtype=torch.double, requires_grad=True)
    state = tuple(torch.randn(4, 3, dtype=torch.double, requires_grad=True) for _ in range(2))
    packed = pack_padded_sequence(x, lengths, enforce_sorted=enforce_sorted)
    output, final = elman.scan(LSTM, packed, state, reverse=reverse, backend=backend)
    padded, same_lengths = pad_packed_sequence(output)
    assert torch.equal(same_lengths, lengths)
    expected = row_by_row(LSTM, x, state, lengths, None, None, reverse)
    torch.testing.assert_close((padded, final), expected)
    wanted = [x, *state, *LSTM.parameters()]
    found = gradients((padded, final), wanted)
    torch.testing.assert_close(found, gradients(expected, wanted))


def test_what_does_not_go_with_a_packed_input():
    packed = pack_padded_sequence(torch.zeros(3, 2, 2).double(), torch.tensor([3, 1]))
    state = torch.zeros(2, 3).double()
    with pytest.raises(ArgumentError, match="carries its own lengths, so lengths can't be given"):
        elman.scan(CELL, packed, state, lengths=[3, 1])
    with pytest.raises(ArgumentError, match="checkpoint can't be given"):
        elman.scan(CELL, packed, state, checkpoint=2)
    with pytest.raises(ShapeError, match="batch of 2 rows first"):
        elman.scan(CELL, packed, torch.zeros(3, 3).double())

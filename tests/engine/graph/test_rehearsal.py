"""A step is run twice before it is compiled: what differs, and what a single row changes."""

import itertools
import sys
import time
import types

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import elman
from elman.cells import GRUCell, LSTMCell
from elman.engine import backends
from elman.engine.arguments import check
from elman.engine.graph.recording import Call, difference
from elman.engine.graph.rehearsal import Rehearsal
from elman.engine.step.snapshot import Snapshot
from elman.errors import UnsupportedStep

X, H = torch.randn(4, 3, 5), torch.randn(3, 5)


@pytest.fixture(autouse=True)
def _warnings_start_anew():
    backends._warned.clear()


def asks_for_one_row(x, h):
    h = torch.tanh(x + (h * 2 if x.shape[0] == 1 else h))
    return h, h


def asks_for_the_length(x, h):
    h = torch.tanh(x + (h * 2 if len(x) == 1 else h))
    return h, h


def squeezes(x, h):
    h = torch.tanh(x + h.squeeze().sum(-1, keepdim=True))
    return h, h


def scales_if_alone(x, h):
    if h.size(0) != 1:
        h = h * 0.5
    return h + x, h + x


def leaves_out_if_alone(x, h):
    h = torch.tanh(x + h)
    return h * 2 if h.numel() > 5 else h, h


def calls_another_if_alone(x, h):
    h = torch.sigmoid(x + h) if x.size(0) == 1 else torch.tanh(x + h)
    return h, h


def depends_through_python(x, h):
    rates = [0.5, 1.0]
    h = torch.tanh(x + h * rates[x.shape[0] != 1])
    return h, h


def fails_if_alone(x, h):
    if x.shape[0] == 1:
        raise ValueError("not for one")
    return x + h, x + h


ALONE = [
    asks_for_one_row, asks_for_the_length, squeezes, scales_if_alone, calls_another_if_alone,
    depends_through_python, leaves_out_if_alone,
]  # fmt: skip


REFUSED = [asks_for_the_length, depends_through_python]
"""For any number of rows: Python wants the number itself."""


@pytest.mark.parametrize("step", ALONE, ids=lambda step: step.__name__)
def test_a_single_row_runs_as_the_plain_loop_runs_it(step):
    for rows in (3, 1, 2, 1):
        x, h = X[:, :1].repeat(1, rows, 1), H[:1].repeat(rows, 1)
        expected, final = elman.scan(step, x, h, backend="reference")
        if rows == 1 or step in REFUSED:
            with pytest.raises(UnsupportedStep, match=r"row|SymBool"):
                elman.scan(step, x, h, backend="llvm")
            backends._warned.clear()
            with pytest.warns(UserWarning, match=step.__name__):
                found, state = elman.scan(step, x, h)
        else:
            found, state = elman.scan(step, x, h, backend="llvm")
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(state, final)


def test_an_error_for_a_single_row_is_raised_for_one_only():
    found, _ = elman.scan(fails_if_alone, X, H, backend="llvm")
    torch.testing.assert_close(found, elman.scan(fails_if_alone, X, H, backend="reference")[0])
    with pytest.warns(UserWarning, match="single row"), pytest.raises(ValueError, match="for one"):
        elman.scan(fails_if_alone, X[:, :1], H[:1])


def test_rows_that_end_leave_no_single_row():
    lengths = [4, 1, 2]
    found, _ = elman.scan(asks_for_one_row, X, H, lengths=lengths, backend="llvm")
    expected, _ = elman.scan(asks_for_one_row, X, H, lengths=lengths, backend="reference")
    torch.testing.assert_close(found, expected)


@given(rows=st.integers(1, 6), width=st.integers(1, 6), steps=st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_widths_of_one_are_no_single_rows(rows, width, steps):
    def step(x, h):
        h = torch.tanh(x + h.reshape(x.shape[0], -1) * h.shape[1])
        return h, h

    x, h = torch.randn(steps, rows, width), torch.randn(rows, width)
    found, _ = elman.scan(step, x, h, backend="llvm")
    torch.testing.assert_close(found, elman.scan(step, x, h, backend="reference")[0])


class Hidden:
    """Reached by a name that no code spells out."""

    numbers = itertools.count(1)
    weights = (torch.ones(5), torch.zeros(5))


def hidden():
    return getattr(sys.modules[__name__], "".join(("Hid", "den")))


def reads_a_number(x, h):
    h = torch.tanh(x + h) * next(hidden().numbers)
    return h, h


def chooses_an_operation(x, h):
    h = [torch.tanh, torch.sigmoid][next(hidden().numbers) % 2](x + h)
    return h, h


def chooses_a_tensor(x, h):
    h = torch.tanh(x + [x, h][next(hidden().numbers) % 2])
    return h, h


def chooses_a_result(x, h):
    h = torch.tanh(x + h)
    return [x, h][next(hidden().numbers) % 2], h


def does_more(x, h):
    for _ in range(next(hidden().numbers) % 2):
        x = x * 2
    return x + h, h


def makes_a_tensor(x, h):
    h = x + h * torch.full((5,), float(next(hidden().numbers)))
    return h, h


def fills_a_slice(x, h):
    h = torch.cat([h[:, : next(hidden().numbers) % 2 + 1], h[:, 2:], x], 1)[:, :5]
    return h, h


CHANGING = {
    reads_a_number: "mul at test_rehearsal.py:\\d+ gets \\d+ or \\d+",
    chooses_an_operation: "tanh|sigmoid",
    chooses_a_tensor: "gets one tensor or another tensor",
    chooses_a_result: "return at the end of the step gets one tensor or another tensor",
    does_more: "mul at .* add at|add at .* mul at",
    makes_a_tensor: "full at test_rehearsal.py:\\d+ gets",
    fills_a_slice: "__getitem__ at",
}


@pytest.mark.parametrize("step", CHANGING, ids=lambda step: step.__name__)
def test_what_differs_is_named_with_its_line(step):
    with pytest.raises(UnsupportedStep, match=CHANGING[step]) as caught:
        elman.scan(step, X, H, backend="llvm")
    assert "reads what changes" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_calls_are_compared_by_what_they_get():
    def call(*given, function=torch.add):
        return Call(function, list(given), None, [], "cell.py:3")

    def compared(first, second):
        return difference(first, second, lambda value: value)

    nan = float("nan")
    assert compared([call(1.0, nan)], [call(1.0, nan)]) == ""
    assert compared([call(lambda: 1)], [call(lambda: 1)]) != ""
    assert compared([call(object())], [call(object())]) == ""
    assert "0.0 or -0.0" in compared([call(0.0)], [call(-0.0)])
    assert "1 or True" in compared([call(1)], [call(True)])
    assert "add at cell.py:3" in compared([call()], [call(function=torch.sub)])
    assert "happens or not" in compared([call(), call()], [call()])


def test_attributes_of_autograd_are_refused_where_they_can_differ():
    def asks_the_state(x, h):
        return x + h, x + h * (2.0 if h.requires_grad else 1.0)

    def asks_for_the_graph(x, h):
        h = x + h
        return h, h * (1.0 if h.grad_fn is None else 2.0)

    def asks_the_input(x, h):
        return x + h, x + h * (2.0 if x.requires_grad else 1.0)

    for step in (asks_the_state, asks_for_the_graph):
        with pytest.raises(UnsupportedStep, match=r"asks for .* at test_rehearsal\.py"):
            elman.scan(step, X, H, backend="llvm")
    for x in (X, X.clone().requires_grad_()):
        found = elman.scan(asks_the_input, x, H, backend="llvm")[0]
        expected = elman.scan(asks_the_input, x, H, backend="reference")[0]
        torch.testing.assert_close(found, expected)


class Several(nn.Module):
    """What steps are made of, and what must not be taken for a change."""

    def __init__(self):
        super().__init__()
        self.norm, self.drop = nn.LayerNorm(5), nn.Dropout(0.0)
        self.map = nn.Sequential(nn.Linear(5, 5), nn.GELU())
        self.attention = nn.MultiheadAttention(5, 1, batch_first=True)
        self.names = ["a", "b"]

    def forward(self, x, h):
        h = self.norm(self.drop(self.map(x)) + h).contiguous().to(h.dtype).view(-1, 5)
        h = h + self.attention(x[:, None], h[:, None], h[:, None], need_weights=False)[0][:, 0]
        parts = {name: h * index for index, name in enumerate(self.names)}
        self.last_names = None
        del self.last_names
        return sum(parts.values()), torch.where(h > 0, h, 0.1 * h)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_ordinary_steps_are_the_same_both_times(training, mode):
    cell = Several().train(training)
    with mode():
        snapshot = Snapshot(cell)
        arguments = check(X, H, None, None, None, False, None)
        with torch.inference_mode(False):
            rehearsal = Rehearsal(cell, arguments, True, snapshot)
    assert rehearsal.one_row is None
    assert rehearsal._recording is not None
    assert rehearsal._recording.calls


def test_a_step_under_checkpoint_and_callers_hooks():
    cell, seen = GRUCell(5, 5), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: seen.append(type(t)) or t, lambda t: t):
        found, _ = elman.scan(cell, X, H, backend="llvm", checkpoint=2)
    found.sum().backward()
    assert set(seen) <= {torch.Tensor, nn.Parameter}


def test_a_rehearsal_takes_a_small_part_of_compiling():
    cell, arguments = LSTMCell(8, 8), check(
        torch.randn(2, 3, 8), (torch.zeros(3, 8),) * 2, None, None, None, False, None
    )  # fmt: skip
    times = []
    for _ in range(5):
        start = time.thread_time()
        Rehearsal(cell, arguments, True, Snapshot(cell))
        times.append(time.thread_time() - start)
    assert min(times) < 0.06  # 0.012 s on a quiet core, of the 0.2 s that compiling takes


def test_a_module_with_much_around_it_is_read_once():
    owner = types.SimpleNamespace(rows=[{"n": n, "name": str(n)} for n in range(2000)])
    owner.itself = owner

    def step(x, h):
        return x + h, x + h * len(owner.rows[0])

    snapshot = Snapshot(step)
    owner.rows[7]["n"] = -1
    with pytest.raises(UnsupportedStep, match=r"changes the dict owner\.rows\[7\]"):
        snapshot.require_unchanged()
    assert owner.rows[7]["n"] == 7
    snapshot.require_unchanged()

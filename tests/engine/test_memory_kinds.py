"""Tensors without plain memory of their own, and modes of torch around the call.

Compiled code that reads such a tensor ends the process, so everything runs in forked children.
"""

import os
import signal
import traceback

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils.rnn import pack_padded_sequence
from torch.overrides import TorchFunctionMode
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import elman

STEPS, ROWS, WIDTH = 5, 4, 3
X = torch.randn(STEPS, ROWS, WIDTH)
STATE = torch.randn(ROWS, WIDTH)
WEIGHT = nn.Parameter(torch.randn(WIDTH, WIDTH) / 2)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="runs in forked children")


def step(x, h):
    h = torch.tanh(x + h @ WEIGHT)
    return h, h


def loop(x=X, h=STATE, weight=WEIGHT):
    """The step's loop, written out."""
    outputs = []
    for x_t in x:
        h = torch.tanh(x_t + h @ weight)
        outputs.append(h)
    return torch.stack(outputs)


def in_child(check):
    """Run `check` in a child, and fail with what it raised or with the signal that ended it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        text = ""
        signal.alarm(120)  # a child that hangs is ended
        torch.set_num_threads(
            1
        )  # libgomp's threads are not there in a child, and it waits for them
        try:
            check()
        except BaseException:  # noqa: BLE001 (reported by the parent)
            text = traceback.format_exc()
        os.write(writing, text.encode()[-10_000:])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, f"the process died: status {status}"
    assert not text, text


class Plain(torch.Tensor):
    """A subclass that changes nothing."""


class Overriding(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return super().__torch_function__(function, types, args, kwargs or {})


def negated(tensor):
    view = torch.complex(torch.zeros_like(tensor), -tensor).conj().imag
    assert view.is_neg()
    return view


KINDS = {
    "subclass": lambda t: t.as_subclass(Plain),
    "functions of its own": lambda t: t.as_subclass(Overriding),
    "wrapper": lambda t: TwoTensor(t.detach(), t.detach().clone()),
    "functional": torch._to_functional_tensor,
    "half": lambda t: t.half().float(),  # plain again
    "negated": negated,
    "shared": lambda t: t.detach().clone().share_memory_(),
    "expanded": lambda t: t[..., :1].expand(t.shape),
}


def numbers(tensor):
    if isinstance(tensor, TwoTensor):
        return tensor.a
    if torch._is_functional_tensor(tensor):
        torch._sync(tensor)
        return torch._from_functional_tensor(tensor)
    return tensor.as_subclass(torch.Tensor)


def found_and_expected(place, make):
    if place == "input":
        return elman.scan(step, make(X), STATE)[0], loop(numbers(make(X)))
    if place == "state":
        return elman.scan(step, X, make(STATE))[0], loop(h=numbers(make(STATE)))
    if place == "reset_state":
        mask = torch.zeros(STEPS, ROWS, dtype=torch.bool)
        mask[0] = True
        found = elman.scan(step, X, STATE * 0, reset=mask, reset_state=make(STATE))[0]
        return found, loop(h=numbers(make(STATE)))
    held = [WEIGHT]
    closing = lambda x, h: (torch.tanh(x + h @ held[0]),) * 2  # noqa: E731
    elman.scan(closing, X, STATE)  # an ordinary one is met first
    held[0] = make(WEIGHT)
    return elman.scan(closing, X, STATE)[0], loop(weight=numbers(held[0]))


@pytest.mark.filterwarnings("ignore:elman.scan runs")
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_tensor_runs(kind):
    def check():
        make = lambda tensor: KINDS[kind](tensor.detach())  # noqa: E731
        with torch.no_grad():
            for place in ("input", "state", "reset_state", "closed over"):
                found, expected = found_and_expected(place, make)
                torch.testing.assert_close(numbers(found), expected, msg=place)

    in_child(check)


@pytest.mark.filterwarnings("ignore:elman.scan runs")
def test_a_zero_tensor_is_zero():
    def check():
        with torch.no_grad():
            zeros = torch._efficientzerotensor(STEPS, ROWS, WIDTH)
            torch.testing.assert_close(elman.scan(step, zeros, STATE)[0], loop(X * 0))

    in_child(check)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda t: torch._efficientzerotensor(t.shape), "a zero tensor"),
        (lambda t: t.as_subclass(Plain), "a Plain"),
        (lambda t: TwoTensor(t, t), "a TwoTensor"),
        (lambda t: t.to("meta"), "meta"),
        (FakeTensorMode().from_tensor, "a fake tensor"),
        (torch._to_functional_tensor, "functionalisation"),
    ],
)
def test_what_it_is_and_where_is_named(change, word):
    def check():
        weight = change(WEIGHT.detach())
        closing = lambda x, h: (torch.tanh(x + h @ weight),) * 2  # noqa: E731
        for name, call in [
            ("input", lambda: elman.scan(step, change(X), STATE, backend="llvm")),
            ("state", lambda: elman.scan(step, X, change(STATE), backend="llvm")),
            ("closes over", lambda: elman.scan(closing, X, STATE, backend="llvm")),
        ]:
            if word == "a fake tensor" and name == "closes over":
                continue  # tracing itself meets it
            with pytest.raises(elman.errors.UnsupportedStep) as caught:
                call()
            assert word in str(caught.value), str(caught.value)
            assert name in str(caught.value)

    in_child(check)


@pytest.mark.parametrize("backend", ["auto", "llvm"])
def test_memory_that_was_given_back_is_named(backend):
    def check():
        def freed(tensor, first=0):
            tensor = tensor.detach().clone()
            view = tensor[first:]
            tensor.untyped_storage().resize_(0)
            return view

        weight = WEIGHT.detach().clone()
        closing = lambda x, h: (torch.tanh(x @ weight + h @ weight),) * 2  # noqa: E731
        elman.scan(closing, X, STATE)
        weight.untyped_storage().resize_(0)
        for call in [
            lambda: elman.scan(step, freed(X), STATE, backend=backend),
            lambda: elman.scan(step, freed(X, 1), STATE, backend=backend),
            lambda: elman.scan(step, X, freed(STATE), backend=backend),
            lambda: elman.scan(closing, X, STATE, backend=backend),
        ]:
            with pytest.raises(elman.errors.ArgumentError, match="memory was given back"):
                call()

    in_child(check)


class Counting(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen.append(function)
        return function(*args, **(kwargs or {}))


class CountingFunctions(TorchFunctionMode):
    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.seen.append(function)
        return function(*args, **(kwargs or {}))


def test_modes_see_every_operation():
    def check():
        output, _ = elman.scan(step, X, STATE)
        for mode in (Counting(), CountingFunctions()):
            with mode:
                found, _ = elman.scan(step, X, STATE)
            assert sum("tanh" in str(f) for f in mode.seen) == STEPS
            torch.testing.assert_close(found, output)
        with FlopCounterMode(display=False) as counter:
            elman.scan(step, X, STATE)
        assert counter.get_total_flops() == STEPS * 2 * ROWS * WIDTH * WIDTH
        with Counting() as mode:
            output.sum().backward()
        assert sum("tanh_backward" in str(f) for f in mode.seen) == STEPS
        with FakeTensorMode(allow_non_fake_inputs=True):
            assert elman.scan(step, X, STATE)[0].shape == (STEPS, ROWS, WIDTH)

    in_child(check)


@pytest.mark.filterwarnings("ignore:elman.scan runs")
@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("lengths", [None, [5, 0, 3, 5]])
def test_default_devices_change_nothing(device, lengths):
    def check():
        mask = torch.zeros(STEPS, ROWS, dtype=torch.bool)
        plain, _ = elman.scan(step, X, STATE, lengths=lengths, reset=mask)
        (expected,) = torch.autograd.grad(plain.sum(), WEIGHT)
        outside, _ = elman.scan(step, X, STATE, lengths=lengths, reset=mask)
        with torch.device(device):
            inside, _ = elman.scan(step, X, STATE, lengths=lengths, reset=mask)
            (found,) = torch.autograd.grad(outside.sum(), WEIGHT)
        torch.testing.assert_close(inside, plain)
        torch.testing.assert_close(found, expected)

    in_child(check)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lengths": [1, 0, 5, 3]},
        {"checkpoint": 2},
        {"lengths": [1, 0, 5, 3], "checkpoint": 3, "reverse": True},
        {"reset": torch.ones(STEPS, ROWS, dtype=torch.bool, device="meta")},
    ],
    ids=str,
)
def test_meta_tensors_give_meta_results(options):
    def check():
        weight = nn.Parameter(torch.empty(WIDTH, WIDTH, device="meta"))
        x = torch.empty(STEPS, ROWS, WIDTH, device="meta", requires_grad=True)
        meta_step = lambda x, h: ((torch.tanh(x @ weight + h), h[:, :1]), h @ weight)  # noqa: E731
        state = torch.empty(ROWS, WIDTH, device="meta")
        (first, second), final = elman.scan(meta_step, x, state, **options)
        assert first.shape == (STEPS, ROWS, WIDTH)
        assert second.shape == (STEPS, ROWS, 1)
        assert final.shape == (ROWS, WIDTH)
        (first.sum() + second.sum() + final.sum()).backward()
        for tensor in (first, second, final, x.grad, weight.grad):
            assert tensor.is_meta

    in_child(check)


def test_lengths_on_meta_have_no_numbers():
    with pytest.raises(elman.errors.ArgumentError, match="pass a list"):
        elman.scan(step, X, STATE, lengths=torch.ones(ROWS, dtype=torch.long, device="meta"))


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_inference_mode_in_and_out(backend):
    expected = loop().detach()
    with torch.inference_mode():
        inside, state = elman.scan(step, X, STATE, backend=backend)
    torch.testing.assert_close(inside.clone(), expected)
    x = X.clone().requires_grad_()
    outside, _ = elman.scan(step, x, STATE, backend=backend)  # nothing from inside is in the way
    outside.sum().backward()
    torch.testing.assert_close(outside, expected)
    bias = torch.zeros(WIDTH, requires_grad=True)  # its gradient needs no number from inside

    def adding(x, h):
        return x + bias, h

    if backend == "auto":
        with pytest.warns(UserWarning, match="inference mode"):
            output, _ = elman.scan(adding, inside, state, backend=backend)
    else:
        output, _ = elman.scan(adding, inside, state, backend=backend)
    output.sum().backward()
    assert bias.grad.tolist() == [STEPS * ROWS] * WIDTH


def test_deterministic_algorithms_fill_memory():
    torch.use_deterministic_algorithms(True)
    try:
        found, _ = elman.scan(step, X, STATE, lengths=[5, 5, 5, 5], checkpoint=2, backend="llvm")
        torch.testing.assert_close(found, loop())
        assert torch.autograd.grad(found.sum(), WEIGHT)[0].isfinite().all()
    finally:
        torch.use_deterministic_algorithms(False)


class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, x, h):
        h = torch.tanh(self.linear(x) + h)
        return h, h


@pytest.mark.parametrize("backend", ["reference", "llvm", "auto"])
def test_autocast_inputs_come_in_the_dtype_of_the_state(backend):
    cell, first = Cell(), nn.Linear(WIDTH, WIDTH)
    with torch.autocast("cpu", torch.bfloat16):
        low = first(X)
        output, state = elman.scan(cell, low, STATE, backend=backend)
        packed, _ = elman.scan(cell, pack_padded_sequence(low, [5] * 4), STATE, backend=backend)
        pieces, _ = elman.scan(cell, low, STATE, checkpoint=2, backend=backend)
    assert low.dtype == torch.bfloat16
    h, expected = STATE, []
    for x_t in low.float():
        h = torch.tanh(cell.linear(x_t) + h)
        expected.append(h)
    for found in (output, packed.data.view_as(output), pieces):
        torch.testing.assert_close(found, torch.stack(expected))
    assert state.dtype == torch.float32
    (gradient,) = torch.autograd.grad(output.sum(), first.weight, retain_graph=True)
    wanted = torch.autograd.grad(torch.stack(expected).sum(), first.weight)[0]
    torch.testing.assert_close(gradient, wanted, rtol=0.02, atol=0.02)


@pytest.mark.filterwarnings("ignore:elman.scan runs")
def test_autocast_says_what_a_low_state_needs():
    cell = Cell()
    low = STATE.bfloat16()
    with (
        torch.autocast("cpu", torch.bfloat16),
        pytest.raises(elman.errors.StepError, match="without autocast"),
    ):
        elman.scan(cell, X.bfloat16(), low)


@pytest.mark.parametrize("shape", [(4,), (2, 2)])
@pytest.mark.parametrize("role", ["state", "constants", "reset_state"])
def test_rows_that_overlap_in_memory(role, shape):
    """Windows of a series: each row begins one number after the one before it."""
    series = torch.arange(10.0).requires_grad_()
    windows = series.unfold(0, 4, 1)[:3].unflatten(1, shape)
    x, zeros = torch.zeros(2, 3, *shape), torch.zeros(3, *shape)
    options = {"state": zeros, role: windows}
    if role == "reset_state":
        options["reset"] = torch.tensor([[True, False, True]] * 2)

    def with_constants(x, h, c=0.0):
        h = h + x + c
        return h * h, h

    found = []
    for backend in ("llvm", "reference"):
        output, state = elman.scan(with_constants, x, backend=backend, **options)
        loss = (output * torch.arange(output.numel()).view_as(output)).sum()
        found.append([output, state, *torch.autograd.grad(loss, series)])
    torch.testing.assert_close(*found)

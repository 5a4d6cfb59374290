"""What runs in the backward pass of a step and is the user's: hooks, `torch.autograd.Function`."""

import pytest
import torch
from torch import nn
from torch.autograd import Function

import elman
from elman.engine import backends
from elman.errors import StepError, UnsupportedStep

WIDTH = 6
W = nn.Parameter(torch.linspace(-0.6, 0.6, WIDTH * WIDTH).view(WIDTH, WIDTH).sin())


@pytest.fixture(autouse=True)
def _warnings_start_anew():
    backends._warned.clear()


class Spike(Function):
    """A surrogate gradient, as spiking networks have; its slope is often annealed."""

    slope = 2.0

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient / (1 + Spike.slope * x.abs()) ** 2


class Rounded(Function):
    """A straight-through estimator."""

    @staticmethod
    def forward(ctx, x, levels):
        return torch.round(x * levels) / levels

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


class Reversed(Function):
    @staticmethod
    def forward(x):
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.scale = 0.3

    @staticmethod
    def backward(ctx, gradient):
        return -ctx.scale * gradient


class SumAndProduct(Function):
    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return a + b, a * b

    @staticmethod
    def backward(ctx, of_sum, of_product):
        a, b = ctx.saved_tensors
        return of_sum + of_product * b, 0.5 * (of_sum + of_product * a)


class Sign(Function):
    @staticmethod
    def forward(ctx, w):
        ctx.save_for_backward(w)
        return w.sign()

    @staticmethod
    def backward(ctx, gradient):
        return gradient.clamp(-0.01, 0.01)


def spiking(x, v):
    v = 0.9 * v + x @ W
    spike = Spike.apply(v - 0.5)
    return spike, v * (1 - spike)


def through(function, *arguments):
    def step(x, h):
        h = function.apply(torch.tanh(x + h @ W), *arguments)
        return h, h

    return step


def of_two(x, h):
    total, product = SumAndProduct.apply(torch.tanh(x + h @ W), h)
    return total, torch.tanh(product + x)


def hooked(hook):
    def step(x, h):
        h = torch.tanh(x + h @ W)
        h.register_hook(hook)
        return h, h

    return step


def gradients(step, backend):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(5, 3, WIDTH, generator=generator).requires_grad_()
    h = torch.randn(3, WIDTH, generator=generator).requires_grad_()
    output, state = elman.scan(step, x, h, backend=backend)
    return [output, state, *torch.autograd.grad((output**2).sum() + state.sum(), [x, h, W])]


COMPILED = {
    "spiking": spiking,
    "straight through": through(Rounded, 8),
    "of the newer kind": through(Reversed),
    "two inputs and outputs": of_two,
    "clipped": hooked(lambda gradient: gradient.clamp(-0.1, 0.1)),
    "norm of a row": hooked(lambda g: g / g.norm(dim=1, keepdim=True).clamp_min(0.1)),
    "a view of a weight": lambda x, h: (h, torch.tanh(x + h @ Rounded.apply(W.view_as(W), 4))),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPILED)
def test_it_compiles(name):
    step = COMPILED[name]
    torch.testing.assert_close(gradients(step, "llvm"), gradients(step, "reference"))


def test_floats_that_it_reads_are_those_of_today(monkeypatch):
    limit = {"value": 1.0}
    clipped = hooked(lambda gradient: gradient.clamp(-limit["value"], limit["value"]))
    for value in (2.0, 1.0, 0.5, 0.25, 0.125, 1.0):
        monkeypatch.setattr(Spike, "slope", value)
        limit["value"] = 0.3 * value
        for step in (spiking, clipped):
            torch.testing.assert_close(gradients(step, "llvm"), gradients(step, "reference"))


def test_it_sees_what_holds_in_the_backward_pass():
    scale = {"value": 1.0}
    step = hooked(lambda gradient: gradient * scale["value"])
    x = torch.randn(4, 2, WIDTH, requires_grad=True)
    output, _ = elman.scan(step, x, torch.zeros(2, WIDTH), backend="llvm")
    scale["value"] = 0.5
    with pytest.raises(StepError, match=r"1\.0.* is now .*0\.5.*change the step after"):
        output.sum().backward()
    scale["value"] = 1.0
    output.sum().backward()


def noted(kept):
    return hooked(lambda gradient: kept.append(gradient.shape))


REFUSED = {
    "the numbers of a gradient": (
        lambda: hooked(lambda g: g * float(g.norm())), r"values of a tensor at test_calls_back"
    ),
    "a list": (lambda: noted([]), "changes the list kept"),
    "print": (lambda: hooked(lambda g: print(g.shape)), "calls print"),  # noqa: T201
    "one draw for all rows": (
        lambda: hooked(lambda g: g * torch.rand(())), "rand .* draws numbers that all rows share"
    ),
    "rows together": (lambda: hooked(lambda g: g / g.norm()), "joins all rows"),
    "a weight as it is": (
        lambda: lambda x, h: (h, torch.tanh(x + h @ Sign.apply(W))),
        "W, which the step closes over, goes into a torch.autograd.Function",
    ),
    "a sum over rows": (
        lambda: lambda x, h: (h, torch.tanh(x + h @ Sign.apply(W.view_as(W)))),
        "clamp .* changes a gradient that is summed over the rows",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(name, capsys):
    make, words = REFUSED[name]
    with pytest.raises(UnsupportedStep, match=words):
        gradients(make(), "llvm")
    assert capsys.readouterr().out == ""
    if "draw" not in name:
        with pytest.warns(UserWarning, match=words):
            found = gradients(make(), "auto")
        torch.testing.assert_close(found, gradients(make(), "reference"))


def test_hooks_of_modules():
    linear = nn.Linear(WIDTH, WIDTH)
    linear.register_full_backward_hook(lambda module, came, went: (2 * came[0],))

    def step(x, h):
        h = torch.tanh(linear(h) + x @ W)
        return h, h

    torch.testing.assert_close(gradients(step, "llvm"), gradients(step, "reference"))


# What is done once for all steps or rows must not be what a step does each time.


@pytest.mark.parametrize(
    "draw",
    [
        lambda h: torch.rand(()), lambda h: torch.rand(WIDTH), lambda h: torch.randn(1, WIDTH),
        lambda h: h @ nn.functional.dropout(W, 0.5), lambda h: torch.bernoulli(W.sigmoid())[0],
        lambda h: torch.randint(9, (WIDTH,)),
    ],
)  # fmt: skip
def test_a_draw_for_all_rows_is_made_at_every_step(draw):
    step = lambda x, h: (0 * h + draw(h), h)  # noqa: E731
    x, h = torch.zeros(4, 2, WIDTH), torch.ones(2, WIDTH)
    with pytest.raises(UnsupportedStep, match="draws numbers that all rows share"):
        elman.scan(step, x, h, backend="llvm")
    with pytest.warns(UserWarning, match="draws numbers that all rows share"):
        output, _ = elman.scan(step, x, h)
    assert not torch.equal(output[0], output[1])


def test_an_embedding_that_counts_its_rows():
    table = nn.Embedding(10, WIDTH, scale_grad_by_freq=True)

    def step(x, h):
        h = torch.tanh(table(x) + 0.5 * h)
        return h, h

    x = torch.tensor([[1, 2], [1, 1], [1, 3]])
    output, _ = elman.scan(step, x, torch.zeros(2, WIDTH), backend="reference")
    (expected,) = torch.autograd.grad(output.sum(), table.weight)
    with pytest.warns(UserWarning, match="scale_grad_by_freq"):
        output, _ = elman.scan(step, x, torch.zeros(2, WIDTH))
    torch.testing.assert_close(torch.autograd.grad(output.sum(), table.weight)[0], expected)
    with torch.no_grad():
        elman.scan(step, x, torch.zeros(2, WIDTH), backend="llvm")

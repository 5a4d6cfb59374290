"""Every operation that a compiled loop may hold, forward and backward, against the plain loop."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import elman
from tests.engine.comparing import Run, oracle
from tests.engine.settings import engine_set

W = nn.Parameter(torch.randn(6, 6, dtype=torch.double) / 3)
U = nn.Parameter(torch.randn(6, 2, dtype=torch.double) / 2)
V = nn.Parameter(torch.randn(2, 6, dtype=torch.double) / 2)
NORM = nn.LayerNorm(6).double()
NORM_ROWS = nn.LayerNorm((2, 3)).double()
RMS = nn.RMSNorm(6).double()
CLOSED = (W, U, V, *NORM.parameters(), *RMS.parameters())

ELEMENTWISE = {
    "exp": torch.exp, "expm1": torch.expm1, "log": lambda h: torch.log(h.abs() + 0.1),
    "log1p": lambda h: torch.log1p(h.abs()), "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    "relu": torch.relu, "relu6": F.relu6, "leaky_relu": lambda h: F.leaky_relu(h, 0.2),
    "elu": F.elu, "celu": F.celu, "selu": F.selu, "gelu": F.gelu,
    "gelu_tanh": lambda h: F.gelu(h, approximate="tanh"), "silu": F.silu, "mish": F.mish,
    "softplus": F.softplus, "softsign": F.softsign, "logsigmoid": F.logsigmoid,
    "hardtanh": F.hardtanh, "hardsigmoid": F.hardsigmoid, "hardswish": F.hardswish,
    "threshold": lambda h: F.threshold(h, 0.1, -1.0), "abs": torch.abs, "sign": torch.sign,
    "sqrt": lambda h: torch.sqrt(h.abs() + 0.1), "rsqrt": lambda h: torch.rsqrt(h.abs() + 0.1),
    "reciprocal": lambda h: torch.reciprocal(h.abs() + 0.5), "square": lambda h: h**2,
    "cube": lambda h: h**3, "pow": lambda h: (h.abs() + 0.1) ** 1.7,
    "pow of two": lambda h: torch.pow(h.abs() + 0.5, h), "clamp": lambda h: h.clamp(-0.5, 0.4),
    "clamp_min": lambda h: h.clamp(min=-0.2), "sin": torch.sin, "cos": torch.cos, "erf": torch.erf,
    "where": lambda h: torch.where(h > 0, h, 0.3 * h), "comparison": lambda h: (h > 0.1) * h,
    "minimum": lambda h: torch.minimum(h, 0.5 * h + 0.2), "neg": lambda h: -h,
    "maximum": lambda h: torch.maximum(h, -0.1 * h), "rsub": lambda h: 1 - h,
    "div": lambda h: h / (1.5 + h.abs()), "alpha": lambda h: torch.add(h, h, alpha=0.3),
    "lerp": lambda h: torch.lerp(h, -h, 0.3), "lerp by": lambda h: torch.lerp(h, -h, h.sigmoid()),
    "lerp shared": lambda h: torch.lerp(h, -h, W[0]),
    "addcmul": lambda h: torch.addcmul(h, h, h, value=2),
    "masked": lambda h: h.masked_fill(h > 0.3, 0.1), "floor": lambda h: h + torch.floor(h),
    "remainder": lambda h: torch.remainder(h, 0.7), "nan_to_num": torch.nan_to_num,
    "logical": lambda h: torch.where((h > 0) & ~(h > 0.5) | (h < -1), h, h * 0.5),
}  # fmt: skip
WHOLE_ROWS = {
    "softmax": lambda h: h.softmax(-1), "log_softmax": lambda h: h.log_softmax(-1),
    "layer_norm": NORM, "rms_norm": RMS, "normalize": lambda h: F.normalize(h, dim=-1),
    "sum": lambda h: h - h.sum(-1, keepdim=True) / 7, "mean": lambda h: h - h.mean(1, True),
    "amax": lambda h: h - h.amax(-1, keepdim=True), "amin": lambda h: h + h.amin(1, True),
    "max": lambda h: h - h.max(-1, keepdim=True).values,
    "var": lambda h: h * h.var(-1, keepdim=True),
    "std": lambda h: h / h.std(-1, keepdim=True), "logsumexp": lambda h: h - h.logsumexp(1, True),
    "norm": lambda h: h / (1 + h.norm(dim=-1, keepdim=True)),
    "unbiased": lambda h: h * h.var(-1, keepdim=True, unbiased=False),
    "groups": lambda h: F.layer_norm(h.view(-1, 2, 3), (3,)).flatten(1),
    "product": lambda h: h @ W, "two products": lambda h: torch.tanh(h @ W) @ W.T,
    "low rank": lambda h: (h @ U) @ V, "linear": lambda h: F.linear(h, W, W[0]),
    "addmm": lambda h: torch.addmm(W[0], h, W), "matvec": lambda h: h * (h @ W[:, 0])[:, None],
    "cat": lambda h: torch.cat([h[:, 3:], h[:, :3]], 1), "stack": lambda h: torch.stack(
        [h[:, :3], h[:, 3:]], dim=1).flatten(1), "min": lambda h: h * h.min(1).values[:, None],
    "argmax": lambda h: h * (h.argmax(1, keepdim=True) > 2),
    "roll": lambda h: torch.cat([h[:, 1:], h[:, :1]], 1),
    "chunk": lambda h: (lambda a, b: torch.cat([a * b, b], 1))(*h.chunk(2, 1)),
    "split": lambda h: torch.cat(h.split([1, 2, 3], 1)[::-1], 1), "select": lambda h: h * h[:, 2:3],
    "unbind": lambda h: torch.stack(h.unbind(1)[::-1], 1), "index": lambda h: h + h[:, 1][:, None],
    "view": lambda h: (h.view(-1, 2, 3) * h.view(-1, 2, 3)[:, :1]).reshape(-1, 6),
    "expand": lambda h: h + h[:, :1].expand(-1, 6), "broadcast": lambda h: h * W[0] + W[1],
    "unsqueeze": lambda h: (h.unsqueeze(1) * 2).squeeze(1), "attention-like": lambda h: (
        h * (h @ U).softmax(1)[:, :1]), "glu": lambda h: torch.cat([F.glu(h), h[:, :3]], 1),
}  # fmt: skip


def steps_of(function):
    """The function in the loop, before it, and after it."""

    def in_loop(x, h):
        h = 0.5 * function(0.7 * h + x) + 0.1 * h
        return h, h

    def outside(x, h):
        h = torch.tanh(function(x) * 0.5 + 0.3 * h)
        return function(h), h

    return {"in the loop": in_loop, "outside": outside}


@pytest.mark.parametrize("vectors", ["vectors of 16 bytes", "vectors of 64 bytes"])
@pytest.mark.parametrize("place", ["in the loop", "outside"])
@pytest.mark.parametrize("name", [*ELEMENTWISE, *WHOLE_ROWS])
def test_operation(name, place, vectors):
    """Vectors of 16 bytes are three in a row; of those of 64, a row fills a part of one."""
    step = steps_of({**ELEMENTWISE, **WHOLE_ROWS}[name])[place]
    input, state = torch.randn(4, 5, 6, dtype=torch.double), torch.randn(5, 6, dtype=torch.double)
    expected = oracle(step, input, state, CLOSED)
    # torch's own hardsigmoid multiplies by a sixth in single precision; sums cancel
    tolerance = 1e-4 if name == "hardsigmoid" else None
    with engine_set(vectors):
        found = Run.of(step, input, state, "llvm", CLOSED)
    found.require_equal(expected, tolerance=tolerance)


def test_nests_integers_and_a_state_that_stays():
    table = nn.Embedding(9, 6).double()

    def step(x, state):
        h = torch.tanh(table(x["token"]) + state["h"] @ W + state["fixed"])
        count = state["count"] + x["weight"][:, None]
        return (h * 2, {"count": count}), {"h": h, "fixed": state["fixed"], "count": count}

    input = {"token": torch.randint(9, (4, 5)), "weight": torch.rand(4, 5, dtype=torch.double)}
    row = lambda width: torch.randn(5, width, dtype=torch.double)  # noqa: E731
    state = {"h": row(6), "fixed": row(6), "count": row(1)}
    closed = (W, table.weight)
    for options in ({}, {"lengths": [4, 2, 0, 1, 3], "reverse": True}):
        expected = oracle(step, input, state, closed, **options)
        Run.of(step, input, state, "llvm", closed, **options).require_equal(expected)


def test_a_step_that_ignores_its_state_or_its_input():
    input, state = torch.randn(3, 2, 6, dtype=torch.double), torch.randn(2, 6, dtype=torch.double)
    for step in (lambda x, h: (x.tanh(), h), lambda x, h: (h @ W, h * 0.5), lambda x, h: (x, x)):
        expected = oracle(step, input, state, (W,))
        Run.of(step, input, state, "llvm", (W,)).require_equal(expected)


def test_a_step_that_writes_in_place():
    def step(x, h):
        gates = (h @ W).mul_(0.5)
        before = gates.view(-1, 2, 3)
        gates += x  # and so does its view
        h = torch.tanh(before).flatten(1) + F.leaky_relu_(h + 0.1, 0.3)
        return h, h * 0.9

    input, state = torch.randn(4, 3, 6, dtype=torch.double), torch.randn(3, 6, dtype=torch.double)
    expected = oracle(step, input, state, (W,))
    Run.of(step, input, state, "llvm", (W,)).require_equal(expected)


def test_two_states_of_different_width_and_rank():
    def step(x, state):
        memory, h = state
        memory = 0.9 * memory + (h[:, :, None] * x[:, None, :3])
        h = torch.tanh(x @ W + memory.flatten(1) @ W.repeat(3, 1))
        return memory.sum(2), (memory, h)

    input = torch.randn(4, 3, 6, dtype=torch.double)
    state = (torch.randn(3, 6, 3, dtype=torch.double), torch.randn(3, 6, dtype=torch.double))
    expected = oracle(step, input, state, (W,))
    Run.of(step, input, state, "auto", (W,)).require_equal(expected)


def test_dropout_that_does_not_depend_on_the_state():
    """Drawn anew for every step and row, and the gradient goes through what was kept."""

    def step(x, h):
        h = F.dropout(x, 0.25) + 0.0 * h
        return h, h

    x = torch.ones(60, 50, 20, requires_grad=True)
    output, _ = elman.scan(step, x, torch.zeros(50, 20), backend="llvm")
    kept = output != 0
    assert kept.double().mean().item() == pytest.approx(0.75, abs=0.01)
    torch.testing.assert_close(output[kept], torch.full_like(output[kept], 1 / 0.75))
    assert not torch.equal(kept[0], kept[1])
    assert not torch.equal(kept[:, 0], kept[:, 1])
    (gradient,) = torch.autograd.grad(output.sum(), x)
    torch.testing.assert_close(gradient, kept / 0.75)


def test_a_draw_with_odds_from_the_state():
    """The random numbers do not depend on the state, so they are drawn for all steps at once."""

    def step(x, h):
        h = torch.bernoulli(torch.sigmoid(h + x))
        return h, h

    output, _ = elman.scan(step, torch.zeros(200, 100, 20), torch.zeros(100, 20), backend="llvm")
    after = {value: output[1:][output[:-1] == value].mean().item() for value in (0.0, 1.0)}
    assert after[0.0] == pytest.approx(0.5, abs=0.01)
    assert after[1.0] == pytest.approx(0.731, abs=0.01)


def test_an_injected_mask_gives_what_the_plain_loop_gives():
    def step(x, h):
        h = torch.tanh(x["x"] @ W + h) * x["mask"]
        return h, h

    input = {
        "x": torch.randn(5, 4, 6, dtype=torch.double),
        "mask": (torch.rand(5, 4, 6) < 0.8).double() / 0.8,
    }
    state = torch.zeros(4, 6, dtype=torch.double)
    expected = oracle(step, input, state, (W,))
    Run.of(step, input, state, "llvm", (W,)).require_equal(expected)

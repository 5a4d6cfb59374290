"""A float that changes from call to call becomes an argument of the compiled loop: it costs one
more compilation, and the results are those of the plain loop, to the last bit."""

import math
import types
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import elman
from elman.engine.run import cache

X = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
H = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def compilations(monkeypatch):
    """One entry for each trace of a step."""
    found, trace = [], cache.trace
    monkeypatch.setattr(cache, "trace", lambda *given: found.append(given) or trace(*given))
    return found


class Cell(nn.Module):
    """`body(x, h, s)` with an attribute for s."""

    def __init__(self, body, s=0.5):
        super().__init__()
        self.body = body
        self.s = s

    def forward(self, x, h):
        h = self.body(x, h, self.s)
        return h, h


def results(step, backend, dtype=torch.float32):
    """Output, last state, and the gradients of input and first state."""
    x, h = (t.to(dtype).clone().requires_grad_() for t in (X, H))
    output, state = elman.scan(step, x, h, backend=backend)
    weight = torch.linspace(-1, 1, output.numel(), dtype=dtype).view_as(output)
    loss = (output * weight).sum() + state.sum()
    return [output, state, *torch.autograd.grad(loss, (x, h), materialize_grads=True)]


def require_equal(step, **options):
    found, expected = (results(step, backend, **options) for backend in ("llvm", "reference"))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5, equal_nan=True)


def require_same_bits(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        kind = torch.int32 if a.dtype == torch.float32 else torch.int64
        is_nan = a.isnan() & b.isnan()
        assert torch.equal(a.detach().view(kind)[~is_nan], b.detach().view(kind)[~is_nan])


BODIES = {
    "h * s": lambda x, h, s: x + h * s,
    "s * h": lambda x, h, s: x + s * h,
    "h / s": lambda x, h, s: torch.tanh(x + h / s),
    "s / h": lambda x, h, s: torch.tanh(x + s / (h + 9)),
    "s - h": lambda x, h, s: s - h + x,
    "h - s": lambda x, h, s: torch.tanh(h) - s + x,
    "mixing": lambda x, h, s: s * h + (1 - s) * x,
    "where": lambda x, h, s: torch.where(h > x, h, s) + x,
    "where twice": lambda x, h, s: torch.where(h > x, s, x) * 0.5,
    "softmax of a temperature": lambda x, h, s: torch.softmax((x + h) / s, -1),
    "in place": lambda x, h, s: torch.sin(h).mul_(s).add_(x),
    "functions of torch": lambda x, h, s: torch.add(torch.mul(h, s), x).sub(s).div(2.0),
    "numbers of numbers": lambda x, h, s: h * (s**2 - 0.1 * abs(-s) + s // 0.3 + s % 0.2) + x,
    "rounding": lambda x, h, s: h * round(s, 1) + x,
}
"""Steps in which every use of the number is simple arithmetic."""


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", BODIES)
def test_one_compilation_serves_all_values_to_the_last_bit(name, dtype, compilations):
    cell = Cell(BODIES[name])
    results(cell, "llvm", dtype)
    cell.s = 0.37
    results(cell, "llvm", dtype)
    before = len(compilations)
    for value in (0.1, 1 / 3, 1.0, 2.0, 1e-3):
        cell.s = value
        found = results(cell, "llvm", dtype)
        assert len(compilations) == before
        require_equal(cell, dtype=dtype)
        as_constant = results(Cell(BODIES[name], value), "llvm", dtype)
        before = len(compilations)
        require_same_bits(found, as_constant)


@pytest.mark.parametrize("value", [0.0, -0.0, math.inf, -math.inf, math.nan, 1.0])
@pytest.mark.parametrize("name", ["h * s", "mixing", "where", "h / s", "s - h"])
def test_special_values(name, value):
    cell = Cell(BODIES[name])
    for s in (0.5, 0.25, value, 0.75, value):
        cell.s = s
        found, expected = (results(cell, backend) for backend in ("llvm", "reference"))
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5, equal_nan=True)
    cell.s = value
    require_same_bits(results(cell, "llvm"), results(Cell(BODIES[name], value), "llvm"))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(allow_nan=False, width=32), min_size=3, max_size=6))
def test_any_value(values):
    cell = Cell(lambda x, h, s: torch.tanh(s * h + x))
    for value in values:
        cell.s = value
        require_equal(cell)


ASKING = {
    "h ** s": lambda x, h, s: torch.tanh(h.abs() + 0.1) ** s + x,
    "s ** h": lambda x, h, s: (abs(s) + 0.1) ** h + x,
    "softplus": lambda x, h, s: F.softplus(h, beta=s) + x,
    "leaky_relu": lambda x, h, s: F.leaky_relu(h + x, s),
    "clamp": lambda x, h, s: h.clamp(-s, s) + x,
    "exp": lambda x, h, s: h * math.exp(-s) + x,
    "comparison": lambda x, h, s: (h if s > 0.5 else -h) * s + x,
    "maximum": lambda x, h, s: h * max(s, 0.4) + x,
    "integer": lambda x, h, s: h * s + sum(x * k for k in range(int(4 * s))),
    "text": lambda x, h, s: h * {"0.2": 0.5, "0.3": 2.0}.get(f"{s:.1f}", 1.0) * s + x,
    "a key": lambda x, h, s: h * {0.25: 3.0}.get(s, 1.0) + x,
    "isinstance": lambda x, h, s: h * (s if isinstance(s, float) else 7.0) + x,
    "integers": lambda x, h, s: (h > 0).long() * s + x,
    "numpy": lambda x, h, s: h * float(np.exp(s)) + x,
    "nothing": lambda x, h, s: h + x,
    "truth": lambda x, h, s: h * 2 + x if s else h + x,
    "an attribute": lambda x, h, s: h * (2.0 if s.is_integer() else 3.0) + x,
}
"""Steps that ask for the number itself."""


@pytest.mark.filterwarnings("ignore:elman.scan has compiled")
@pytest.mark.parametrize("name", ASKING)
def test_what_a_step_asks_of_a_number_is_answered_anew(name):
    cell = Cell(ASKING[name])
    for value in (0.5, 0.25, 0.3, 0.25, 0.75, 1.0, 0.2, 0.0 if name != "h ** s" else 2.0, 0.25):
        cell.s = value
        require_equal(cell)


@pytest.mark.parametrize(
    ("name", "most"),
    [("comparison", 3), ("maximum", 3), ("integer", 5), ("isinstance", 2), ("truth", 2)],
)
def test_an_answer_that_stays_the_same_needs_no_compilation(name, most, compilations):
    cell = Cell(ASKING[name])
    for number in range(1, 20):
        cell.s = number / 20
        results(cell, "llvm")
    assert len(compilations) <= most


def test_a_dropout_rate_stays_a_constant():
    cell = Cell(lambda x, h, s: F.dropout(x, p=s) + 0 * h)
    for value in (0.1, 0.9, 0.0, 1.0):
        cell.s = value
        torch.manual_seed(0)
        found, _ = elman.scan(cell, torch.ones(50, 3, 5), H, backend="llvm")
        kept = found.count_nonzero().item() / found.numel()
        assert kept == pytest.approx(1 - value, abs=0.08)
        if value < 1.0:
            assert found.max().item() == pytest.approx(1 / (1 - value))


RATE = 0.5
TABLE = types.ModuleType("table")
TABLE.rate = 0.5


class Slotted:
    __slots__ = ("rate",)

    def __init__(self):
        self.rate = 0.5


class Inherited:
    rate = 0.5


class Inheriting(Inherited):
    pass


def _of_closure():
    rate = 0.5

    def step(x, h):
        return h, h * rate + x

    def put(value):
        nonlocal rate
        rate = value

    return step, put


def _of_global():
    def step(x, h):
        return h, h * RATE + x

    return step, lambda value: globals().update(RATE=value)


def _of_holder(make, read, put):
    def build():
        holder = make()

        def step(x, h):
            return h, h * read(holder) + x

        return step, lambda value: put(holder, value)

    return build


def _of_default():
    def step(x, h, rate=0.5):
        return h, h * rate + x

    return step, lambda value: setattr(step, "__defaults__", (value,))


def _of_keyword_default():
    def step(x, h, *, rate=0.5):
        return h, h * rate + x

    return step, lambda value: step.__kwdefaults__.update(rate=value)


def _of_function():
    def step(x, h):
        return h, h * step.rate + x

    step.rate = 0.5
    return step, lambda value: setattr(step, "rate", value)


PLACES = {
    "closure": _of_closure,
    "global": _of_global,
    "default": _of_default,
    "keyword default": _of_keyword_default,
    "function": _of_function,
    "dict": _of_holder(lambda: {"r": 0.5}, lambda d: d["r"], lambda d, v: d.update(r=v)),
    "list": _of_holder(lambda: [0.5], lambda a: a[0], lambda a, v: a.__setitem__(0, v)),
    "namespace": _of_holder(
        lambda: types.SimpleNamespace(r=0.5), lambda n: n.r, lambda n, v: setattr(n, "r", v)
    ),
    "slots": _of_holder(Slotted, lambda n: n.rate, lambda n, v: setattr(n, "rate", v)),
    "class": _of_holder(Inheriting, lambda n: n.rate, lambda n, v: setattr(Inherited, "rate", v)),
    "tuple": _of_holder(
        lambda: {"r": (0.5, 2)}, lambda d: d["r"][0], lambda d, v: d.update(r=(v, 2))
    ),
    "module": _of_holder(lambda: TABLE, lambda m: m.rate, lambda m, v: setattr(m, "rate", v)),
    "numpy's float": _of_holder(
        lambda: {"r": np.float64(0.5)}, lambda d: d["r"], lambda d, v: d.update(r=np.float64(v))
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_float_at_any_place(name, compilations):
    step, put = PLACES[name]()
    for value in (0.5, 0.25, 0.3, 0.7, 0.25, -1.5):
        put(value)
        require_equal(step)
    assert len(compilations) == 2
    put(0.5)


def test_two_views_of_one_tuple_stay_together():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.put((0.5, 1.0))

        def put(self, values):
            self.first = self.second = values

        def forward(self, x, h):
            h = h * self.first[0] + x * self.second[0]
            return h, h

    cell = Both()
    for value in (0.5, 0.25, 0.75, 0.1):
        cell.put((value, 1.0))
        require_equal(cell)
        cell.second = (value / 2, 1.0)
        require_equal(cell)


def test_numbers_leave_nothing_behind():
    kept = []

    class Keeping(nn.Module):
        def __init__(self):
            super().__init__()
            self.rate = 0.5

        def forward(self, x, h):
            return h, h * self.rate + x

    cell = Keeping()
    for value in (0.5, 0.25, 0.75):
        cell.rate = value
        results(cell, "llvm")
        kept.append(cell.rate)
        assert type(cell.rate) is float
    assert kept == [0.5, 0.25, 0.75]


def test_a_division_by_zero_is_pythons():
    cell = Cell(lambda x, h, s: h * (1 / s) + x)
    for value in (0.5, 0.25, 0.75):
        cell.s = value
        require_equal(cell)
    cell.s = 0.0
    with pytest.raises(ZeroDivisionError), pytest.warns(UserWarning, match="plain Python loop"):
        elman.scan(cell, X, H)
    cell.s = 0.125
    require_equal(cell)


def test_gradients_belong_to_the_floats_of_their_call():
    cell = Cell(BODIES["mixing"])
    for value in (0.5, 0.25):
        cell.s = value
        results(cell, "llvm")
    x = X.clone().requires_grad_()
    cell.s = 0.75
    output, _ = elman.scan(cell, x, H, backend="llvm")
    cell.s = 0.1
    found = torch.autograd.grad(output.sum(), x)[0]
    cell.s = 0.75
    output, _ = elman.scan(cell, x, H, backend="reference")
    torch.testing.assert_close(found, torch.autograd.grad(output.sum(), x)[0])


def test_a_step_that_is_refused_whatever_the_float_is_traced_no_more(compilations):
    cell = Cell(lambda x, h, s: h * s + x * (2 if h.sum() > 0 else 3))
    for number in range(10):
        cell.s = 0.1 * number
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            elman.scan(cell, X, H)
    assert len(compilations) <= 3


def test_a_step_that_keeps_changing_otherwise_is_named():
    def call(cell):
        for number in range(1, 15):
            cell.s = number
            elman.scan(cell, X, H)

    with pytest.warns(UserWarning, match=r"Cell 9 times.*self\.s: 8 -> 9") as seen:
        call(Cell(lambda x, h, s: h * s + x, s=1))
    assert len(seen) == 1
    assert seen[0].filename == __file__

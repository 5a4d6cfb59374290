"""Bools and integers: as torch computes them, or refused by name, never rounded or wrapped."""

import re

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import elman
from elman.engine import arguments
from elman.engine.program import exact
from elman.engine.run import cache, function
from elman.errors import UnsupportedStep
from tests.engine.torch_machine import Torch

BIG = torch.tensor([2**40 + 1, -(2**40) - 1, 7, 2**24 + 1])
BYTES = torch.tensor([200, 3, 255, 0], dtype=torch.uint8)
SHORTS = torch.tensor([30000, -30000, 5, 0], dtype=torch.int16)
WIDE = torch.tensor([0.1, -0.3, 1e-50, 2.0], dtype=torch.float64)
TENTH = torch.tensor(0.1, dtype=torch.float64)


def count(h):
    return (h > 0).sum(-1, keepdim=True)


def flags(h):
    return h > 0


def bytes_of(h):
    return (h > 0).to(torch.uint8)


COMPILED = {
    "or": lambda h: flags(h) + flags(-h), "and": lambda h: flags(h) * (h < 1),
    "three flags": lambda h: flags(h) + (h > 1) + (h < -1), "not": lambda h: ~flags(h),
    "bitwise": lambda h: (flags(h) & (h < 1) | (h < -1)) ^ (h == 0), "count": count,
    "flag plus one": lambda h: flags(h) + 1, "flag and True": lambda h: flags(h) * True,
    "of a count": lambda h: torch.logical_not(count(h)) | (count(h) == 4),
    "negative": lambda h: -count(h),
    "reciprocal of zero": lambda h: 1 / -(count(h) * 0),
    "by minus one": lambda h: 1 / (count(h) * -1),
    "remainder": lambda h: (-3 * count(h)) % 4, "fmod": lambda h: 1 / torch.fmod(-2 * count(h), 2),
    "square": lambda h: (count(h) - 2) ** 2, "true division": lambda h: count(h) / 3,
    "sum in float": lambda h: flags(h).sum(-1, keepdim=True, dtype=h.dtype) / 7,
    "largest exact": lambda h: torch.where(flags(h), 2**24, -(2**24)),
    "bytes": lambda h: bytes_of(h) * 200, "shorts": lambda h: flags(h) * SHORTS,
    "closed bytes": lambda h: BYTES * flags(h) ,
    "to narrower": lambda h: (count(h) * 30).to(torch.int8),
    "clamp": lambda h: (count(h) - 2).clamp(-1, 1),
    "masked": lambda h: count(h).masked_fill(flags(h), -7),
    "places": lambda h: (flags(h) * torch.arange(4)).sum(-1, keepdim=True),
    "extremum of flags": lambda h: flags(h).amax(-1, keepdim=True),
    "argmax": lambda h: h.argmax(-1, keepdim=True) * 10 + h.argmin(-1, keepdim=True),
    "times big": lambda h: h * BIG, "above big": lambda h: h * 2**30 > BIG,
    "a double number": lambda h: h * TENTH, "equal to a double": lambda h: (h * 0 + 0.1) == TENTH,
    "float from whole": lambda h: h + torch.full_like(h, 3.7, dtype=torch.long),
    "flags from numbers": lambda h: torch.full_like(h, 2, dtype=torch.bool) + flags(h),
}  # fmt: skip
REFUSED = {
    "n & 3": lambda h: count(h) & 3, "n | 3": lambda h: count(h) | 3,
    "n ^ 3": lambda h: count(h) ^ 3,
    "~n": lambda h: ~count(h), "n << 2": lambda h: count(h) << 2, "n >> 1": lambda h: count(h) >> 1,
    "n // 2": lambda h: count(h) // 2, "n % n": lambda h: count(h) % (count(h) + 1),
    "2 ** n": lambda h: 2 ** count(h), "n ** 9": lambda h: count(h) ** 9,
    "where": lambda h: torch.where(flags(h), 2**24 + 1, 0), "n + 2^24": lambda h: count(h) + 2**24,
    "sum": lambda h: (flags(h) * 2**23).sum(-1, keepdim=True),
    "n == big": lambda h: count(h) == 2**24 + 1,
    "closed": lambda h: flags(h) * BIG, "against closed": lambda h: count(h) > BIG,
    "a byte wraps": lambda h: bytes_of(h) * 200 + bytes_of(h) * 100,
    "minus a byte": lambda h: -bytes_of(h),
    "narrowed": lambda h: (count(h) * 100).to(torch.int8), "long": lambda h: h.long(),
    "rounded": lambda h: h.round().to(torch.int32), "cumsum": lambda h: flags(h).cumsum(-1),
    "product": lambda h: flags(h).long() @ torch.ones(4, 4, dtype=torch.long),
}  # fmt: skip
OF_FLOATS = {"above doubles": lambda h: h > WIDE, "times doubles": lambda h: (h * WIDE).float()}


def in_the_loop(function):
    """A step whose next state depends on the values of integers."""

    def step(x, h):
        found = function(h)
        return found, torch.tanh(0.5 * h + x + 0.01 * found.to(h.dtype).clamp(-9, 9))

    return step


def outside(function):
    def step(x, h):
        return (function(h), function(x)), torch.tanh(0.5 * h + x)

    return step


def inputs(dtype):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(4, 3, 4, generator=generator, dtype=dtype)
    return x, torch.randn(3, 4, generator=generator, dtype=dtype)


def interpreted(step, x, h):
    given = arguments.check(x, h, None, None, None, False, None)
    compiled = cache._Compiler(step, given, False, Torch()).compile()
    return function.run(step, given, lambda *_: (compiled, compiled.plan.trace.closed))


def require_same(found, expected):
    found, expected = (torch.utils._pytree.tree_leaves(nest) for nest in (found, expected))
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        if a.is_floating_point():
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6, equal_nan=True)
        else:
            assert torch.equal(a, b)


@pytest.mark.parametrize("place", [in_the_loop, outside])
@pytest.mark.parametrize("name", COMPILED)
def test_integers_that_compile_are_exact(name, place):
    step, (x, h) = place(COMPILED[name]), inputs(torch.float32)
    expected = elman.scan(step, x, h, backend="reference")
    require_same(elman.scan(step, x, h, backend="llvm"), expected)
    require_same(interpreted(step, x, h), expected)


@pytest.mark.parametrize("name", [*REFUSED, *OF_FLOATS])
def test_integers_that_may_be_inexact_are_refused_in_the_loop(name):
    step, (x, h) = in_the_loop({**REFUSED, **OF_FLOATS}[name]), inputs(torch.float32)
    with pytest.raises(
        UnsupportedStep, match=r"at test_integers\.py:\d+ (gives|takes|computes|can't)"
    ):
        elman.scan(step, x, h, backend="llvm")


@pytest.mark.parametrize("name", [*REFUSED, *OF_FLOATS])
def test_they_are_torchs_outside_the_loop(name):
    step, (x, h) = outside({**REFUSED, **OF_FLOATS}[name]), inputs(torch.float32)
    expected = elman.scan(step, x, h, backend="reference")
    require_same(elman.scan(step, x, h, backend="llvm"), expected)


def test_without_the_limits_results_would_be_wrong(monkeypatch):
    monkeypatch.setattr(exact, "_LIMITS", dict.fromkeys(exact._LIMITS, 2**62))
    step, (x, h) = in_the_loop(REFUSED["where"]), inputs(torch.float32)
    with pytest.raises(AssertionError):
        require_same(interpreted(step, x, h), elman.scan(step, x, h, backend="reference"))


def test_more_is_exact_in_double_precision():
    x, h = inputs(torch.float64)
    for name in ("where", "n + 2^24", "sum", "n == big"):
        step = in_the_loop(REFUSED[name])
        expected = elman.scan(step, x, h, backend="reference")
        require_same(elman.scan(step, x, h, backend="llvm"), expected)
    with pytest.raises(UnsupportedStep, match=r"takes|gives"):
        elman.scan(in_the_loop(lambda h: torch.where(h > 0, 2**53 + 1, 0)), x, h, backend="llvm")


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32,
                                   torch.int64])  # fmt: skip
def test_integers_that_pass_through_are_exact_or_refused(dtype):
    def step(x, state):
        h, kept = state
        return (kept, x[0]), (torch.tanh(h + x[1]), kept)

    limit = 1 if dtype == torch.bool else torch.iinfo(dtype).max
    ids = torch.tensor([limit, limit - 1, 0]).to(dtype)
    x, h = inputs(torch.float32)
    for steps in (4, 0):
        given = (ids.expand(4, 3)[:steps], x[:steps])
        expected = elman.scan(step, given, (h, ids), backend="reference")
        if dtype in (torch.int32, torch.int64):
            with pytest.raises(UnsupportedStep, match=re.escape(str(dtype))):
                elman.scan(step, given, (h, ids), backend="llvm")
        else:
            require_same(elman.scan(step, given, (h, ids), backend="llvm"), expected)


def test_a_narrow_state_that_would_wrap_is_refused():
    def step(x, state):
        h, number = state
        return number, (torch.tanh(h + x), number + 1)

    x, h = inputs(torch.float32)
    with pytest.raises(UnsupportedStep, match=r"add at test_integers.*uint8"):
        elman.scan(step, x, (h, BYTES[:3]), backend="llvm")


@pytest.mark.parametrize("place", [in_the_loop, outside])
def test_the_place_of_an_extremum_of_nan_is_that_of_the_first_nan(place):
    def places(h):
        return torch.cat(
            [
                h.argmax(-1, True),
                h.argmin(-1, True),
                h.max(-1, True).indices,
                h.min(-1, True).indices,
            ],
            1,
        )

    x, h = inputs(torch.float32)
    x.view(-1)[::5], h.view(-1)[2::3] = float("nan"), float("nan")
    step = place(places)
    require_same(
        elman.scan(step, x, h, backend="llvm"), elman.scan(step, x, h, backend="reference")
    )


# Random expressions.

LEAVES = [
    flags, bytes_of, lambda h: h, lambda h: (h > 1).to(torch.int8), lambda h: (h < 0).long(),
    lambda h: (h > -1).int() * 9, lambda h: BYTES, lambda h: SHORTS, lambda h: BIG, lambda h: WIDE,
    lambda h: TENTH, lambda h: 3, lambda h: 2**24, lambda h: 0.3, lambda h: True, lambda h: -1,
]  # fmt: skip
BINARY = [
    torch.add, torch.sub, torch.mul, torch.div, torch.remainder, torch.fmod, torch.minimum,
    torch.maximum, torch.eq, torch.ne, torch.lt, torch.ge, torch.logical_and, torch.logical_or,
    torch.bitwise_and, torch.bitwise_or, torch.bitwise_xor, torch.pow, torch.floor_divide,
    lambda a, b: torch.where(a > 0, a, b), lambda a, b: torch.cat([a, b + a * 0], 1)[:, :4],
]  # fmt: skip
UNARY = [
    torch.neg, torch.abs, torch.sign, torch.bitwise_not, torch.logical_not, torch.square,
    torch.floor,
    lambda a: a.clamp(-2, 3), lambda a: a.to(torch.uint8), lambda a: a.long(), lambda a: a.bool(),
    lambda a: a.float(), lambda a: a.short(), lambda a: a.sum(1, keepdim=True),
    lambda a: a.amax(1, keepdim=True), lambda a: a * 100,
    lambda a: a.view(-1, 2, 2)[:, 1].repeat(1, 2),
]  # fmt: skip

expressions = st.recursive(
    st.sampled_from(LEAVES).map(lambda leaf: ("leaf", leaf)),
    lambda inner: (
        st.tuples(st.sampled_from(UNARY), inner) | st.tuples(st.sampled_from(BINARY), inner, inner)
    ),
    max_leaves=6,
)


def value_of(expression, h):
    operation, *operands = expression
    if operation == "leaf":
        return operands[0](h)
    return operation(*[value_of(operand, h) for operand in operands])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(expressions, st.sampled_from([torch.float32, torch.float64]), st.booleans())
def test_any_expression_is_exact_or_refused(expression, dtype, is_inside):
    def found(h):
        return value_of(expression, h) + torch.zeros_like(h, dtype=torch.bool)

    step, (x, h) = (in_the_loop if is_inside else outside)(found), inputs(dtype)
    with torch.no_grad():
        try:
            expected = elman.scan(step, x, h, backend="reference")
        except (RuntimeError, TypeError, AttributeError, IndexError, ZeroDivisionError):
            return  # torch has no such operation on these types
        try:
            require_same(elman.scan(step, x, h, backend="llvm"), expected)
        except UnsupportedStep as error:
            if "report" in str(error):
                raise

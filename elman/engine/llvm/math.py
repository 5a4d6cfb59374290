"""Elementary functions as LLVM IR, on vectors of float or double of any length.

`emit(name, builder, args)` gives the value of a `PointwiseName` of a row program. exp, tanh and
sigmoid are inline vector code, at most 4 units in the last place from the true value over the whole
range, NaN in NaN out; rarer functions are left to libm, lane by lane. No optimisation passes run
afterwards, so what is emitted is what runs.
"""

import math
from collections.abc import Callable

import llvmlite.ir as ir

from elman.engine.graph.operations import PointwiseName, ReduceName

Emitter = Callable[..., ir.Value]

# exp(r) = 1 + r + r^2 P(r) on |r| <= ln(2)/2. Single precision: coefficients of S. L. Moshier's
# Cephes library; double precision: the Taylor series, whose next term is below 2^-57.
_EXP_SINGLE = (
    1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
    5.0000001201e-1,
)  # fmt: skip
_EXP_DOUBLE = tuple(1.0 / math.factorial(k) for k in range(13, 1, -1))


class _Type:
    """Facts about a floating-point vector type."""

    def __init__(self, kind: ir.Type) -> None:
        self.kind = kind
        self.count = kind.count if isinstance(kind, ir.VectorType) else 1
        self.element = kind.element if isinstance(kind, ir.VectorType) else kind
        self.double = isinstance(self.element, ir.DoubleType)
        self.suffix = "f64" if self.double else "f32"
        if isinstance(kind, ir.VectorType):
            self.suffix = f"v{self.count}{self.suffix}"
        self.mantissa, self.bias = (52, 1023) if self.double else (23, 127)
        word = ir.IntType(64 if self.double else 32)
        self.word = ir.VectorType(word, self.count) if isinstance(kind, ir.VectorType) else word

    def const(self, value: float) -> ir.Constant:
        if isinstance(self.kind, ir.VectorType):
            return ir.Constant(self.kind, [value] * self.count)
        return ir.Constant(self.kind, value)

    def int(self, value: int) -> ir.Constant:
        if isinstance(self.word, ir.VectorType):
            return ir.Constant(self.word, [value] * self.count)
        return ir.Constant(self.word, value)


def emit(name: PointwiseName, b: ir.IRBuilder, args: list[ir.Value]) -> ir.Value:
    """The value of function `name` of arguments of one floating-point type, scalars or vectors of
    any length; of the same type."""
    return _FUNCTIONS[name](b, *args)


def intrinsic(b: ir.IRBuilder, name: str, *args: ir.Value) -> ir.Value:
    """Call `llvm.NAME` on values of one type, scalars or vectors of any length."""
    kind = _Type(args[0].type)
    full = f"llvm.{name}.{kind.suffix}"
    function = b.module.globals.get(full)
    if function is None:
        signature = ir.FunctionType(args[0].type, [arg.type for arg in args])
        function = ir.Function(b.module, signature, full)
    return b.call(function, args)


def fma(b: ir.IRBuilder, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
    """`x * y + z`, rounded once, for scalars or vectors of any length."""
    return intrinsic(b, "fma", x, y, z)


def _libm(name: str) -> Emitter:
    """Call a libm function for every lane."""

    def call(b: ir.IRBuilder, *args: ir.Value) -> ir.Value:
        kind = _Type(args[0].type)
        symbol = name if kind.double else name + "f"
        function = b.module.globals.get(symbol)
        if function is None:
            signature = ir.FunctionType(kind.element, [kind.element] * len(args))
            function = ir.Function(b.module, signature, symbol)
        if not isinstance(kind.kind, ir.VectorType):
            return b.call(function, args)
        result: ir.Value = ir.Constant(kind.kind, ir.Undefined)
        for lane in range(kind.count):
            index = ir.Constant(ir.IntType(32), lane)
            value = b.call(function, [b.extract_element(arg, index) for arg in args])
            result = b.insert_element(result, value, index)
        return result

    return call


def _compare(condition: str) -> Emitter:
    def call(b: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
        kind = _Type(x.type)
        compare = b.fcmp_unordered if condition == "!=" else b.fcmp_ordered
        return _as_number(b, compare(condition, x, y), kind)

    return call


def _as_number(b: ir.IRBuilder, flag: ir.Value, kind: _Type) -> ir.Value:
    """1.0 or 0.0 for every bit of a vector of them."""
    return b.select(flag, kind.const(1.0), kind.const(0.0))


def truth(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """One bit for every lane of a vector: whether it is not zero."""
    return b.fcmp_unordered("!=", x, _Type(x.type).const(0.0))


def _logic(word: str) -> Emitter:
    def call(b: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
        joined = getattr(b, word)(truth(b, x), truth(b, y))
        return _as_number(b, joined, _Type(x.type))

    return call


def _not(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """1.0 where a lane is 0, else 0.0."""
    return _as_number(b, b.fcmp_ordered("==", x, _Type(x.type).const(0.0)), _Type(x.type))


def _isnan(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """1.0 where a lane is NaN, else 0.0."""
    return _as_number(b, b.fcmp_unordered("uno", x, x), _Type(x.type))


def _sign(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """-1, 0 or 1; 0 for NaN, as torch has it."""
    kind = _Type(x.type)
    zero = kind.const(0.0)
    positive = _as_number(b, b.fcmp_ordered(">", x, zero), kind)
    return b.fsub(positive, _as_number(b, b.fcmp_ordered("<", x, zero), kind))


def _at_most(b: ir.IRBuilder, x: ir.Value, limit: float) -> ir.Value:
    """The smaller of x and the limit; NaN stays NaN, because it is not greater."""
    bound = _Type(x.type).const(limit)
    return b.select(b.fcmp_ordered(">", x, bound), bound, x)


def _at_least(b: ir.IRBuilder, x: ir.Value, limit: float) -> ir.Value:
    """The larger of x and the limit, lane by lane; NaN stays NaN."""
    bound = _Type(x.type).const(limit)
    return b.select(b.fcmp_ordered("<", x, bound), bound, x)


def _reduced(b: ir.IRBuilder, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    """n (as an integer vector) and q = exp(r) - 1, where x = n ln 2 + r and |r| <= ln(2)/2.

    n is rounded by adding a number so large that no fraction is left; its low bits then hold n.
    Converting to an integer instead would be undefined for NaN.
    """
    kind = _Type(x.type)
    magic = kind.const(1.5 * 2.0**kind.mantissa)
    shifted = fma(b, x, kind.const(1.0 / math.log(2.0)), magic)
    n = b.fsub(shifted, magic)
    if kind.double:
        high, low = 6.93147180369123816490e-01, 1.90821492927058770002e-10
    else:
        high, low = 0.693359375, -2.12194440e-4
    r = fma(b, n, kind.const(-low), fma(b, n, kind.const(-high), x))
    coefficients = _EXP_DOUBLE if kind.double else _EXP_SINGLE
    p: ir.Value = kind.const(coefficients[0])
    for coefficient in coefficients[1:]:
        p = fma(b, p, r, kind.const(coefficient))
    q = fma(b, b.fmul(r, r), p, r)
    bits = b.sub(b.bitcast(shifted, kind.word), b.bitcast(magic, kind.word))
    return bits, q


def _power_of_two(b: ir.IRBuilder, n: ir.Value, kind: _Type) -> ir.Value:
    """2^n for integers n within the exponent's range."""
    biased = b.add(n, kind.int(kind.bias))
    return b.bitcast(b.shl(biased, kind.int(kind.mantissa)), kind.kind)


def _exp(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """Scaled by 2^n in two factors, so that tiny results are rounded once, huge ones overflow."""
    kind = _Type(x.type)
    low, high = (-746.0, 710.0) if kind.double else (-104.0, 89.0)
    n, q = _reduced(b, _at_least(b, _at_most(b, x, high), low))
    half = b.ashr(n, kind.int(1))
    first, second = _power_of_two(b, half, kind), _power_of_two(b, b.sub(n, half), kind)
    return b.fmul(b.fmul(b.fadd(q, kind.const(1.0)), first), second)


def _sigmoid(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """e / (1 + e) or 1 / (1 + e) with e = exp(-|x|), which neither overflows nor cancels."""
    kind = _Type(x.type)
    one = kind.const(1.0)
    e = _exp(b, b.fneg(intrinsic(b, "fabs", x)))
    numerator = b.select(b.fcmp_ordered("<", x, kind.const(0.0)), e, one)
    return b.fdiv(numerator, b.fadd(one, e))


def _expm1_positive(b: ir.IRBuilder, y: ir.Value) -> ir.Value:
    """exp(y) - 1 for 0 <= y in the exponent's range: 2^n q + (2^n - 1), exact in q for n = 0."""
    kind = _Type(y.type)
    n, q = _reduced(b, y)
    scale = _power_of_two(b, n, kind)
    return fma(b, scale, q, b.fsub(scale, kind.const(1.0)))


def _tanh(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """t / (t + 2) with t = exp(2|x|) - 1, and the sign of x."""
    kind = _Type(x.type)
    double = b.fmul(intrinsic(b, "fabs", x), kind.const(2.0))
    t = _expm1_positive(b, _at_most(b, double, 44.0 if kind.double else 20.0))
    return intrinsic(b, "copysign", b.fdiv(t, b.fadd(t, kind.const(2.0))), x)


def _rsqrt(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    return b.fdiv(_Type(x.type).const(1.0), intrinsic(b, "sqrt", x))


def _remainder(b: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    """With the sign of the divisor, as torch.remainder."""
    kind = _Type(x.type)
    zero = kind.const(0.0)
    rest = b.frem(x, y)
    differ = b.xor(b.fcmp_ordered("<", rest, zero), b.fcmp_ordered("<", y, zero))
    wrong = b.and_(differ, b.fcmp_unordered("!=", rest, zero))
    return b.select(wrong, b.fadd(rest, y), rest)


def _of_intrinsic(name: str) -> Emitter:
    return lambda b, *args: intrinsic(b, name, *args)


_COMPARISONS: dict[PointwiseName, str] = {
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
}  # fmt: skip
_OWN_CALLS: tuple[PointwiseName, ...] = ("expm1", "log1p", "erf")
_INTRINSICS: dict[PointwiseName, str] = {
    "abs": "fabs", "sqrt": "sqrt", "minimum": "minimum", "maximum": "maximum",
    "floor": "floor", "ceil": "ceil", "round": "rint", "trunc": "trunc",
}  # fmt: skip
_INTRINSIC_CALLS: tuple[PointwiseName, ...] = ("log", "log2", "exp2", "sin", "cos", "pow")

CALLS: tuple[PointwiseName, ...] = (*_OWN_CALLS, *_INTRINSIC_CALLS, "fmod")
"""Functions for which the C library is called, lane by lane: its symbols are needed, and the cost
is high."""

JOINS: dict[ReduceName, Callable[[ir.IRBuilder, ir.Value, ir.Value], ir.Value]] = {
    "sum": lambda b, x, y: b.fadd(x, y),
    "amax": lambda b, x, y: intrinsic(b, "maximum", x, y),
    "amin": lambda b, x, y: intrinsic(b, "minimum", x, y),
}
"""How two partial results of a reduction become one, lane by lane."""

_FUNCTIONS: dict[PointwiseName, Emitter] = {
    "add": lambda b, x, y: b.fadd(x, y),
    "sub": lambda b, x, y: b.fsub(x, y),
    "mul": lambda b, x, y: b.fmul(x, y),
    "div": lambda b, x, y: b.fdiv(x, y),
    "neg": lambda b, x: b.fneg(x),
    "reciprocal": lambda b, x: b.fdiv(_Type(x.type).const(1.0), x),
    "where": lambda b, c, x, y: b.select(truth(b, c), x, y),
    "and": _logic("and_"), "or": _logic("or_"), "not": _not, "isnan": _isnan, "sign": _sign,
    "exp": _exp, "sigmoid": _sigmoid, "tanh": _tanh, "rsqrt": _rsqrt, "remainder": _remainder,
    "fmod": lambda b, x, y: b.frem(x, y),
    **{name: _of_intrinsic(known) for name, known in _INTRINSICS.items()},
    **{name: _of_intrinsic(name) for name in _INTRINSIC_CALLS},
    **{name: _libm(name) for name in _OWN_CALLS},
    **{name: _compare(sign) for name, sign in _COMPARISONS.items()},
}  # fmt: skip

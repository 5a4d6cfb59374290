"""Elementary functions are within 4 units in the last place, over the whole range."""

import math

import mpmath
import numpy as np
import pytest
import torch

from elman.engine.llvm.kernel import LLVMKernel
from elman.engine.program.row_program import Input, Pointwise, RowProgram, Timetable

TRUE = {
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x),
    "reciprocal": lambda x: 1 / x, "exp2": np.exp2, "log2": np.log2, "sin": np.sin, "cos": np.cos,
    "erf": np.vectorize(math.erf),
}  # fmt: skip
EXACT = {
    "exp": mpmath.exp, "tanh": mpmath.tanh, "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "expm1": mpmath.expm1, "log": mpmath.log, "erf": mpmath.erf,
}  # fmt: skip


def evaluate(name, x):
    """The function of a vector, as compiled code computes it."""
    program = RowProgram(x.dtype, (Input(1, 0), Pointwise(1, name, (0,))), (), (1,), (1,))
    wide = RowProgram(x.dtype, (Input(64, 0), Pointwise(64, name, (0,))), (), (1,), (64,))
    x = x.contiguous()
    results = []
    for p, rows in ((program, len(x)), (wide, len(x) // 64)):
        values = x[: rows * p.inputs[0]].reshape(rows, p.inputs[0])
        output = torch.empty_like(values)
        kernel = LLVMKernel(p)
        timetable = Timetable(rows, 1, rows, torch.tensor([0, rows]))
        kernel(timetable, inputs=[values], vectors=[], weights=kernel.pack([]), state=[],
               outputs=[output])  # fmt: skip
        results.append(output.flatten())
    assert torch.equal(results[0][: len(results[1])].nan_to_num(7), results[1].nan_to_num(7))
    return results[0].numpy()


def points(name, dtype):
    """Points of every magnitude, dense where the functions bend."""
    limits = np.finfo(dtype)
    dense = np.linspace(-20, 20, 40_000)
    steep = np.linspace(-110, 110, 20_000) * (1 if dtype == np.float32 else 8)
    powers = np.geomspace(limits.tiny, limits.max / 4, 10_000)
    x = np.concatenate([dense, steep, powers, -powers])
    if name in ("log", "sqrt", "rsqrt", "log2"):
        x = np.abs(x)
    if name == "log1p":
        x = np.maximum(x, -0.999999)
    if name in ("sin", "cos"):
        x = x[np.abs(x) < 1e5]
    x = x.astype(dtype)
    return x[x != 0] if name in ("reciprocal", "rsqrt", "log", "log2") else x


def units(found, true, dtype):
    """Error in units in the last place of the true value; subnormal results may be flushed."""
    true = np.asarray(true, dtype=np.float64 if dtype == np.float32 else np.longdouble)
    limits = np.finfo(dtype)
    normal = (np.abs(true) >= limits.tiny) & (np.abs(true) <= limits.max)
    size = np.spacing(np.abs(true[normal]).astype(dtype)).astype(true.dtype)
    assert (np.abs(found[~normal & (np.abs(true) < 1)]) <= 4 * limits.tiny).all()
    return np.abs(found[normal].astype(true.dtype) - true[normal]) / size


@pytest.mark.parametrize("name", TRUE)
def test_single_precision(name):
    x = points(name, np.float32)
    with np.errstate(all="ignore"):
        true = TRUE[name](x.astype(np.float64))
    error = units(evaluate(name, torch.from_numpy(x)), true, np.float32)
    assert error.max() <= 4


@pytest.mark.parametrize("name", EXACT)
def test_double_precision(name):
    x = points(name, np.float64)[::97]
    x = x[np.abs(x) < 700] if name in ("exp", "expm1", "sigmoid") else x
    with mpmath.workdps(40):
        true = np.array(
            [np.longdouble(mpmath.nstr(EXACT[name](mpmath.mpf(float(v))), 25)) for v in x]
        )
    error = units(evaluate(name, torch.from_numpy(x)), true, np.float64)
    assert error.max() <= 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_ends_of_the_range(dtype):
    inf, nan = float("inf"), float("nan")
    edge = 88.0 if dtype == torch.float32 else 709.0
    x = torch.tensor(
        [nan, inf, -inf, 0.0, -0.0, edge, 1e-6, -1e-30, 2 * edge, -2 * edge], dtype=dtype
    )
    for name in ("exp", "tanh", "sigmoid", "expm1", "sqrt", "abs", "sign", "erf"):
        expected = getattr(torch, name)(x).numpy()
        found = evaluate(name, x)
        np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=name)
    for name in ("minimum", "maximum"):
        pairs = torch.tensor([[nan, 1.0], [1.0, nan], [inf, 2.0], [-1.0, -inf]], dtype=dtype)
        expected = getattr(torch, name)(pairs[:, 0], pairs[:, 1])
        ops = (Input(1, 0), Input(1, 1), Pointwise(1, name, (0, 1)))
        kernel = LLVMKernel(RowProgram(dtype, ops, (), (2,), (1, 1)))
        output = torch.empty(4, 1, dtype=dtype)
        kernel(Timetable(4, 1, 4, torch.tensor([0, 4])), inputs=[pairs[:, :1], pairs[:, 1:]],
               vectors=[], weights=kernel.pack([]), state=[], outputs=[output])  # fmt: skip
        torch.testing.assert_close(output[:, 0], expected, equal_nan=True)

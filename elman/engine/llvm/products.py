"""Operations outside of loops, each by the library that is fastest at it.

`torch.mm` goes to the BLAS that torch was built with, which on some processors reaches half the
speed of oneDNN. oneDNN's product `input @ weight.T` is reached through the operation that torch's
compiler uses for linear layers; where it is missing, or for what it can't do, `torch.mm` serves.
Products that sum over rows are our own.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from elman.engine.graph.operations import products_of_one_left
from elman.engine.llvm.transposed import transposed_products

_FLOATS = (torch.float32, torch.float64)
_WORTHWHILE = 1 << 21
"""Multiplications below which the call itself costs more than is gained."""


@lru_cache(maxsize=1)
def _onednn_linear() -> Any:
    """`(input (N, K), weight (M, K), bias or None) -> (N, M)`, or None."""
    if not torch.backends.mkldnn.is_available():
        return None
    try:
        linear = torch.ops.mkldnn._linear_pointwise.default
        linear(torch.ones(2, 2), torch.ones(2, 2), None, "none", [], "")
    except (AttributeError, RuntimeError):
        return None
    return linear


def _serves(a: Tensor, b: Tensor) -> bool:
    """Whether oneDNN is faster, for `(N, K)` by `(K, M)`."""
    return (
        a.shape[0] * a.shape[1] * b.shape[1] >= _WORTHWHILE
        and a.dtype == torch.float32
        and a.device.type == "cpu"
        and _onednn_linear() is not None
    )


def _sums_over_rows(a: Tensor, b: Tensor) -> bool:
    """Whether this is the gradient of a weight, a sum over all rows and steps: `(M, N)` by
    `(N, K)`, where a is a transposed view."""
    m, n = a.shape
    is_transposed = a.stride(0) == 1 and a.stride(1) >= m > 1
    return is_transposed and m * n * b.shape[1] >= 1 << 17 and a.dtype in _FLOATS


def mm(a: Tensor, b: Tensor) -> Tensor:
    """`a @ b`, `(N, K)` by `(K, M)`."""
    if _sums_over_rows(a, b):
        return mms(a, b)[0]
    if not _serves(a, b):
        return torch.mm(a, b)
    result: Tensor = _onednn_linear()(a.contiguous(), _weight(b), None, "none", [], "")
    return result


def mms(a: Tensor, *bs: Tensor) -> list[Tensor]:
    """`a @ b` for every b, `(N, K)` by `(K, M)`."""
    if not all(_sums_over_rows(a, b) for b in bs):
        return [mm(a, b) for b in bs]
    return transposed_products(a.t(), [b if b.stride(1) == 1 else b.contiguous() for b in bs])


def addmm(bias: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """`bias + a @ b`, `(N, K)` by `(K, M)`; bias: `(M,)`, or what broadcasts to `(N, M)`."""
    if not _serves(a, b) or bias.dim() != 1:
        return torch.addmm(bias, a, b)
    result: Tensor = _onednn_linear()(a.contiguous(), _weight(b), bias, "none", [], "")
    return result


def _weight(b: Tensor) -> Tensor:
    """`b.T`, contiguous, `(K, M)` to `(M, K)`: for part of a matrix oneDNN falls back to code a
    thousand times slower, at either operand."""
    weight = b.t()
    return weight if weight.is_contiguous() else weight.contiguous()


def var(x: Tensor, axes: list[int], correction: float = 1.0) -> Tensor:
    """`x.var(axes, correction=correction)` of any shape; over the last axis through layer
    normalisation, which torch runs on all threads and in vectors."""
    if axes != [x.dim() - 1] or x.dtype not in _FLOATS or x.shape[-1] <= correction:
        found: Tensor = torch.ops.prims.var(x, axes, correction)
        return found
    size = x.shape[-1]
    _, _, inverse_deviation = torch.native_layer_norm(x, [size], None, None, 0.0)
    return inverse_deviation.squeeze(-1).pow(-2) * (size / (size - correction))


FASTER: dict[Any, Callable[..., Any]] = {
    torch.ops.aten.mm.default: mm,
    torch.ops.aten.addmm.default: addmm,
    torch.ops.prims.var.default: var,
    products_of_one_left: mms,
}

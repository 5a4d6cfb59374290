"""Matrix products of folded rows, through oneDNN where that is the faster library.

`torch.mm` goes to the BLAS that torch was built with, which on some processors reaches half the
speed of oneDNN. oneDNN's product `input @ weight.T` is reached through the operation that torch's
compiler uses for linear layers; where it is missing, or for what it can't do, `torch.mm` serves.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

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
    return (
        a.shape[0] * a.shape[1] * b.shape[1] >= _WORTHWHILE
        and a.dtype == torch.float32
        and a.device.type == "cpu"
        and _onednn_linear() is not None
    )


def mm(a: Tensor, b: Tensor) -> Tensor:
    """`a @ b`."""
    if not _serves(a, b):
        return torch.mm(a, b)
    if a.stride(0) == 1 and a.shape[0] > 1:
        # A sum over all rows, as for a weight's gradient: oneDNN is faster at its transpose.
        return _onednn_linear()(b.t(), a, None, "none", [], "").t()
    return _onednn_linear()(a, b.t(), None, "none", [], "")


def addmm(bias: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """`bias + a @ b`."""
    if not _serves(a, b) or bias.dim() != 1:
        return torch.addmm(bias, a, b)
    return _onednn_linear()(a, b.t(), bias, "none", [], "")

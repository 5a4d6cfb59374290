"""What traced operations are made of: torch's own table, and what it leaves whole.

Inside a loop there are only products, elementwise functions and sums or extrema of a row, so that
is what everything has to become.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch._decomp import core_aten_decompositions, get_decompositions

aten = torch.ops.aten
# Beyond torch's core set.
_EXTRA = [
    aten.native_layer_norm, aten._softmax, aten._log_softmax, aten.gelu, aten.var, aten.var_mean,
    aten.elu, aten.leaky_relu, aten.hardtanh, aten.mean, aten.linalg_vector_norm, aten.relu,
]  # fmt: skip


@lru_cache(maxsize=1)
def decompositions() -> Mapping[Any, Callable[..., Any]]:
    """The table; torch takes 40 ms to put its own together."""
    table = dict(core_aten_decompositions())
    table.update(get_decompositions(_EXTRA))
    table[aten.max.dim] = lambda x, dim, keepdim=False: _extremum(x, dim, keepdim, aten.amax)
    table[aten.min.dim] = lambda x, dim, keepdim=False: _extremum(x, dim, keepdim, aten.amin)
    table[aten.argmax.default] = lambda x, dim=None, keepdim=False: _place(
        x, dim, keepdim, aten.amax
    )
    table[aten.argmin.default] = lambda x, dim=None, keepdim=False: _place(
        x, dim, keepdim, aten.amin
    )
    table[aten.scatter.src] = _scatter
    table[aten.copy.default] = _copy
    table[aten.smooth_l1_loss_backward.default] = _smooth_l1_backward
    table[aten.repeat.default] = _repeat
    return MappingProxyType(table)


def _places(x: Tensor, dim: int) -> Tensor:
    """0, 1, 2, ... along an axis; of size 1 along the others, so that it broadcasts to the shape of
    x."""
    dim = dim % x.dim()
    size = [1] * x.dim()
    size[dim] = x.shape[dim]
    return torch.arange(x.shape[dim], device=x.device).view(size)


def _extremum(x: Tensor, dim: int, keepdim: bool, reduce: Any) -> tuple[Tensor, Tensor]:
    """The extreme value and the first place where it stands, both in the shape of x without the
    axis, or with size 1 there."""
    if x.dim() < 2:
        return NotImplemented  # type: ignore[no-any-return]
    value = reduce(x, [dim], True)
    is_there = x == value
    if x.is_floating_point():
        is_there = is_there | x.isnan()  # which the extremum is then, too
    index = torch.where(is_there, _places(x, dim), x.shape[dim]).amin([dim], keepdim=True)
    if not keepdim:
        value, index = value.squeeze(dim), index.squeeze(dim)
    return value, index


def _place(x: Tensor, dim: int | None, keepdim: bool, reduce: Any) -> Tensor:
    """The first place of the extreme value, in the shape of x without the axis, or with size 1
    there."""
    if dim is None or x.dim() < 2:
        return NotImplemented  # type: ignore[no-any-return]
    return _extremum(x, dim, keepdim, reduce)[1]


def _copy(into: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    """What is written over all of a tensor, in its shape."""
    return source.to(into.dtype).expand(into.shape).clone()


def _repeat(x: Tensor, repeats: list[Any]) -> Tensor:
    """One row, `(1, ...)` or without that dimension, for all rows, which needs no copy of it."""
    is_one_row = x.dim() < len(repeats) or (x.dim() > 0 and x.shape[0] == 1)
    if not repeats or isinstance(repeats[0], int) or not is_one_row:
        return NotImplemented  # type: ignore[no-any-return]
    rest = [1, *repeats[1:]]
    row = x.reshape([1] * (len(repeats) - x.dim()) + list(x.shape)).repeat(rest)
    return row.expand([repeats[0], *row.shape[1:]])


def _smooth_l1_backward(
    gradient: Tensor, x: Tensor, target: Tensor, reduction: int, beta: float
) -> Tensor:
    """NaN stays NaN, as in torch's kernel; its decomposition takes the sign, which is 0."""
    mean = 1 if reduction != 1 else x.numel()
    gradient, distance = gradient / mean, x - target
    near = distance * gradient / beta if beta > 0 else distance * gradient
    return torch.where(distance <= -beta, -gradient, torch.where(distance >= beta, gradient, near))


def _scatter(base: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`scatter` of one element along an axis, as in the gradient of a maximum."""
    rest = [axis for axis in range(base.dim()) if axis != dim % base.dim()]
    whole = all(base.shape[axis] == index.shape[axis] == source.shape[axis] for axis in rest)
    if index.dim() < 2 or index.shape[dim] != 1 or source.shape[dim] != 1 or not whole:
        return NotImplemented  # type: ignore[no-any-return]
    return torch.where(_places(base, dim) == index, source, base)

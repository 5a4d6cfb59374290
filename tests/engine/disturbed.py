"""How much a result depends on rounding: the plain loop with every rounding made larger, by chance.

Each operation's result is moved by a few units in the last place of the dtype that is judged, and
so are the operands of sums and products, whose terms may cancel. Where that moves a result far, no
implementation can be held to it; where it does not, a wrong number can't hide behind its tensor's
size. What copies numbers, or chooses among them, rounds nothing and stays exact.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._decomp import get_decompositions
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

ULPS = 4

_EXACT = {
    "cat", "stack", "clone", "_to_copy", "copy", "where", "amax", "amin", "max", "min", "relu",
    "clamp", "clamp_min", "clamp_max", "neg", "abs", "gather", "index", "index_select", "embedding",
    "floor", "ceil", "round", "trunc", "sign", "sgn", "zeros_like", "ones_like", "full_like",
    "zeros", "ones", "full", "new_zeros", "new_full", "scalar_tensor", "maximum", "minimum",
    "masked_fill", "select_backward", "slice_backward", "copysign", "flip", "roll", "repeat",
    "constant_pad_nd", "sort", "topk", "empty_like", "new_empty", "empty", "arange", "one_hot",
    "scatter", "lift_fresh", "nan_to_num", "threshold", "hardtanh", "new_ones", "expand_copy",
    "new_empty_strided", "empty_strided", "value_selecting_reduction_backward",
    "threshold_backward", "hardtanh_backward", "select_scatter", "slice_scatter",
}  # fmt: skip
_OF_TERMS = {
    "mm", "addmm", "bmm", "baddbmm", "mv", "dot", "sum", "mean", "var", "var_mean", "std", "norm",
    "linalg_vector_norm", "native_layer_norm", "native_layer_norm_backward", "logsumexp", "cumsum",
    "_softmax_backward_data", "_log_softmax_backward_data", "addcmul", "embedding_dense_backward",
}  # fmt: skip
_IN_PARTS = get_decompositions([torch.ops.aten.gelu, torch.ops.aten.gelu_backward])
"""Operations within which terms cancel: `1 + erf(x)` is next to nothing far below zero."""


class Disturbed(TorchDispatchMode):
    """Within it, results are a little more uncertain than those of `dtype`, by a draw of `seed`."""

    def __init__(self, dtype: torch.dtype, seed: int) -> None:
        super().__init__()
        self._size = ULPS * torch.finfo(dtype).eps
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if function in _IN_PARTS:
            with self:
                return _IN_PARTS[function](*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        if name.removesuffix("_") in _OF_TERMS:
            args = tree_map(self._moved, args)
        result = function(*args, **(kwargs or {}))
        aliases = [each.alias_info for each in function._schema.returns if each.alias_info]
        if any(alias.is_write for alias in aliases):  # in place
            if name.removesuffix("_") not in _EXACT and result.is_floating_point():
                result.copy_(self._moved(result))
            return result
        return result if name in _EXACT or aliases else tree_map(self._moved, result)

    def _moved(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        noise = torch.rand(value.shape, generator=self._generator, dtype=value.dtype)
        return value * (1 + self._size * (2 * noise - 1))


def disturbed(run: Callable[[], dict[str, Tensor]], dtype: torch.dtype, seed: int) -> dict:
    """What a run gives with the roundings of `dtype`, exaggerated."""
    with Disturbed(dtype, seed):
        return run()

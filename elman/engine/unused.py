"""NaN from results that the loss does not use.

autograd gives no gradient for an unused result, and zeros come in its place: those of a final state
meet others in the loop. Where the derivative is infinite, 0 * inf is NaN, while the plain loop has
no path there at all. So where a step has such derivatives, a NaN is looked at once more.
"""

from collections.abc import Sequence

from torch import Tensor, fx

from elman.engine.nodes import VIEWS, ancestors, name_of
from elman.engine.trace import Trace

_BOUNDED = VIEWS | {
    "add", "sub", "rsub", "mul", "neg", "abs", "sign", "sgn", "minimum", "maximum", "where",
    "lt", "le", "gt", "ge", "eq", "ne", "logical_and", "logical_or", "logical_not", "logical_xor",
    "bitwise_not", "bitwise_and", "bitwise_or", "relu", "clamp", "clamp_min", "clamp_max",
    "hardtanh", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "softplus", "elu", "erf", "sin",
    "cos", "floor", "ceil", "round", "trunc", "isnan", "mm", "addmm", "bmm", "baddbmm", "sum",
    "mean", "amax", "amin", "max", "min", "_softmax", "_log_softmax", "embedding", "gather",
    "index_select", "cumsum", "flip", "roll", "topk", "sort", "argmax", "argmin", "one_hot",
    "permute", "transpose", "t", "clone", "detach", "alias", "native_dropout", "bernoulli",
    "rand_like", "randn_like", "arange", "constant_pad_nd", "scalar_tensor", "sym_size", "zeros",
    "ones", "empty_like", "lift_fresh_copy",
}  # fmt: skip
"""Operations that are finite for finite numbers, and whose derivatives are."""

_ENOUGH = 3
"""So many times in a row the plain loop may find the NaN right before it is believed."""


class Suspects:
    """Results of a step whose unused gradient may turn into NaN."""

    def __init__(self, trace: Trace) -> None:
        results = [*trace.outputs, *trace.next_state]
        carries = [*trace.cot_outputs, *trace.cot_state]
        self._suspect = [
            cotangent is not None and _can_be_infinite(result)
            for result, cotangent in zip(results, carries, strict=True)
        ]
        self._any = any(self._suspect)
        self._found_right = 0

    def are_met(self, gradients: Sequence[Tensor | None], found: Sequence[Tensor | None]) -> bool:
        """Whether gradients that were found hold a NaN that an unused result may have made."""
        if not self._any or not any(
            suspect and gradient is None
            for suspect, gradient in zip(self._suspect, gradients, strict=True)
        ):
            return False
        if not any(holds_nan(value) for value in found):
            self._found_right = 0
            return False
        came_in = any(holds_nan(gradient) for gradient in gradients)
        return not came_in and self._found_right < _ENOUGH

    def look_back(self, found: Sequence[Tensor | None]) -> None:
        """Take note of what the plain loop has found instead."""
        right = any(holds_nan(value) for value in found)
        self._found_right = self._found_right + 1 if right else 0


def _can_be_infinite(result: fx.Node) -> bool:
    return any(
        node.op == "call_function" and name_of(node) not in _BOUNDED for node in ancestors([result])
    )


def holds_nan(value: Tensor | None) -> bool:
    # A sum takes no memory; infinities of both signs are NaN together, too.
    return value is not None and bool(value.sum().isnan()) and bool(value.isnan().any())

"""torch.nn's single steps with the step compiled; what `elman.convert` puts in their place."""

from typing import Any

import torch
from torch import Tensor, fx, nn

from elman.engine.backends import run_auto
from elman.layers.choice import compiled_is_faster
from elman.layers.drop_in import checked, is_alike, is_served, is_traced, is_transformed
from elman.layers.steps import step_of
from elman.layers.tools import DropIn, as_one_node
from elman.nest import apply

WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class CompiledCell(DropIn, nn.RNNCellBase):
    """The `forward` that the cells share; see `elman.layers.drop_in.CompiledLayer`."""

    mode: str

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, fx.Proxy):
            return as_one_node(self, input, hx)
        if not self._pays(input):
            return super().forward(input, hx)
        state = self._state(hx, input)
        if state is None:
            return super().forward(input, hx)
        names = WEIGHTS if self.bias else WEIGHTS[:2]
        step = step_of(self, self.mode, 0, [getattr(self, name) for name in names])
        rows = input if input.dim() == 2 else input[None]
        final = run_auto(step, checked(rows[None], state, None, False))[1]
        return final if input.dim() == 2 else apply(lambda leaf: leaf[0], final)

    def _pays(self, input: Any) -> bool:
        """Whether the compiled loop can run this input, and is the faster way."""
        weight = self._parameters.get("weight_ih")  # None if a tool has put something else there
        if weight is None or is_traced() or input.dim() not in (1, 2):
            return False
        if not (is_transformed() or is_served(input, weight)):
            return False  # before any look at sizes, which may be symbols
        if input.shape[-1] != self.input_size:
            return False
        return is_transformed() or (
            input.dim() == 2
            and compiled_is_faster(
                self.mode,
                1,
                len(input),
                weight.shape[0] * (self.input_size + self.hidden_size),
                torch.is_grad_enabled() and (weight.requires_grad or input.requires_grad),
            )
        )

    def _state(self, hx: Any, input: Tensor) -> list[Tensor] | None:
        """Leaves `(B, H)`, zeros if none were given; None if those that were given do not fit."""
        shape = (*input.shape[:-1], self.hidden_size)
        leaves = 2 if self.mode == "LSTM" else 1
        if hx is None:
            given = [input.new_zeros(shape) for _ in range(leaves)]
        else:
            given = [hx] if leaves == 1 else list(hx) if isinstance(hx, tuple | list) else []
        fit = len(given) == leaves and all(
            isinstance(leaf, Tensor) and leaf.shape == shape and is_alike(leaf, input)
            for leaf in given
        )
        if fit and input.dim() == 1:
            return [leaf[None] for leaf in given]
        return given if fit else None


class RNNCell(CompiledCell, nn.RNNCell):
    """`torch.nn.RNNCell`: `(input, hidden) -> hidden`."""

    @property
    def mode(self) -> str:  # type: ignore[override]
        return f"RNN_{self.nonlinearity.upper()}"


class GRUCell(CompiledCell, nn.GRUCell):
    """`torch.nn.GRUCell`: `(input, hidden) -> hidden`."""

    mode = "GRU"


class LSTMCell(CompiledCell, nn.LSTMCell):
    """`torch.nn.LSTMCell`: `(input, (hidden, cell)) -> (hidden, cell)`."""

    mode = "LSTM"

"""torch.nn's single steps with the step compiled; what `elman.convert` puts in their place."""

from typing import Any

import torch
from torch import Tensor, nn

from elman.engine.backends import run_auto
from elman.layers.choice import compiled_is_faster
from elman.layers.drop_in import WEIGHTS, checked, is_served, is_traced
from elman.layers.steps import step_of


class CompiledCell(nn.RNNCellBase):
    """The `forward` that the cells share; see `elman.layers.drop_in.CompiledLayer`."""

    mode: str

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        mode, weight = self.mode, self.weight_ih
        if not (
            not is_traced()
            and input.dim() == 2
            and input.shape[1] == self.input_size
            and compiled_is_faster(
                mode,
                1,
                len(input),
                weight.shape[0] * (self.input_size + self.hidden_size),
                torch.is_grad_enabled() and (weight.requires_grad or input.requires_grad),
            )
            and is_served(input, weight)
        ):
            return super().forward(input, hx)
        state = self._state(hx, input, 2 if mode == "LSTM" else 1)
        if state is None:
            return super().forward(input, hx)
        step = step_of(self, mode, "", WEIGHTS if self.bias else WEIGHTS[:2])
        return run_auto(step, checked(input[None], state, None, False))[1]

    def _state(self, hx: Any, input: Tensor, leaves: int) -> list[Tensor] | None:
        """Leaves `(B, H)`, zeros if none were given; None if those that were given do not fit."""
        shape = (len(input), self.hidden_size)
        if hx is None:
            return [input.new_zeros(shape) for _ in range(leaves)]
        given = [hx] if leaves == 1 else list(hx) if isinstance(hx, tuple | list) else []
        fit = len(given) == leaves and all(
            isinstance(leaf, Tensor) and leaf.shape == shape and leaf.dtype == input.dtype
            for leaf in given
        )
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

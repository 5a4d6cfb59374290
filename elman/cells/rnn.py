"""The Elman network, the simplest recurrent cell."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from elman.cells.gated import GateWeights
from elman.errors import ArgumentError

NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": F.relu}


class RNNCell(GateWeights):
    r"""Elman network (J. L. Elman, "Finding structure in time", Cognitive Science 14, 1990).

    .. math:: h_t = \tanh(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh})

    or with ReLU in place of tanh. Parameters are named, shaped and drawn as in `torch.nn.RNNCell`.

    Shapes: input `(B, I)`, state h `(B, H)`; the output is h.
    """

    gates = 1

    def __init__(self, input_size: int, hidden_size: int, nonlinearity: str = "tanh") -> None:
        if nonlinearity not in NONLINEARITIES:
            raise ArgumentError(
                f"nonlinearity must be one of {', '.join(NONLINEARITIES)}, got {nonlinearity!r}"
            )
        super().__init__(input_size, hidden_size)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        activation = NONLINEARITIES[self.nonlinearity]
        hidden = activation(self.from_input(input) + self.from_hidden(hidden))
        return hidden, hidden

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, nonlinearity={self.nonlinearity}"


class ReLURNNCell(RNNCell):
    """`RNNCell` with ReLU, under a name of its own for `--cell rnn-relu`."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, nonlinearity="relu")

"""What the classic cells share: two weight matrices, two biases, one block of rows a gate."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.errors import ArgumentError


class GateWeights(nn.Module):
    """Weights `(gates * H, I)` and `(gates * H, H)` with biases, named as torch.nn names them.

    Subclasses say how many `gates` they have and write the step. All values are drawn from
    U(-1/sqrt(H), 1/sqrt(H)), in torch.nn's order, so one seed gives the weights of the namesake.
    """

    gates: ClassVar[int]

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            if size < 1:
                raise ArgumentError(f"{name} must be at least 1, got {size}")
        self.input_size = input_size
        self.hidden_size = hidden_size
        rows = self.gates * hidden_size
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size))
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(rows))
        self.bias_hh = nn.Parameter(torch.empty(rows))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1.0 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def initial_state(
        self,
        batch_size: int,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Zeros `(B, H)`; dtype and device are those of the weights unless given."""
        like = self.weight_hh
        return torch.zeros(
            batch_size, self.hidden_size, dtype=dtype or like.dtype, device=device or like.device
        )

    def from_input(self, input: Tensor) -> Tensor:
        """`W_ih x + b_ih`, `(B, I) -> (B, gates * H)`."""
        return F.linear(input, self.weight_ih, self.bias_ih)

    def from_hidden(self, hidden: Tensor) -> Tensor:
        """`W_hh h + b_hh`, `(B, H) -> (B, gates * H)`."""
        return F.linear(hidden, self.weight_hh, self.bias_hh)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"

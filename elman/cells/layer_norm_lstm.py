"""The long short-term memory with layer normalisation."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.cells.lstm import LSTMCell


class LayerNormLSTMCell(LSTMCell):
    r"""Long short-term memory with layer normalisation (J. L. Ba et al., arXiv 1607.06450,
    equations 20 to 22).

    .. math::
        (i, f, g, o) &= \mathrm{LN}(W_i x) + \mathrm{LN}(W_h h) + b + b' \\
        c' &= \sigma(f) * c + \sigma(i) * \tanh(g) \\
        h' &= \sigma(o) * \tanh(\mathrm{LN}(c'))

    LN subtracts a row's mean and divides by its standard deviation, all four gates together, and
    has gains and no shifts of its own before the gates (the biases stand there), both for c'.

    Shapes: input `(B, I)`, state `(h, c)` of `(B, H)` each; the output is h.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        gates = self.gates * hidden_size
        self.norm_ih = nn.LayerNorm(gates, bias=False)
        self.norm_hh = nn.LayerNorm(gates, bias=False)
        self.norm_cell = nn.LayerNorm(hidden_size)

    def forward(
        self, input: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        hidden, cell = state
        gates = (
            self.norm_ih(F.linear(input, self.weight_ih))
            + self.norm_hh(F.linear(hidden, self.weight_hh))
            + (self.bias_ih + self.bias_hh)
        )
        in_gate, forget_gate, candidate, out_gate = gates.chunk(4, dim=-1)
        cell = torch.sigmoid(forget_gate) * cell + torch.sigmoid(in_gate) * torch.tanh(candidate)
        hidden = torch.sigmoid(out_gate) * torch.tanh(self.norm_cell(cell))
        return hidden, (hidden, cell)

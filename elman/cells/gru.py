"""The gated recurrent unit."""

import torch
from torch import Tensor

from elman.cells.gated import GateWeights


def gru(from_input: Tensor, from_hidden: Tensor, hidden: Tensor) -> Tensor:
    """The next hidden state from `W_ih x + b_ih` and `W_hh h + b_hh`, `(B, 3 * H)` each, and h."""
    input_r, input_z, input_n = from_input.chunk(3, dim=-1)
    hidden_r, hidden_z, hidden_n = from_hidden.chunk(3, dim=-1)
    reset = torch.sigmoid(input_r + hidden_r)
    update = torch.sigmoid(input_z + hidden_z)
    candidate = torch.tanh(input_n + reset * hidden_n)
    return (1 - update) * candidate + update * hidden


class GRUCell(GateWeights):
    r"""Gated recurrent unit (K. Cho et al., arXiv 1406.1078), with the reset after the product.

    .. math::
        r &= \sigma(W_{ir} x + b_{ir} + W_{hr} h + b_{hr}) \\
        z &= \sigma(W_{iz} x + b_{iz} + W_{hz} h + b_{hz}) \\
        n &= \tanh(W_{in} x + b_{in} + r * (W_{hn} h + b_{hn})) \\
        h' &= (1 - z) * n + z * h

    Gates stand in torch.nn's order (r, z, n). The paper multiplies r into h before the product
    with W_hn; this variant (arXiv 1412.3555's code, cuDNN, torch.nn) needs one product a step.

    Shapes: input `(B, I)`, state h `(B, H)`; the output is h.
    """

    gates = 3

    def forward(self, input: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        hidden = gru(self.from_input(input), self.from_hidden(hidden), hidden)
        return hidden, hidden

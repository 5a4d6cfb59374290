"""The gated recurrent unit."""

import torch
from torch import Tensor

from elman.cells.gated import GateWeights


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
        input_r, input_z, input_n = self.from_input(input).chunk(3, dim=-1)
        hidden_r, hidden_z, hidden_n = self.from_hidden(hidden).chunk(3, dim=-1)
        reset = torch.sigmoid(input_r + hidden_r)
        update = torch.sigmoid(input_z + hidden_z)
        candidate = torch.tanh(input_n + reset * hidden_n)
        hidden = (1 - update) * candidate + update * hidden
        return hidden, hidden

"""The minimal gated unit."""

import torch
from torch import Tensor
from torch.nn import functional as F

from elman.cells.gated import GateWeights


class MinimalGatedCell(GateWeights):
    r"""Minimal gated unit (G.-B. Zhou et al., arXiv 1603.09420): a GRU with one gate for both jobs.

    .. math::
        f &= \sigma(W_{if} x + b_{if} + W_{hf} h + b_{hf}) \\
        n &= \tanh(W_{in} x + b_{in} + W_{hn} (f * h) + b_{hn}) \\
        h' &= (1 - f) * h + f * n

    The gate comes before the second product, so a step has two products, one after the other.

    Shapes: input `(B, I)`, state h `(B, H)`; the output is h.
    """

    gates = 2

    def forward(self, input: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        input_f, input_n = self.from_input(input).chunk(2, dim=-1)
        weight_f, weight_n = self.weight_hh.chunk(2)
        bias_f, bias_n = self.bias_hh.chunk(2)
        gate = torch.sigmoid(input_f + F.linear(hidden, weight_f, bias_f))
        candidate = torch.tanh(input_n + F.linear(gate * hidden, weight_n, bias_n))
        hidden = hidden + gate * (candidate - hidden)
        return hidden, hidden

"""The long short-term memory."""

import torch
from torch import Tensor

from elman.cells.gated import GateWeights


def lstm(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """The next `(h, c)` from the sum of all that the gates receive, `(B, 4 * H)`, and c."""
    in_gate, forget_gate, candidate, out_gate = gates.chunk(4, dim=-1)
    cell = torch.sigmoid(forget_gate) * cell + torch.sigmoid(in_gate) * torch.tanh(candidate)
    return torch.sigmoid(out_gate) * torch.tanh(cell), cell


class LSTMCell(GateWeights):
    r"""Long short-term memory (S. Hochreiter, J. Schmidhuber, Neural Computation 9, 1997), with
    the forget gate of F. A. Gers et al. (Neural Computation 12, 2000).

    .. math::
        i, f, o &= \sigma(W_{i \cdot} x + b + W_{h \cdot} h + b') \\
        g &= \tanh(W_{ig} x + b_{ig} + W_{hg} h + b_{hg}) \\
        c' &= f * c + i * g \\
        h' &= o * \tanh(c')

    Gates stand in torch.nn's order (i, f, g, o).

    Shapes: input `(B, I)`, state `(h, c)` of `(B, H)` each; the output is h.
    """

    gates = 4

    def initial_state(  # type: ignore[override]
        self,
        batch_size: int,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> tuple[Tensor, Tensor]:
        """`(h, c)`, zeros `(B, H)` each."""
        zeros = super().initial_state(batch_size, dtype, device)
        return zeros, torch.zeros_like(zeros)

    def forward(
        self, input: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        hidden, cell = state
        hidden, cell = lstm(self.from_input(input) + self.from_hidden(hidden), cell)
        return hidden, (hidden, cell)

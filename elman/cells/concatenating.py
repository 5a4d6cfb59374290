"""The cell of the well-known PyTorch tutorial that classifies names by language."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConcatenatingCell(nn.Module):
    r"""The concatenating cell of the PyTorch names tutorial (S. Robertson, "Classifying names with
    a character-level RNN").

    .. math::
        h_t &= W_h [x_t, h_{t-1}] + b_h \\
        y_t &= \log\mathrm{softmax}(W_o [x_t, h_{t-1}] + b_o)

    **Its state is linear.** No activation stands between one hidden state and the next, so after
    any number of steps h is an affine function of all inputs: what an input adds to the state does
    not depend on what came before it, and powers of the matrix make old inputs fade or grow. Only
    the read-out is nonlinear. `RNNCell` differs by one tanh. The state is not read in the step in
    which it is written: y_t sees h_{t-1}.

    Shapes: input `(B, I)`, state h `(B, H)`, output log-probabilities `(B, O)`; O is `output_size`,
    H unless given.
    """

    def __init__(self, input_size: int, hidden_size: int, output_size: int | None = None) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.output_size = hidden_size if output_size is None else output_size
        self.i2h = nn.Linear(input_size + hidden_size, hidden_size)
        self.i2o = nn.Linear(input_size + hidden_size, self.output_size)

    def initial_state(
        self,
        batch_size: int,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Zeros `(B, H)`; dtype and device are those of the weights unless given."""
        like = self.i2h.weight
        return torch.zeros(
            batch_size, self.hidden_size, dtype=dtype or like.dtype, device=device or like.device
        )

    def forward(self, input: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        combined = torch.cat((input, hidden), dim=1)
        hidden = self.i2h(combined)
        output = F.log_softmax(self.i2o(combined), dim=1)
        return output, hidden

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, output_size={self.output_size}"

"""The smallest recurrent model: nn.RNN, and a linear map of its last output.

python examples/simple_rnn.py
"""

import torch
from torch import Tensor, nn


class SimpleRNN(nn.Module):
    """Reads sequences `(B, T, I)` and gives one prediction a sequence, `(B, O)`."""

    def __init__(self, input_size: int, hidden_size: int, output_size: int) -> None:
        super().__init__()
        self.rnn = nn.RNN(input_size, hidden_size, batch_first=True)
        self.linear = nn.Linear(hidden_size, output_size)

    def forward(self, input: Tensor) -> Tensor:
        hidden, _ = self.rnn(input)  # (B, T, H): the hidden state after every step
        return self.linear(hidden[:, -1])  # the last one has seen the whole sequence


if __name__ == "__main__":
    torch.manual_seed(0)
    model = SimpleRNN(input_size=10, hidden_size=20, output_size=1)
    input = torch.randn(5, 10, 10)  # 5 sequences of 10 steps with 10 features
    output = model(input)
    print(output)
    print(tuple(output.shape))

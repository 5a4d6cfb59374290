"""Text as a classifier reads it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.tasks.classify.data.dataset import UNKNOWN


class TextReader(nn.Module):
    """Character numbers `(T, B)` to vectors `(T, B, E)`: learned ones, or one-hot.

    While training, a share of the characters becomes the unknown one, whose vector else would never
    be learned, and values are dropped out.
    """

    def __init__(self, characters: int, size: int, unknown_rate: float, dropout: float) -> None:
        super().__init__()
        self.characters, self.unknown_rate = characters, unknown_rate
        self.embedding = nn.Embedding(characters, size) if size else None
        self.output_size = size or characters
        self.dropout = nn.Dropout(dropout)

    def forward(self, numbers: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors, and the lengths `(B,)` as they are."""
        if self.training and self.unknown_rate > 0:
            hidden = torch.rand(numbers.shape, device=numbers.device) < self.unknown_rate
            numbers = numbers.masked_fill(hidden, UNKNOWN)
        if self.embedding is None:
            return F.one_hot(numbers, self.characters).float(), lengths
        return self.dropout(self.embedding(numbers)), lengths

"""Text as a classifier's recurrent layers read it."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.tasks.classify.data.tokens import UNKNOWN, Tokens, Words
from elman.tasks.classify.data.words import BUCKETS


class TextReader(nn.Module):
    """Token numbers `(T, B)` to vectors `(T, B, E)`: learned ones, or one-hot.

    Words are rows of numbers `(T, B, C)`: the vector of a word is that of its plain form and the
    mean of those of its written form and its n-grams, which begin at zero, so that an n-gram of
    which training showed nothing adds nothing.

    While training, a share of the tokens becomes the unknown one, whose vector else would never
    be learned, and values are dropped out.

    The one of a one-hot token is the root of V: cells draw their first weights for features of unit
    variance.
    """

    def __init__(self, tokens: Tokens, size: int, unknown_rate: float, dropout: float) -> None:
        super().__init__()
        self.tokens, self.unknown_rate = tokens.size, unknown_rate
        self.embedding = nn.Embedding(tokens.size, size) if size else None
        self.parts = None
        if size and isinstance(tokens, Words):
            self.parts = nn.EmbeddingBag(BUCKETS, size, mode="mean", padding_idx=0)
            nn.init.zeros_(self.parts.weight)
        self.output_size = size or tokens.size
        self.dropout = nn.Dropout(dropout)

    def forward(self, numbers: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors, and the lengths `(B,)` as they are."""
        words = numbers.ndim == 3
        tokens = (numbers[..., 0] if words else numbers).long()
        if self.training and self.unknown_rate > 0:
            hidden = torch.rand(tokens.shape, device=tokens.device) < self.unknown_rate
            tokens = tokens.masked_fill(hidden, UNKNOWN)
            if words:
                numbers = numbers.masked_fill(hidden[..., None], 0)
        if self.embedding is None:
            return F.one_hot(tokens, self.tokens).float() * math.sqrt(self.tokens), lengths
        vectors = self.embedding(tokens)
        if self.parts is not None:
            parts = self.parts(numbers[..., 1:].flatten(0, 1).long())
            vectors = vectors + parts.view(vectors.shape)
        return self.dropout(vectors), lengths

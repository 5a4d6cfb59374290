"""Numbers and categories as a classifier reads them beside its sequence."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.tasks.classify.data.inputs import Inputs

_WIDTH = 32  # of the hidden layer
_WIDEST = 16  # of the vector of a category


class ColumnReader(nn.Module):
    """Columns `(B, C)`, as `Inputs.encode` gives them, to features `(B, F)`; F is 0 without any.

    A number is its scaled value, 0 where it is missing, and whether it is missing; a category a
    learned vector. These and a hidden layer over them are the features, so that the head can use
    them straight as well as combined. While training, a share of the categories becomes the unknown
    one, whose vector else would never be learned.
    """

    def __init__(self, inputs: Inputs, unknown_rate: float, dropout: float) -> None:
        super().__init__()
        self._numbers, self.unknown_rate = len(inputs.numbers), unknown_rate
        counts = [len(column.values) + 1 for column in inputs.categories]
        self.vectors = nn.ModuleList(
            nn.Embedding(count, min(_WIDEST, (count + 1) // 2)) for count in counts
        )
        width = 2 * self._numbers + sum(min(_WIDEST, (count + 1) // 2) for count in counts)
        self.hidden = nn.Linear(width, _WIDTH) if width else None
        self.dropout = nn.Dropout(dropout)
        self.output_size = width + _WIDTH if width else 0

    def unknown(self, rows: int) -> Tensor:
        """Columns of which nothing is known."""
        device = next(self.parameters()).device
        missing = torch.full((rows, self._numbers), torch.nan, device=device)
        return torch.cat([missing, torch.zeros(rows, len(self.vectors), device=device)], 1)

    def forward(self, columns: Tensor) -> Tensor:
        numbers, categories = columns[:, : self._numbers], columns[:, self._numbers :].long()
        if self.training and self.unknown_rate > 0:
            hidden = torch.rand(categories.shape, device=columns.device) < self.unknown_rate
            categories = categories.masked_fill(hidden, 0)
        missing = numbers.isnan()
        parts = [numbers.masked_fill(missing, 0.0), missing.float()]
        parts += [vector(categories[:, i]) for i, vector in enumerate(self.vectors)]
        features = torch.cat(parts, 1)
        if self.hidden is None:
            return features
        return torch.cat([features, self.dropout(F.relu(self.hidden(features)))], 1)

"""`Recurrent`: a cell as a layer, stacked if wanted."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from elman.engine import scan
from elman.engine.nest import Nest
from elman.errors import ArgumentError, ShapeError

CellFactory = Callable[[int], nn.Module]


class Recurrent(nn.Module):
    r"""One or more recurrent layers of any cell, run with `elman.scan`.

    Layer 1 reads the input, layer k the output of layer k - 1, with dropout between (not after the
    last), as in torch.nn. `output_size` is the width of the last layer's output.

    Args:
        cell: a cell for a single layer, or a factory `(input_size) -> cell` for any number of them;
            a cell is an `nn.Module` whose forward is a step and that has
            `initial_state(batch_size)`.
        num_layers: how many layers stand on one another.
        dropout: probability that an element between two layers is zeroed in training.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`.
        input_size: features of the input; needed with a factory only.
        backend: what `elman.scan` runs on.

    Shapes: input `(T, B, I)`, output `(T, B, O)` where O is the width of the cell's output. The
    state is a tuple with one cell state for every layer.

    Raises:
        ArgumentError: the arguments do not fit together.

    Example:
        >>> import torch, elman
        >>> layer = elman.Recurrent(lambda size: elman.cells.GRUCell(size, 8), 2, input_size=3)
        >>> output, state = layer(torch.zeros(5, 4, 3))
        >>> output.shape, len(state)
        (torch.Size([5, 4, 8]), 2)
    """

    def __init__(
        self,
        cell: nn.Module | CellFactory,
        num_layers: int = 1,
        dropout: float = 0.0,
        batch_first: bool = False,
        *,
        input_size: int | None = None,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ArgumentError(f"num_layers must be at least 1, got {num_layers}")
        if not 0.0 <= dropout < 1.0:
            raise ArgumentError(f"dropout must lie in 0 <= dropout < 1, got {dropout}")
        cells, self.output_size = _cells(cell, num_layers, input_size)
        self.cells = nn.ModuleList(cells)
        self.num_layers = num_layers
        self.dropout = dropout
        self.batch_first = batch_first
        self.backend = backend

    def initial_state(
        self,
        batch_size: int,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> tuple[Nest, ...]:
        """The state before the first step, one entry for every layer."""
        return tuple(cell.initial_state(batch_size, dtype, device) for cell in self._each_cell())

    def forward(
        self,
        input: Tensor,
        state: Sequence[Nest] | None = None,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Nest, ...]]:
        """Output and final state. `lengths` and `reset` are those of `elman.scan`; at a reset a
        row's state becomes the cell's initial state. `reset` is `(T, B)` in either layout."""
        if input.dim() < 2:
            raise ShapeError(
                f"input must have time and batch first, (T, B, ...), got {tuple(input.shape)}"
            )
        sequence = input.transpose(0, 1) if self.batch_first else input
        rows = sequence.shape[1]
        if state is None:
            state = self.initial_state(rows)
        if len(state) != self.num_layers:
            raise ShapeError(
                f"state must hold one entry for each of {self.num_layers} layers, got {len(state)}"
            )
        final = []
        for index, cell in enumerate(self._each_cell()):
            if index > 0:
                sequence = nn.functional.dropout(sequence, self.dropout, self.training)
            sequence, last = scan(
                cell,
                sequence,
                state[index],
                lengths=lengths,
                reset=reset,
                reset_state=None if reset is None else cell.initial_state(rows),
                backend=self.backend,
            )
            final.append(last)
        return sequence.transpose(0, 1) if self.batch_first else sequence, tuple(final)

    def _each_cell(self) -> list[Any]:
        return list(self.cells)

    def extra_repr(self) -> str:
        return f"dropout={self.dropout}, batch_first={self.batch_first}"


def _cells(
    cell: nn.Module | CellFactory, num_layers: int, input_size: int | None
) -> tuple[list[Any], int | None]:
    """The cells from first to last, and the width of the last one's output if it can be known."""
    if isinstance(cell, nn.Module):
        if num_layers > 1:
            raise ArgumentError(
                f"{num_layers} layers need a factory (input_size) -> cell, because each layer has "
                f"weights of its own, but got one {type(cell).__name__}"
            )
        return [cell], None if input_size is None else _output_size(cell, input_size)
    if input_size is None:
        raise ArgumentError(
            "a factory (input_size) -> cell needs input_size, the number of input features"
        )
    cells, width = [], input_size
    for _ in range(num_layers):
        cells.append(cell(width))
        width = _output_size(cells[-1], width)
    return cells, width


@torch.no_grad()
def _output_size(cell: Any, input_size: int) -> int:
    """Features of a cell's output, found by one step over two rows of zeros."""
    like = next(cell.parameters(), torch.empty(0))
    output, _ = cell(like.new_zeros(2, input_size), cell.initial_state(2))
    return output.shape[-1]

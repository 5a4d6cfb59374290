"""Recurrent cells: one file each, holding the equation, the paper and the step.

A cell is an `nn.Module` whose forward is a step `(x_t, state) -> (y_t, state)` and that has
`initial_state(batch_size, dtype=None, device=None)`. A new cell is one file and one row here.
"""

from collections.abc import Callable

from torch import nn

from elman.cells.concatenating import ConcatenatingCell
from elman.cells.gru import GRUCell
from elman.cells.layer_norm_lstm import LayerNormLSTMCell
from elman.cells.lstm import LSTMCell
from elman.cells.minimal_gated import MinimalGatedCell
from elman.cells.rnn import ReLURNNCell, RNNCell

CELLS: dict[str, Callable[[int, int], nn.Module]] = {
    "rnn": RNNCell,
    "rnn-relu": ReLURNNCell,
    "gru": GRUCell,
    "mgu": MinimalGatedCell,
    "lstm": LSTMCell,
    "layer-norm-lstm": LayerNormLSTMCell,
    "concat": ConcatenatingCell,
}
"""The cells that go by a name, built as `CELLS[name](input_size, hidden_size)`."""

__all__ = [
    "CELLS",
    "ConcatenatingCell",
    "GRUCell",
    "LSTMCell",
    "LayerNormLSTMCell",
    "MinimalGatedCell",
    "RNNCell",
    "ReLURNNCell",
]

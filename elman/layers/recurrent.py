"""`Recurrent`: any cell as a layer, stacked and in both directions if wanted."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.rnn import PackedSequence

from elman.engine import scan
from elman.errors import ArgumentError, ShapeError
from elman.layers.initial import initial_state, like_of
from elman.layers.tools import NoScript, as_one_node
from elman.nest import Nest, flatten, rebuild

CellFactory = Callable[[int], nn.Module]
Sequences = Tensor | PackedSequence


class Recurrent(NoScript):
    r"""One or more recurrent layers of any cell, run with `elman.scan`.

    Layer 1 reads the input, layer k the output of layer k - 1, with dropout between (not after the
    last), as in torch.nn. `output_size` is the width of the last layer's output.

    Args:
        cell: a cell for a single layer and direction, or a factory `(input_size) -> cell` for any
            number of them. A cell is an `nn.Module` whose forward is a step
            `(x_t, state) -> (y_t, state)`. Its first state comes from its `initial_state(B)`, else
            from its `initHidden()`, the state of one row, else it must be given.
        num_layers: how many layers stand on one another.
        bidirectional: a second cell in each layer reads from the end; outputs stand side by side.
        dropout: probability that an element between two layers is zeroed in training.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`.
        learned_state: the first state is a parameter, which begins as the cell's own.
        residual: a layer whose output is as wide as its input adds its input to it.
        layer_norm: each layer's output is normalised (before the residual is added).
        input_size: features of the input; needed with a factory, and with layer_norm.
        backend: what `elman.scan` runs on.

    Shapes: input `(T, B, I)` or a `PackedSequence`, output `(T, B, O)`, or packed as the input is;
    O is the width of the cell's output, twice that if bidirectional. The state is a tuple with one
    cell state for every layer, or for every layer and direction, forward first.

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
        bidirectional: bool = False,
        dropout: float = 0.0,
        batch_first: bool = False,
        *,
        learned_state: bool = False,
        residual: bool = False,
        layer_norm: bool = False,
        input_size: int | None = None,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ArgumentError(f"num_layers must be at least 1, got {num_layers}")
        if not 0.0 <= dropout < 1.0:
            raise ArgumentError(f"dropout must lie in 0 <= dropout < 1, got {dropout}")
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.batch_first = batch_first
        self.residual = residual
        self.backend = backend
        cells, widths = _cells(cell, num_layers, self._directions, input_size)
        self.cells = nn.ModuleList(cells)
        self.input_size = getattr(cell, "input_size", None) if input_size is None else input_size
        self.output_size = widths[-1] if widths else None
        self.norms = nn.ModuleList(_norms(widths) if layer_norm else [])
        self._require_a_residual(widths)
        self.first_state = nn.ParameterList(self._first_leaves() if learned_state else [])

    def initial_state(
        self,
        batch_size: int,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> tuple[Nest, ...]:
        """The state before the first step, one entry for every layer (and direction)."""
        states = [initial_state(cell, batch_size, dtype, device) for cell in self.cells]
        if not len(self.first_state):
            return tuple(states)
        leaves, structure = flatten(tuple(states), "state")
        learned = [
            own.to(leaf.device, leaf.dtype).expand_as(leaf)
            for own, leaf in zip(self.first_state, leaves, strict=True)
        ]
        states_of_cells: tuple[Any, ...] = rebuild(learned, structure)
        return states_of_cells

    def forward(
        self,
        input: Sequences,
        state: Sequence[Nest] | None = None,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
    ) -> tuple[Any, tuple[Nest, ...]]:
        """Output and final state. `lengths` and `reset` are those of `elman.scan`; where `reset`,
        `(T, B)` in either layout, is true, a new sequence begins in the row, for both directions,
        from the first state."""
        if isinstance(input, fx.Proxy):
            return as_one_node(self, input, state, lengths, reset)
        sequence, rows = self._time_first(input)
        over = None if lengths is None else _over(lengths, sequence)
        if state is None:
            state = self.initial_state(rows)
        if len(state) != len(self.cells):
            raise ShapeError(
                f"state must hold one entry for each of {len(self.cells)} layers"
                f"{' and directions' if self.bidirectional else ''}, got {len(state)}"
            )
        begin = None if reset is None else self.initial_state(rows)
        final: list[Nest] = []
        for layer in range(self.num_layers):
            if layer > 0 and self.dropout > 0:
                sequence = _each(_dropout(self.dropout, self.training), sequence)
            outputs = []
            for number in range(layer * self._directions, (layer + 1) * self._directions):
                backwards = number % self._directions == 1
                output, last = scan(
                    self.cells[number],
                    sequence,
                    state[number],
                    lengths=lengths,
                    reset=_turned(reset, over) if backwards else reset,
                    reset_state=None if begin is None else begin[number],
                    reverse=backwards,
                    backend=self.backend,
                )
                outputs.append(output)
                final.append(last)
            sequence = self._joined(layer, sequence, outputs, over)
        if self.batch_first and isinstance(sequence, Tensor):
            sequence = sequence.transpose(0, 1)
        return sequence, tuple(final)

    def step(self, input: Tensor, state: Sequence[Nest]) -> tuple[Tensor, tuple[Nest, ...]]:
        """One time step of all layers, without dropout: from `(B, I)` to `(B, O)`.

        Returns the output and the state after it. It is itself a step for `elman.scan`, for example
        of a loop that reads its own output.

        Raises:
            ArgumentError: a layer that also reads from the end has no next step.
        """
        if self.bidirectional:
            raise ArgumentError(
                "a bidirectional layer reads from the end, too, so it can't go step by step; build "
                "it with bidirectional=False"
            )
        output, after = input, []
        for layer, (cell, own) in enumerate(zip(self.cells, state, strict=True)):
            source = output
            output, own = cell(source, own)
            output = self._normalised(layer, source, output)
            after.append(own)
        return output, tuple(after)

    def _normalised(self, layer: int, source: Tensor, output: Tensor) -> Tensor:
        """A layer's output `(..., O)`, normalised, and its input added to it."""
        if len(self.norms):
            output = self.norms[layer](output)
        if self.residual and output.shape == source.shape:
            output = output + source
        return output

    def _joined(
        self, layer: int, input: Sequences, outputs: list[Sequences], over: Tensor | None
    ) -> Sequences:
        """What the next layer reads: both directions, normalised, and the residual; zeros in the
        padding, into which the norm's bias and the input's own padding come."""

        def join(source: Tensor, *parts: Tensor) -> Tensor:
            output = parts[0] if len(parts) == 1 else torch.cat(parts, -1)
            output = self._normalised(layer, source, output)
            if over is None or not (len(self.norms) or self.residual):
                return output
            return output.masked_fill(over.view(*over.shape, *[1] * (output.dim() - 2)), 0)

        return _each(join, input, *outputs)

    def _time_first(self, input: Sequences) -> tuple[Sequences, int]:
        """The input with time first, and its number of rows."""
        if isinstance(input, PackedSequence):
            return input, int(input.batch_sizes[0])
        if not isinstance(input, Tensor):
            raise ArgumentError(
                f"input must be a tensor (T, B, ...) or a PackedSequence, got "
                f"{type(input).__name__}; put the steps together with torch.stack"
            )
        if input.dim() < 2:
            raise ShapeError(
                f"input must have time and batch first, (T, B, ...), got {tuple(input.shape)}"
            )
        if input.dim() == 2 and input.is_floating_point() and input.shape[1] == self.input_size:
            raise ShapeError(
                f"input must have time and batch first, (T, B, {self.input_size}), got "
                f"{tuple(input.shape)} without a batch; add it with input.unsqueeze"
                f"({'0' if self.batch_first else '1'})"
            )
        sequence = input.transpose(0, 1) if self.batch_first else input
        return sequence, sequence.shape[1]

    def _first_leaves(self) -> list[nn.Parameter]:
        states = tuple(initial_state(cell, 1) for cell in self.cells)
        return [nn.Parameter(leaf.detach().clone()) for leaf in flatten(states, "state")[0]]

    def _require_a_residual(self, widths: list[int]) -> None:
        if self.residual and widths and not any(a == b for a, b in itertools.pairwise(widths)):
            raise ArgumentError(
                f"residual needs a layer whose output is as wide as its input, but the widths are "
                f"{', '.join(map(str, widths))}; give it more layers or another hidden size"
            )

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def extra_repr(self) -> str:
        return (
            f"bidirectional={self.bidirectional}, dropout={self.dropout}, "
            f"batch_first={self.batch_first}, residual={self.residual}"
        )


def _cells(
    cell: nn.Module | CellFactory, num_layers: int, directions: int, input_size: int | None
) -> tuple[list[nn.Module], list[int]]:
    """The cells, layer by layer, and the widths from the input to the last output if known."""
    if isinstance(cell, nn.Module):
        if num_layers * directions > 1:
            what = "both directions" if num_layers == 1 else f"{num_layers} layers"
            raise ArgumentError(
                f"{what} need a factory (input_size) -> cell, because each has weights of its "
                f"own, but got one {type(cell).__name__}"
            )
        return [cell], [] if input_size is None else [input_size, _output_size(cell, input_size)]
    if input_size is None:
        raise ArgumentError(
            "a factory (input_size) -> cell needs input_size, the number of input features"
        )
    cells: list[nn.Module] = []
    widths = [input_size]
    for _ in range(num_layers):
        made = [_made(cell, widths[-1]) for _ in range(directions)]
        cells += made
        widths.append(sum(_output_size(each, widths[-1]) for each in made))
    return cells, widths


def _made(factory: CellFactory, input_size: int) -> nn.Module:
    try:
        cell = factory(input_size)
    except TypeError as error:
        raise ArgumentError(
            f"the factory must build a cell when called with input_size alone, but "
            f"factory({input_size}) failed: {error}; write lambda size: Cell(size, hidden_size)"
        ) from error
    if not isinstance(cell, nn.Module):
        raise ArgumentError(
            f"the factory must build an nn.Module, but it built a {type(cell).__name__}"
        )
    return cell


@torch.no_grad()
def _output_size(cell: Any, input_size: int) -> int:
    """Features of a cell's output, found by one step over two rows of zeros."""
    output, _ = cell(like_of(cell).new_zeros(2, input_size), initial_state(cell, 2))
    width: int = output.shape[-1]
    return width


def _norms(widths: list[int]) -> list[nn.Module]:
    if not widths:
        raise ArgumentError("layer_norm needs input_size, from which the layers' widths follow")
    return [nn.LayerNorm(width) for width in widths[1:]]


def _dropout(probability: float, training: bool) -> Callable[[Tensor], Tensor]:
    return lambda value: nn.functional.dropout(value, probability, training)


def _each(function: Callable[..., Tensor], *sequences: Sequences) -> Sequences:
    """A function of the values of padded or packed sequences."""
    first = sequences[0]
    if isinstance(first, PackedSequence):
        return first._replace(data=function(*(s.data for s in sequences)))
    return function(*sequences)


def _over(lengths: Tensor | Sequence[int], sequence: Sequences) -> Tensor | None:
    """`(T, B)`: where a row has ended; None for packed input, which `scan` refuses lengths with."""
    if isinstance(sequence, PackedSequence):
        return None
    ends = torch.as_tensor(lengths, device=sequence.device)
    return torch.arange(len(sequence), device=sequence.device)[:, None] >= ends


def _turned(reset: Tensor | None, over: Tensor | None) -> Tensor | None:
    """Where a sequence begins when it is read from its end: at the step before another begins. One
    that begins in the padding is none."""
    if reset is None or not len(reset):
        return reset
    if over is not None:
        reset = reset & ~over.to(reset.device)
    return torch.cat([reset[1:], torch.zeros_like(reset[:1])])

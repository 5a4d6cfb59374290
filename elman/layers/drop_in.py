"""`RNN`, `GRU` and `LSTM` as torch.nn has them, with the loop over time compiled."""

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from elman.engine.arguments import Arguments
from elman.engine.backends import run_auto
from elman.engine.memory import are_plain
from elman.layers.choice import compiled_is_faster, has_fused_lstm
from elman.layers.steps import step_of
from elman.layers.tools import DropIn, as_one_node
from elman.nest import flatten

PLAIN = (Tensor, nn.Parameter)
_LEAF = flatten(torch.empty(0), "input")[1]
_PAIR = flatten((torch.empty(0),) * 2, "state")[1]


class CompiledLayer(DropIn, nn.RNNBase):
    """The `forward` that `RNN`, `GRU` and `LSTM` share.

    torch.nn's own forward runs what the compiled loop does not serve: tensors on a GPU (and so
    through cuDNN), half precision and autocast, torch.compile and export, tensors and modes that
    dispatch on their own, calls so short that the compiled loop would not pay
    (`elman.layers.choice`), and whatever is wrong, so that errors are torch.nn's, too. vmap and
    forward-mode differentiation, which torch.nn lacks, work.
    """

    def forward(self, input: Any, hx: Any = None) -> Any:
        packed = isinstance(input, PackedSequence)
        data = input.data if packed else input
        if not self._pays(data, input.batch_sizes if packed else None):
            if isinstance(input, fx.Proxy):
                return as_one_node(self, input, hx)
            return super().forward(input, hx)
        sizes = order = back = None
        if packed:
            sizes, order, back = input[1:]
            sequence, rows = data[:, None], int(sizes[0])
        else:
            sequence = data if data.dim() == 3 else data.unsqueeze(1)
            if self.batch_first and data.dim() == 3:
                sequence = data.transpose(0, 1)
            rows = sequence.shape[1]
        state = self._state(hx, rows, data, packed)
        if state is None:
            return super().forward(input, hx)
        if order is not None and hx is not None:
            state = [leaf.index_select(1, order) for leaf in state]
        output, final = self._run_layers(sequence, state, sizes)
        if packed:
            if back is not None:
                final = [leaf.index_select(1, back) for leaf in final]
            return PackedSequence(output.squeeze(1), sizes, order, back), self._as_hx(final)
        if data.dim() == 2:
            return output.squeeze(1), self._as_hx([leaf.squeeze(1) for leaf in final])
        return output.transpose(0, 1) if self.batch_first else output, self._as_hx(final)

    def _pays(self, data: Any, sizes: Tensor | None) -> bool:
        """Whether the compiled loop can run this input, and is the faster way."""
        weight = self._parameters.get("weight_ih_l0")
        if weight is None:  # a tool has put something else in its place
            weight = self._flat_weights[0]
        if not isinstance(data, Tensor) or weight is None or is_traced():
            return False
        if not (is_transformed() or is_served(data, weight)):
            return False  # before any look at sizes, which may be symbols
        shape, packed = data.shape, sizes is not None
        if len(shape) not in ((2,) if packed else (2, 3)) or shape[-1] != self.input_size:
            return False
        pairs = shape[0] if len(shape) == 2 else shape[0] * shape[1]
        steps = shape[1 if self.batch_first and len(shape) == 3 else 0]
        return pairs > 0 and (is_transformed() or compiled_is_faster(
            self.mode,
            steps if sizes is None else len(sizes),
            pairs,
            weight.shape[0] * (shape[-1] + (self.proj_size or self.hidden_size)),
            torch.is_grad_enabled() and (weight.requires_grad or data.requires_grad),
            self.mode == "LSTM"
            and (sizes is None or bool(sizes[0] == sizes[-1]))  # else torch.nn does not fuse it
            and self.proj_size == 0
            and has_fused_lstm(weight.dtype),
        ))  # fmt: skip

    def _run_layers(
        self, sequence: Tensor, state: list[Tensor], sizes: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        """sequence `(T, B, I)`, or packed `(N, 1, I)` with its batch sizes; state leaves
        `(layers * directions, B, ...)`."""
        finals: list[tuple[Tensor, ...]] = []
        weights = self._weights()
        for layer in range(self.num_layers):
            if layer > 0 and self.dropout > 0:
                sequence = F.dropout(sequence, self.dropout, self.training)
            outputs = []
            for direction in range(self._directions):
                number = layer * self._directions + direction
                own = [leaf[number] for leaf in state]
                step = step_of(self, self._kind, number, weights[number])
                output, final = run_auto(step, checked(sequence, own, sizes, direction == 1))
                outputs.append(output)
                finals.append(final if isinstance(final, tuple) else (final,))
            sequence = outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)
        if len(finals) == 1:
            return sequence, [leaf.unsqueeze(0) for leaf in finals[0]]
        return sequence, [torch.stack(leaves) for leaves in zip(*finals, strict=True)]

    def _weights(self) -> list[list[Tensor]]:
        """Those of each layer and direction, in torch.nn's order; read as often as torch.nn reads
        them, because a weight may be computed, and a spectral norm counts its readings."""
        flat: list[Any] = self._flat_weights
        known = self._parameters
        if any(known.get(n) is not w for n, w in zip(self._flat_weights_names, flat, strict=True)):
            self._update_flat_weights()
            flat = self._flat_weights
        each = len(self._all_weights[0])
        return [flat[first : first + each] for first in range(0, len(flat), each)]

    def _state(self, hx: Any, rows: int, data: Tensor, packed: bool) -> list[Tensor] | None:
        """The state's leaves `(layers * directions, B, ...)`, zeros if none were given; None if
        those that were given do not fit."""
        depth = self.num_layers * self._directions
        shapes = [(depth, rows, self.proj_size or self.hidden_size)]
        if self.mode == "LSTM":
            shapes.append((depth, rows, self.hidden_size))
        if hx is None:
            return [data.new_zeros(shape) for shape in shapes]
        leaves = [hx] if self.mode != "LSTM" else list(hx) if isinstance(hx, tuple | list) else []
        if not packed and data.dim() == 2:
            leaves = [leaf.unsqueeze(1) for leaf in leaves if isinstance(leaf, Tensor)]
        fit = len(leaves) == len(shapes) and all(
            isinstance(leaf, Tensor) and leaf.shape == shape and is_alike(leaf, data)
            for leaf, shape in zip(leaves, shapes, strict=True)
        )
        return leaves if fit else None

    def _as_hx(self, leaves: list[Tensor]) -> Any:
        return tuple(leaves) if self.mode == "LSTM" else leaves[0]

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _kind(self) -> str:
        return "LSTM_PROJECTED" if self.proj_size > 0 else self.mode


class RNN(CompiledLayer, nn.RNN):
    r"""`torch.nn.RNN` with the loop over time compiled: the same arguments, state_dict, initial
    weights, results and errors.

    .. math:: h_t = \tanh(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh})

    or with ReLU (J. L. Elman, "Finding structure in time", Cognitive Science 14, 1990).

    Shapes: input `(T, B, I)`, `(B, T, I)` with batch_first, `(T, I)` without a batch, or a
    `PackedSequence`; hx and final state `(layers * directions, B, H)`; output `(T, B, directions *
    H)`.

    Raises:
        ValueError, RuntimeError: as torch.nn.RNN does.

    Example:
        >>> import torch, elman
        >>> output, hidden = elman.RNN(3, 5, bidirectional=True)(torch.zeros(7, 2, 3))
        >>> output.shape, hidden.shape
        (torch.Size([7, 2, 10]), torch.Size([2, 2, 5]))
    """


class GRU(CompiledLayer, nn.GRU):
    r"""`torch.nn.GRU` with the loop over time compiled: the same arguments, state_dict, initial
    weights, results and errors.

    .. math::
        r &= \sigma(W_{ir} x + b_{ir} + W_{hr} h + b_{hr}) \\
        z &= \sigma(W_{iz} x + b_{iz} + W_{hz} h + b_{hz}) \\
        n &= \tanh(W_{in} x + b_{in} + r * (W_{hn} h + b_{hn})) \\
        h' &= (1 - z) * n + z * h

    (K. Cho et al., arXiv 1406.1078). Shapes: as for `RNN`.

    Raises:
        ValueError, RuntimeError: as torch.nn.GRU does.

    Example:
        >>> import torch, elman
        >>> output, hidden = elman.GRU(3, 5, num_layers=2, batch_first=True)(torch.zeros(2, 7, 3))
        >>> output.shape, hidden.shape
        (torch.Size([2, 7, 5]), torch.Size([2, 2, 5]))
    """


class LSTM(CompiledLayer, nn.LSTM):
    r"""`torch.nn.LSTM` with the loop over time compiled: the same arguments, state_dict, initial
    weights, results and errors.

    .. math::
        i, f, o &= \sigma(W_{i \cdot} x + b + W_{h \cdot} h + b') \\
        g &= \tanh(W_{ig} x + b_{ig} + W_{hg} h + b_{hg}) \\
        c' &= f * c + i * g \\
        h' &= o * \tanh(c')

    with `proj_size` P, h' is then multiplied by a `(P, H)` matrix (S. Hochreiter, J. Schmidhuber,
    Neural Computation 9, 1997; F. A. Gers et al., Neural Computation 12, 2000; H. Sak et al.,
    arXiv 1402.1128).

    Shapes: as for `RNN`; hx and final state are `(h, c)`, and h and the output have P features in
    place of H if there is a projection.

    Raises:
        ValueError, RuntimeError: as torch.nn.LSTM does.

    Example:
        >>> import torch, elman
        >>> output, (hidden, cell) = elman.LSTM(3, 5, proj_size=2)(torch.zeros(7, 2, 3))
        >>> output.shape, hidden.shape, cell.shape
        (torch.Size([7, 2, 2]), torch.Size([1, 2, 2]), torch.Size([1, 2, 5]))
    """


def is_traced() -> bool:
    """Whether torch.compile, export or torch.jit.trace looks on; sizes are symbols then."""
    return torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None


def is_transformed() -> bool:
    """Whether vmap or forward-mode differentiation is at work, of which `scan` knows more."""
    return (
        torch._C._functorch.peek_interpreter_stack() is not None
        or torch.autograd.forward_ad._current_level >= 0
    )


def is_served(data: Tensor, weight: Tensor) -> bool:
    """Whether tensors like these, under the modes that are active now, are the compiled loop's."""
    return (
        data.dtype in (torch.float32, torch.float64)
        and is_alike(weight, data)
        and are_plain([data, weight])
        and not torch.is_autocast_enabled("cpu")
        and torch._C._len_torch_dispatch_stack() == 0
    )


def is_alike(leaf: Tensor, data: Tensor) -> bool:
    """Whether both are torch's own kind of tensor, of one dtype, and lie in one place."""
    return (
        leaf.dtype == data.dtype
        and leaf.device == data.device
        and type(leaf) in PLAIN
        and type(data) in PLAIN
    )


def checked(
    sequence: Tensor, state: list[Tensor], sizes: Tensor | None, reverse: bool
) -> Arguments:
    """Arguments of a scan that need no more checks, which would take a short call's time."""
    return Arguments(
        inputs=[sequence],
        input_structure=_LEAF,
        state=state,
        state_structure=_LEAF if len(state) == 1 else _PAIR,
        steps=sequence.shape[0] if sizes is None else len(sizes),
        rows=state[0].shape[0],
        lengths=None,
        reset=None,
        reset_state=None,
        reverse=reverse,
        checkpoint=None,
        batch_sizes=sizes,
    )

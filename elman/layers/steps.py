"""One layer and direction of torch.nn's recurrent layers, as a step for `elman.scan`."""

import operator
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn
from torch.nn import functional as F

from elman.cells.gru import gru
from elman.cells.lstm import lstm
from elman.cells.rnn import NONLINEARITIES
from elman.engine.step.watch import holds_nothing


class GatedStep:
    """Holds the weights of one layer and direction; without biases those are None.

    Weights are `(gates * H, I)`, `(gates * H, H)`, named and ordered as torch.nn has them.
    """

    def __init__(
        self,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor | None = None,
        bias_hh: Tensor | None = None,
    ) -> None:
        self.weight_ih, self.weight_hh = weight_ih, weight_hh
        self.bias_ih, self.bias_hh = bias_ih, bias_hh

    def from_input(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight_ih, self.bias_ih)

    def from_hidden(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.weight_hh, self.bias_hh)


class RNNStep(GatedStep):
    """The Elman network's step; see `elman.cells.RNNCell`."""

    nonlinearity = "tanh"

    def __call__(self, input: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        activation = NONLINEARITIES[self.nonlinearity]
        hidden = activation(self.from_input(input) + self.from_hidden(hidden))
        return hidden, hidden


class ReLURNNStep(RNNStep):
    nonlinearity = "relu"


class GRUStep(GatedStep):
    """The gated recurrent unit's step; see `elman.cells.GRUCell`."""

    def __call__(self, input: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        hidden = gru(self.from_input(input), self.from_hidden(hidden), hidden)
        return hidden, hidden


class LSTMStep(GatedStep):
    """The long short-term memory's step; see `elman.cells.LSTMCell`."""

    def __call__(
        self, input: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        hidden, cell = state
        hidden, cell = lstm(self.from_input(input) + self.from_hidden(hidden), cell)
        return hidden, (hidden, cell)


class ProjectedLSTMStep(LSTMStep):
    """An LSTM whose hidden state is `W_hr h`, `(B, P)` (H. Sak et al., arXiv 1402.1128)."""

    def __init__(self, *weights: Tensor) -> None:
        super().__init__(*weights[:-1])
        self.weight_hr = weights[-1]

    def __call__(
        self, input: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        hidden, (whole, cell) = super().__call__(input, state)
        hidden = F.linear(whole, self.weight_hr)
        return hidden, (hidden, cell)


STEPS: dict[str, Callable[..., GatedStep]] = {
    "RNN_TANH": RNNStep,
    "RNN_RELU": ReLURNNStep,
    "GRU": GRUStep,
    "LSTM": LSTMStep,
    "LSTM_PROJECTED": ProjectedLSTMStep,
}

_made: WeakKeyDictionary[nn.Module, dict[int, tuple[list[Tensor], Any]]] = WeakKeyDictionary()


def step_of(module: nn.Module, kind: str, number: int, weights: list[Tensor]) -> Any:
    """The step of a module's layer and direction of that number, in torch.nn's order; the same one
    as before while its weights are the same tensors, so that `scan` need not read it anew."""
    own = _made.get(module)
    if own is None:
        own = _made[module] = {}
    known = own.get(number)
    if known is not None and _are_same(known[0], weights):
        return known[1]
    step = STEPS[kind](*weights)
    if all(map(holds_nothing, weights)):  # else they may hold on to the module
        own[number] = (weights, step)
    return step


def _are_same(before: list[Tensor], now: list[Tensor]) -> bool:
    return len(before) == len(now) and all(map(operator.is_, before, now))

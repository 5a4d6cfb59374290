"""Which of two kernels runs a call of a drop-in layer: torch.nn's own, or the compiled loop.

Both give the same results, up to rounding. A call of the compiled loop costs more before its first
step, each step costs less; how much was measured (docs/decisions/0005-drop-in.md). The choice
depends on sizes alone, so that the same call always gives the same bits.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Costs:
    """Microseconds, on one core or two of a current processor.

    call: what a call of the compiled loop costs more. weights: for each million weights, which it
    packs. step: what torch.nn's loop costs more for each time step, by its mode. mflop: for each
    million floating-point operations of products.
    """

    call: float
    weights: float
    step: dict[str, float]
    mflop: float


INFERENCE = Costs(60, 300, {"RNN_TANH": 3, "RNN_RELU": 3, "GRU": 6.5, "LSTM": 6.5}, 4)
TRAINING = Costs(170, 600, {"RNN_TANH": 19, "RNN_RELU": 19, "GRU": 55, "LSTM": 55}, 8)

LSTM_TRAINING_MFLOP = 100
"""From here on training an LSTM is faster compiled than through oneDNN, which fuses its loop."""


def compiled_is_faster(
    mode: str, steps: int, pairs: int, weights: int, gradients: bool, fused_lstm: bool = False
) -> bool:
    """For a layer of `mode`, over a number of time steps and of (time, row) pairs.

    weights: the number of weights of one layer and direction. gradients: whether they are wanted.
    fused_lstm: torch.nn would run its LSTM through oneDNN.
    """
    mflop = 2e-6 * pairs * weights
    if fused_lstm:
        return gradients and mflop >= LSTM_TRAINING_MFLOP
    costs = TRAINING if gradients else INFERENCE
    gain = steps * costs.step[mode] + mflop * costs.mflop
    return gain > costs.call + 1e-6 * weights * costs.weights


def has_fused_lstm(dtype: torch.dtype) -> bool:
    """Whether torch.nn.LSTM runs through oneDNN here."""
    return dtype == torch.float32 and torch.backends.mkldnn.is_available()

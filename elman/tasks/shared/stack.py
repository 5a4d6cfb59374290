"""The stack of recurrent layers that every model has: its settings and how it is built."""

from dataclasses import dataclass

import torch

from elman.layers import Recurrent
from elman.settings import setting
from elman.tasks.cell import cell_setting, try_out
from elman.tasks.setup import Setup


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """Settings of all models; a task gives some of them other defaults."""

    cell: str = cell_setting("gru")
    hidden_size: int = setting(128, "units of the hidden state in every layer", minimum=1)
    layers: int = setting(1, "recurrent layers on one another", minimum=1)
    dropout: float = setting(
        0.0, "share of values zeroed before, between and after layers", minimum=0.0, below=1.0
    )
    residual: bool = setting(
        False, "a layer whose output is as wide as its input adds its input to it"
    )
    layer_norm: bool = setting(False, "the output of each layer is normalised over its units")
    learned_state: bool = setting(
        False,
        "the state before the first step is learned; else it is the cell's own, as a rule zeros",
    )


def stack(
    settings: StackSettings, setup: Setup, input_size: int, bidirectional: bool = False
) -> Recurrent:
    """The layers over inputs `(T, B, input_size)`.

    Raises:
        ArgumentError: no recurrent cell, or a residual that no layer is wide enough for.
    """
    cell = setup.recurrent_cell
    return Recurrent(
        lambda features: cell(features, settings.hidden_size),
        num_layers=settings.layers,
        bidirectional=bidirectional,
        dropout=settings.dropout,
        learned_state=settings.learned_state,
        residual=settings.residual,
        layer_norm=settings.layer_norm,
        input_size=input_size,
        backend=setup.backend,
    )


def try_stack(
    settings: StackSettings, setup: Setup, input_size: int, bidirectional: bool = False
) -> None:
    """Build the layers and run a step of their cell, so that a mistake shows before anything is
    written.

    Raises:
        ArgumentError: as `stack` does.
        StepError: with the line of the user's cell at which it failed.
    """
    try_out(setup.recurrent_cell, input_size, settings.hidden_size, settings.cell)
    with torch.random.fork_rng(devices=[]):
        stack(settings, setup, input_size, bidirectional)

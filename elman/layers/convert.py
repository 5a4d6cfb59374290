"""`convert`: the recurrent layers of a model that exists already, replaced by compiled ones."""

from torch import nn

from elman.errors import ArgumentError
from elman.layers import drop_in, drop_in_cells

REPLACEMENTS: dict[type[nn.Module], type[nn.Module]] = {
    nn.RNN: drop_in.RNN,
    nn.GRU: drop_in.GRU,
    nn.LSTM: drop_in.LSTM,
    nn.RNNCell: drop_in_cells.RNNCell,
    nn.GRUCell: drop_in_cells.GRUCell,
    nn.LSTMCell: drop_in_cells.LSTMCell,
}


def convert(model: nn.Module) -> nn.Module:
    """Replace every torch.nn.RNN, GRU and LSTM in a model, and their cells, by elman's.

    The model is changed in place and returned; if it is itself such a layer, a new one is returned
    that shares its parameters. Parameter objects stay the same, so optimisers go on working, and
    so do hooks, training mode, device and dtype. Subclasses are left alone, because they may have
    changed what torch.nn does. `elman.explain(model)` tells what was replaced and what was not.

    Raises:
        ArgumentError: model is no nn.Module.

    Example:
        >>> import torch, elman
        >>> model = torch.nn.Sequential(torch.nn.GRU(3, 5))
        >>> elman.convert(model)
        Sequential(
          (0): GRU(3, 5)
        )
        >>> type(model[0])
        <class 'elman.layers.drop_in.GRU'>
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError(
            f"convert takes a model, an nn.Module, but got {type(model).__name__}; "
            f"pass the model itself"
        )
    if type(model) in REPLACEMENTS:
        return _replaced(model)
    made: dict[nn.Module, nn.Module] = {}  # a layer that stands in two places stays one layer
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child is not None and type(child) in REPLACEMENTS:
                made.setdefault(child, _replaced(child))
                parent._modules[name] = made[child]
    return model


def _replaced(layer: nn.Module) -> nn.Module:
    """The layer as one of elman's, with all that it holds: parameters, hooks, settings."""
    kind = REPLACEMENTS[type(layer)]
    new = kind.__new__(kind)
    new.__dict__.update(layer.__dict__)
    return new

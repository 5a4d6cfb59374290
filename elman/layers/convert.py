"""`convert`: the recurrent layers of a model that exists already, replaced by compiled ones; and
`revert`, the way back."""

from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations

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


ORIGINALS = {ours: theirs for theirs, ours in REPLACEMENTS.items()}


def convert(model: nn.Module) -> nn.Module:
    """Replace every torch.nn.RNN, GRU and LSTM in a model, and their cells, by elman's.

    The model is changed in place and returned; if it is itself such a layer, a new one is returned
    that shares its parameters. Parameter objects stay the same, so optimisers go on working, and
    so do hooks, parametrizations, training mode, device and dtype. Subclasses are left alone,
    because they may have changed what torch.nn does. `elman.explain(model)` tells what was replaced
    and what was not; `elman.revert(model)` is the way back.

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
    return _exchange("convert", model, REPLACEMENTS)


def revert(model: nn.Module) -> nn.Module:
    """Replace every elman.RNN, GRU and LSTM in a model, and converted cells, by torch.nn's: the
    inverse of `elman.convert`.

    For tools that know torch.nn's layers by their exact type, such as `torch.jit.script` and
    `torch.ao.quantization.quantize_dynamic`. As with `convert`, the model is changed in place and
    returned, a layer itself gives a new one, and parameter objects, hooks, parametrizations,
    training mode, device and dtype stay the same. Subclasses are left alone, and so is
    `elman.Recurrent`, for which torch.nn has nothing.

    Raises:
        ArgumentError: model is no nn.Module.

    Example:
        >>> import torch, elman
        >>> model = torch.nn.Sequential(elman.GRU(3, 5))
        >>> type(elman.revert(model)[0])
        <class 'torch.nn.modules.rnn.GRU'>
    """
    return _exchange("revert", model, ORIGINALS)


Kinds = dict[type[nn.Module], type[nn.Module]]


def _exchange(name: str, model: nn.Module, kinds: Kinds) -> nn.Module:
    """Layers of some kinds replaced by others, in place if the model holds them."""
    if not isinstance(model, nn.Module):
        raise ArgumentError(
            f"{name} takes a model, an nn.Module, but got {type(model).__name__}; "
            f"pass the model itself"
        )
    if type_before_parametrizations(model) in kinds:
        return _replaced(model, kinds)
    made: dict[nn.Module, nn.Module] = {}  # a layer that stands in two places stays one layer
    for parent in list(model.modules()):
        for key, child in parent._modules.items():
            if child is not None and type_before_parametrizations(child) in kinds:
                if child not in made:
                    made[child] = _replaced(child, kinds)
                parent._modules[key] = made[child]
    return model


def _replaced(layer: nn.Module, kinds: Kinds) -> nn.Module:
    """The layer as one of another kind, with all that it holds: parameters, hooks, settings."""
    before, plain = type(layer), type_before_parametrizations(layer)
    kind = kinds[plain]
    if before is not plain:  # its own class, in which torch has put a property for each weight
        own = {k: v for k, v in vars(before).items() if k not in ("__dict__", "__weakref__")}
        kind = type(f"Parametrized{kind.__name__}", (kind,), own)
    new = kind.__new__(kind)
    new.__dict__.update(layer.__dict__)
    return new

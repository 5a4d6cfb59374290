"""Recurrent networks on PyTorch: write one time step as plain Python, train it, use the model.

The public names are those in `__all__`; everything else may change.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from elman import cells, errors
from elman.engine import scan
from elman.layers import GRU, LSTM, RNN, Recurrent, convert, explain, revert
from elman.version import VERSION as __version__  # noqa: N811

if TYPE_CHECKING:
    from elman.artifacts.load import load
    from elman.train.fit import fit, resume
    from elman.train.folds import cross_validate

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Recurrent",
    "__version__",
    "cells",
    "convert",
    "cross_validate",
    "errors",
    "explain",
    "fit",
    "load",
    "resume",
    "revert",
    "scan",
]

_ON_FIRST_USE = {
    "fit": "elman.train.fit",
    "cross_validate": "elman.train.folds",
    "resume": "elman.train.fit",
    "load": "elman.artifacts.load",
}
"""Names whose modules take longer to load than all the rest, which a program that only scans need
not wait for."""


def __getattr__(name: str) -> Any:
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_ON_FIRST_USE[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__

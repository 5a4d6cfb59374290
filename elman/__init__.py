"""Recurrent networks on PyTorch: write one time step as plain Python, train it, use what came out.

The public names are those in `__all__`; everything else may change.
"""

from elman import cells, errors
from elman.artifacts.load import load
from elman.engine import scan
from elman.layers import GRU, LSTM, RNN, Recurrent, convert, explain
from elman.train import fit, resume
from elman.version import VERSION as __version__  # noqa: N811

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Recurrent",
    "__version__",
    "cells",
    "convert",
    "errors",
    "explain",
    "fit",
    "load",
    "resume",
    "scan",
]

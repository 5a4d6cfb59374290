"""Recurrent networks on PyTorch: write one time step as plain Python, train it, use what came out.

The public names are those in `__all__`; everything else may change.
"""

from elman import cells, errors
from elman.artifacts.load import load
from elman.engine import explain, scan
from elman.layers import Recurrent
from elman.train import fit, resume
from elman.version import VERSION as __version__  # noqa: N811

__all__ = [
    "Recurrent",
    "__version__",
    "cells",
    "errors",
    "explain",
    "fit",
    "load",
    "resume",
    "scan",
]

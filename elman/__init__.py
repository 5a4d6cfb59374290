"""Recurrent networks on PyTorch: write one time step as plain Python, train it, use what came out.

The public names are those in `__all__`; everything else may change.
"""

from elman import cells
from elman.engine import scan
from elman.layers import Recurrent
from elman.version import VERSION as __version__  # noqa: N811

__all__ = ["Recurrent", "__version__", "cells", "scan"]

"""Recurrent networks on PyTorch: write one time step as plain Python."""

from elman.version import VERSION as __version__  # noqa: N811

__all__ = ["__version__"]

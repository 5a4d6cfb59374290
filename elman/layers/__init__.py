"""Recurrent layers in the conventions of torch.nn."""

from elman.layers.recurrent import Recurrent

__all__ = ["Recurrent"]

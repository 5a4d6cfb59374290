"""Recurrent layers in the conventions of torch.nn."""

from elman.layers.recurrent import Recurrent, output_size

__all__ = ["Recurrent", "output_size"]

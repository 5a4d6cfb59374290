"""Recurrent layers in the conventions of torch.nn."""

from elman.layers.convert import convert, revert
from elman.layers.drop_in import GRU, LSTM, RNN
from elman.layers.explain import explain
from elman.layers.recurrent import Recurrent

__all__ = ["GRU", "LSTM", "RNN", "Recurrent", "convert", "explain", "revert"]

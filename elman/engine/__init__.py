"""The scan engine: turns a step `(x_t, state) -> (y_t, state)` into a loop over time."""

from elman.engine.backends import BACKENDS
from elman.engine.scan import scan

__all__ = ["BACKENDS", "scan"]

"""Failures of ours, told apart from those of the user and of the machine."""

from typing import Any

import torch

from elman.errors import ElmanError, UnsupportedStep


class Fault(UnsupportedStep):
    """elman failed at a step that it should have run. The plain loop may well run it."""


def failure(error: Exception) -> Fault:
    return Fault(
        f"elman failed at this step ({type(error).__name__}: {_first_line(error)}); please report "
        f"it; the step runs with backend='reference'"
    )


def is_no_fault(error: Exception) -> bool:
    """Whether an error is one of our words to the user, a warning that they want raised, or says
    that memory is at its end."""
    if isinstance(error, ElmanError | Warning | MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def name_of(step: Any) -> str:
    """The step's name, as its author knows it."""
    return getattr(step, "__qualname__", type(step).__qualname__)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else ""

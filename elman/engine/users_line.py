"""Warnings that point at the user's line, not at one of ours."""

import os
import sys
import warnings
from pathlib import Path

import torch
import typing_extensions

_NOT_THE_USERS = (
    f"{Path(__file__).parents[1]}{os.sep}",
    f"{Path(torch.__file__).parent}{os.sep}",
    typing_extensions.__file__,  # by whose decorator torch says what is deprecated
)


def warn(text: str) -> None:
    """Warn at the innermost line that is neither elman's nor torch's."""
    frame, level = sys._getframe().f_back, 2
    while frame is not None and frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, stacklevel=level)

"""The user's source: which code is theirs, and the line of it that a word to them names."""

import os
import sys
import sysconfig
import warnings
from functools import lru_cache
from pathlib import Path
from types import FrameType

import numpy as np
import sympy  # type: ignore[import-untyped]
import torch
import typing_extensions

_STANDARD = f"{sysconfig.get_path('stdlib')}{os.sep}"
_ELMAN = f"{Path(__file__).parents[1]}{os.sep}"
_LIBRARIES = (
    f"{Path(__file__).parent}{os.sep}",
    f"{Path(torch.__file__).parent}{os.sep}",
    f"{Path(np.__file__).parent}{os.sep}",
    f"{Path(sympy.__file__).parent}{os.sep}",  # in which torch computes with sizes
    typing_extensions.__file__,  # by whose decorator torch says what is deprecated
    "<frozen ",
)


def is_users(frame: FrameType) -> bool:
    """Whether this code belongs to none of torch, numpy, sympy, the engine and the standard
    library. Elman's own cells count as a user's."""
    name = frame.f_code.co_filename
    if name == "<string>":  # which the standard library makes; and `python -c`
        return module_of(frame) == "__main__"
    return is_users_file(name)


@lru_cache(maxsize=4096)
def is_users_file(name: str) -> bool:
    is_standard = name.startswith(_STANDARD) and "site-packages" not in name
    return not (is_standard or name.startswith(_LIBRARIES))


def module_of(frame: FrameType) -> str:
    return frame.f_globals.get("__name__") or ""


def users_line(frame: FrameType | None = None) -> str:
    """`file.py:12` of the innermost frame that belongs to the user, from this one outwards."""
    frame = frame or sys._getframe(1)
    while frame is not None:
        if is_users(frame):
            return line(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return "unknown line"


def line(file: str, number: int | None) -> str:
    return f"{Path(file).name}:{number}"


def warn(text: str) -> None:
    """Warn at the innermost line that is neither elman's nor a library's."""
    frame, level = sys._getframe().f_back, 2
    while frame is not None and frame.f_back is not None and not _is_callers(frame):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, stacklevel=level)


def _is_callers(frame: FrameType) -> bool:
    return is_users(frame) and not frame.f_code.co_filename.startswith(_ELMAN)

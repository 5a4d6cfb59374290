"""The user's source: which code is theirs, and the line of it that a word to them names."""

import os
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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


def users_frame(frame: FrameType | None) -> FrameType | None:
    """The innermost frame that belongs to the user, from this one outwards."""
    while frame is not None and not is_users(frame):
        frame = frame.f_back
    return frame


def users_line(frame: FrameType | None = None) -> str:
    """`file.py:12` of that frame."""
    found = users_frame(frame or sys._getframe(1))
    return "unknown line" if found is None else line(found.f_code.co_filename, found.f_lineno)


@contextmanager
def warnings_at(frame: FrameType | None) -> Iterator[None]:
    """Warnings from within are given at the user's line outside of this frame; without one they
    were given already."""
    with warnings.catch_warnings(record=True) as said:
        yield
    users = users_frame(frame)
    if users is None:
        return
    for one in said:
        warnings.warn_explicit(
            one.message, one.category, users.f_code.co_filename, users.f_lineno,
            module_of(users), users.f_globals.setdefault("__warningregistry__", {}),
        )  # fmt: skip


def line(file: str, number: int | None) -> str:
    return f"{Path(file).name}:{number}"


def warn(text: str) -> None:
    """Warn at the innermost line that is neither elman's nor a library's."""
    frame, level = sys._getframe().f_back, 2
    while frame is not None and frame.f_back is not None and not _is_callers(frame):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, stacklevel=level)


def is_written_by_user(frame: FrameType) -> bool:
    """Whether this is code of a program, and of no package, elman's cells and layers among them."""
    name = frame.f_code.co_filename
    return _is_callers(frame) and "site-packages" not in name


def _is_callers(frame: FrameType) -> bool:
    return is_users(frame) and not frame.f_code.co_filename.startswith(_ELMAN)

"""Why a step can't be traced, in the user's terms and at the user's line.

What torch's tracers raise names symbols and internals that a user has never met.
"""

import re
import sysconfig
import traceback
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    UnsupportedOperatorException,
)
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

_LIBRARIES = (str(Path(torch.__file__).parent), str(Path(__file__).parent))
_STANDARD = sysconfig.get_path("stdlib")
_LONGEST = 200


def reason(error: Exception) -> str:
    """One line about what was raised while the step was traced."""
    where = _users_line(error)
    place = f" at {where}" if where else ""
    if isinstance(error, GuardOnDataDependentSymNode | DataDependentOutputException):
        what = f"the step depends on the values of a tensor{place}, as `if` and `.item()` do"
    elif isinstance(error, UnsupportedOperatorException):
        what = f"{_short(error)}{place} can't be traced"
    else:
        what = f"the step can't be traced{place} ({type(error).__name__}: {_short(error)})"
    return f"{what}; it runs with backend='reference'"


def reason_of_guard(guard: Any) -> str:
    """The same for a condition on the number of rows (a `ShapeGuard`)."""
    frame = guard.sloc.framework_loc
    is_users = isinstance(frame, traceback.FrameSummary) and _is_users(frame)
    place = f" at {_line(frame)}" if is_users else ""
    return (
        f"the step depends on the number of rows of its batch{place} "
        f"({_with_rows(str(guard.expr))}); it runs with backend='reference'"
    )


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return _with_rows(lines[0][:_LONGEST]) if lines else ""


def _with_rows(text: str) -> str:
    """The only symbol of a trace is its number of rows."""
    return re.sub(r"\bs\d+\b", "rows", text)


def _users_line(error: Exception) -> str | None:
    """`file.py:12` of the innermost frame that belongs to none of torch, the engine and Python."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    return next((_line(frame) for frame in frames if _is_users(frame)), None)


def _is_users(frame: traceback.FrameSummary) -> bool:
    name = frame.filename
    is_standard = name.startswith(_STANDARD) and "site-packages" not in name
    return not (is_standard or name.startswith((*_LIBRARIES, "<")))


def _line(frame: traceback.FrameSummary) -> str:
    return f"{Path(frame.filename).name}:{frame.lineno}"

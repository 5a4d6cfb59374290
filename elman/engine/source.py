"""Where in the user's source something happens."""

import sys
from pathlib import Path
from types import FrameType

import torch

_LIBRARIES = (str(Path(torch.__file__).parent), str(Path(__file__).parent))


def is_users(frame: FrameType) -> bool:
    """Whether this code belongs to none of torch, numpy, the engine and the standard library."""
    name = frame.f_code.co_filename
    if name.startswith(_LIBRARIES) or (name.startswith("<") and name != "<stdin>"):
        return False
    package = module_of(frame).split(".")[0]
    return package != "numpy" and package not in sys.stdlib_module_names


def module_of(frame: FrameType) -> str:
    return frame.f_globals.get("__name__") or ""


def users_line(frame: FrameType | None = None) -> str:
    """`file.py:12` of the innermost frame that belongs to the user, from this one outwards."""
    frame = frame or sys._getframe(1)
    while frame is not None:
        if is_users(frame):
            return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        frame = frame.f_back
    return "unknown line"

"""Warnings that point at the user's line, not at one of ours."""

import sys
import warnings
from functools import lru_cache
from pathlib import Path

import torch

_LIBRARIES = tuple(
    str(path) + "/" for path in (Path(torch.__file__).parent, Path(__file__).parents[1])
)


@lru_cache(maxsize=1024)
def _is_ours(filename: str) -> bool:
    return filename.replace("\\", "/").startswith(tuple(x.replace("\\", "/") for x in _LIBRARIES))


def warn(text: str) -> None:
    """Warn at the innermost frame that belongs neither to elman nor to torch."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _is_ours(frame.f_code.co_filename):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, UserWarning, stacklevel=level)

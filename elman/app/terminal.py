"""Where output goes: results to standard output, everything else to standard error."""

import json
import math
import os
import sys
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from elman.artifacts.files import write_atomically
from elman.errors import DataError


def errors() -> Console:
    """Standard error: colours and bars on a terminal, plain lines elsewhere."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def shows_colours() -> bool:
    """Whether standard output is a terminal on which colours are wanted (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def result(text: str, end: str = "\n", coloured: bool = False) -> None:
    """Print a result, at once. A file or a pipe gets it to the letter.

    coloured: it holds escapes on purpose, and who made it has taken out all others.

    Where the reader has gone, as in `elman generate RUN | head`, the command ends as if it were
    done.
    """
    shown = text if coloured or not sys.stdout.isatty() else harmless(text)
    try:
        sys.stdout.write(shown + end)
        sys.stdout.flush()
    except BrokenPipeError:
        with suppress(OSError):  # so that nothing is written when the program ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit from None


def result_as_json(value: Mapping[str, Any]) -> None:
    """Print a result as one JSON object on one line. JSON has no infinity and no NaN: such numbers
    become null."""
    result(json.dumps(_finite(value), ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def file(path: str, content: bytes) -> None:
    """Write a result to a file that the user named.

    Raises:
        DataError: its folder does not exist.
    """
    if not Path(path).resolve().parent.is_dir():
        raise DataError(f"no folder for the file {path}; name one that exists")
    write_atomically(Path(path), content)


def note(text: str) -> None:
    """Tell the user something that is no result."""
    errors().print(harmless(text), markup=False)


def harmless(text: str) -> str:
    """Without control characters, which a run folder from elsewhere could use to make a terminal do
    more than show text."""
    return "".join(
        "\ufffd" if unicodedata.category(c) == "Cc" and c not in "\n\t" else c for c in text
    )


def duration(minutes: float) -> str:
    return "1 minute" if minutes == 1 else f"{minutes:g} minutes"

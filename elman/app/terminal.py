"""Where output goes: results to standard output, everything else to standard error."""

import os
import sys
import unicodedata
from contextlib import suppress

import typer
from rich.console import Console


def errors() -> Console:
    """Standard error: colours and bars on a terminal, plain lines elsewhere."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def result(text: str, end: str = "\n") -> None:
    """Print a result, at once. A file or a pipe gets it to the letter.

    Where the reader has gone, as in `elman generate RUN | head`, the command ends as if it were
    done.
    """
    try:
        sys.stdout.write((harmless(text) if sys.stdout.isatty() else text) + end)
        sys.stdout.flush()
    except BrokenPipeError:
        with suppress(OSError):  # so that nothing is written when the program ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit from None


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

"""Where output goes: results to standard output, everything else to standard error."""

import sys

from rich.console import Console


def errors() -> Console:
    """Standard error: colours and bars on a terminal, plain lines elsewhere."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def result(text: str, end: str = "\n") -> None:
    """Print a result, at once."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


def note(text: str) -> None:
    """Tell the user something that is no result."""
    errors().print(text, markup=False)

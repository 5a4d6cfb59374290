"""Why a step can't be traced, in the user's terms and at the user's line.

What torch's tracers raise names symbols and internals that a user has never met.
"""

import re
import traceback
from typing import Any, NamedTuple

from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    UnsupportedOperatorException,
)
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from elman.engine.source import is_users, is_users_file, line

_LONGEST = 200
HINT = 61
"""The number of rows in a trace: unlike any usual size, so that no guard ties the rows to another
dimension."""


class PerRow(NamedTuple):
    """A tensor that a step closes over, with as many entries as the batch has rows."""

    name: str
    shape: tuple[int, ...]


def reason(error: Exception, per_row: PerRow | None = None) -> str:
    """One line about what was raised while the step was traced."""
    where = _users_line(error)
    place = f" at {where}" if where else ""
    if per_row is not None and _compares_rows(_short(error), per_row):
        return _reason_of(per_row, place)
    if asks_for_values(error):
        what = f"the step depends on the values of a tensor{place}, as `if` and `.item()` do"
    elif asks_for_rows(error):
        what = f"the step depends on the number of rows of its batch{place}"
    elif isinstance(error, UnsupportedOperatorException):
        what = f"{_short(error)}{place} can't be traced"
    else:
        what = f"the step can't be traced{place} ({type(error).__name__}: {_short(error)})"
    return f"{what}; it runs with backend='reference'"


def asks_for_rows(error: Exception) -> bool:
    """Whether a part of torch that sees no symbols was given the number of rows."""
    return "not tracked with proxy" in str(error)


def asks_for_values(error: Exception) -> bool:
    return isinstance(error, GuardOnDataDependentSymNode | DataDependentOutputException)


def reason_of_guard(
    guard: Any, operation: tuple[str, str] | None, per_row: PerRow | None = None
) -> str:
    """The same for a condition on the number of rows (a `ShapeGuard`).

    operation: the operation of torch that sets it, and its line, if one does.
    """
    frame = guard.sloc.framework_loc
    if isinstance(frame, traceback.FrameSummary) and is_users_file(frame.filename):
        asker, place = "the step", f" at {line(frame.filename, frame.lineno)}"
    elif operation is not None:
        asker, place = operation[0], f" at {operation[1]}"
    else:
        asker, place = "the step", ""
    condition = _with_rows(str(guard.expr))
    if per_row is not None and _compares_rows(condition, per_row):
        return _reason_of(per_row, place)
    # The number of a trace says nothing to a user.
    said = "" if re.search(rf"\b{HINT}\b", condition) else f" ({condition})"
    return (
        f"{asker} depends on the number of rows of its batch{place}{said}; "
        f"it runs with backend='reference'"
    )


def _compares_rows(text: str, per_row: PerRow) -> bool:
    """Whether a message is about the batch's size, which has no number in a trace, and the
    tensor's."""
    is_about = re.search(rf"\b(rows|{HINT})\b", text) is not None
    return is_about and re.search(rf"\b{per_row.shape[0]}\b", text) is not None


def _reason_of(per_row: PerRow, place: str) -> str:
    return (
        f"the step closes over {per_row.name} {per_row.shape}{place}, which has one entry for each "
        f"row of the batch; pass it to scan as constants=, which go with their rows; it runs with "
        f"backend='reference'"
    )


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return _with_rows(lines[0][:_LONGEST]) if lines else ""


def _with_rows(text: str) -> str:
    """The only symbol of a trace is its number of rows."""
    return re.sub(r"\bs\d+\b", "rows", text)


def _users_line(error: Exception) -> str | None:
    """Of the innermost frame that belongs to the user."""
    found = [at for at in traceback.walk_tb(error.__traceback__) if is_users(at[0])]
    return line(found[-1][0].f_code.co_filename, found[-1][1]) if found else None

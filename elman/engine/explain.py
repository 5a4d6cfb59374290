"""`explain`: what `scan` makes of a step, printed."""

import sys
from typing import IO

from elman.engine import reference
from elman.engine.arguments import check
from elman.engine.constants import StepWithConstants
from elman.engine.nest import Nest


def explain(
    step: reference.Step, input: Nest, state: Nest, *, constants: Nest | None = None,
    file: IO[str] | None = None,
) -> None:  # fmt: skip
    """Print what `scan(step, input, state)` would run; see `elman.explain`."""
    # Loaded on first use, as the compiler itself is.
    from elman.engine.explanation import explanation

    arguments = check(input, state, None, None, None, False, None, constants)
    if constants is not None:
        step = StepWithConstants(step)
    print(explanation(step, arguments), file=file or sys.stdout, end="")

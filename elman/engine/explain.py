"""`explain`: what `scan` makes of a step, printed."""

import sys
from typing import IO

from elman.engine import reference
from elman.engine.arguments import check
from elman.engine.nest import Nest


def explain(step: reference.Step, input: Nest, state: Nest, *, file: IO[str] | None = None) -> None:
    """Print what `scan(step, input, state)` would run, where, and what it costs.

    The loops are written out stage by stage, each line one value of a row at a time step with its
    width in brackets and the user's line that it comes from. A step that can't be compiled is named
    with the reason. Whether a backward pass is shown follows `requires_grad` and the grad mode, as
    in `scan` itself.

    Args:
        step, input, state: as for `elman.scan`.
        file: where to print; standard output when None.

    Raises:
        ArgumentError, ShapeError: the arguments do not fit together.
        StepError: the step broke its contract.

    Example:
        >>> import torch, elman
        >>> def leaky_sum(x, total):
        ...     total = 0.5 * total + x
        ...     return total, total
        >>> elman.explain(leaky_sum, torch.ones(3, 1, 4), torch.zeros(1, 4))  # doctest: +ELLIPSIS
        leaky_sum as a compiled loop over time (float32)
        ...
          forward loop
            output[4] = ...
    """
    # Loaded on first use, as the compiler itself is.
    from elman.engine.explanation import explanation

    arguments = check(input, state, None, None, None, False, None)
    print(explanation(step, arguments), file=file or sys.stdout, end="")

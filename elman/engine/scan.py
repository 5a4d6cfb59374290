"""`scan`: the loop of a step over time."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from elman.engine import backends, reference
from elman.engine.arguments import check
from elman.engine.checkpointing import run_in_segments
from elman.engine.constants import StepWithConstants
from elman.engine.packed import refuse_with_packed, run_packed
from elman.errors import ArgumentError
from elman.nest import Nest


def scan(
    step: reference.Step,
    input: Nest,
    state: Nest,
    *,
    constants: Nest | None = None,
    lengths: Tensor | Sequence[int] | None = None,
    reset: Tensor | None = None,
    reset_state: Nest | None = None,
    reverse: bool = False,
    checkpoint: int | None = None,
    backend: str = "auto",
) -> tuple[Nest, Nest]:
    r"""Run a step over time: `y_t, s_t = step(x_t, s_{t-1})` for t = 1..T.

    Args:
        step: an `nn.Module` or a plain function `(x_t, state) -> (y_t, state)`. It must treat the
            rows of a batch independently. Tensors that it closes over are shared by all rows, and
            get gradients as parameters do.
        input: tensor or nest (tuple, list, dict) of tensors, `(T, B, ...)`; or a `PackedSequence`,
            and then the output is packed in the same way.
        state: tensor or nest of tensors, `(B, ...)`: the state before the first step.
        constants: tensor or nest of tensors, `(B, ...)`, that a row sees at every step, such as an
            encoder's memory or a condition; the step is then called as
            `step(x_t, state, constants)`. They get gradients.
        lengths: `(B,)` integers. A row stops after its own length: outputs beyond it are zero and
            the returned state is the state at its end; a length of 0 leaves it as it came. What
            stands in the padding is never read.
        reset: `(T, B)` bool. Where true, the row's state becomes `reset_state` before that step (in
            running order), and no gradient crosses.
        reset_state: a nest like `state`; zeros when None. It gets its gradient.
        reverse: run from the last step to the first; with `lengths`, each row from its own end.
        checkpoint: keep the state of every `checkpoint`-th step only and recompute the steps
            between in the backward pass.
        backend: `"auto"` compiles the step for the CPU with LLVM, and runs the plain Python loop,
            with one warning, where that is not possible. `"llvm"` or `"reference"` run or raise.

    Returns:
        `(output, state)`: what the step returned, stacked over time, leaves `(T, B, ...)`; and the
        state after the last step, a nest like `state`.

    Raises:
        ArgumentError, ShapeError: the arguments do not fit together.
        StepError: the step broke its contract, for example by changing the state's shape.
        UnsupportedStep: the named backend can't run the step; names the operation and its line.

    A compiled step is traced, not run. So a step that does more than give its result, such as
    counting, adding to a list, printing or drawing from Python's `random`, runs as the plain loop.

    A step that returns (state, output) instead of (output, state) can't be noticed when both have
    the same shape.

    Example:
        >>> import torch, elman
        >>> def leaky_sum(x, total):
        ...     total = 0.5 * total + x
        ...     return total, total
        >>> output, state = elman.scan(leaky_sum, torch.ones(3, 1, 1), torch.zeros(1, 1))
        >>> output.flatten().tolist(), state.item()
        ([1.0, 1.5, 1.75], 1.75)
    """
    run = backends.find(backend)
    if not callable(step):
        raise ArgumentError(
            f"step must be a function or a module, (x_t, state) -> (y_t, state), got {step!r:.60}"
        )
    if constants is not None:
        step = StepWithConstants(step)
    if isinstance(input, PackedSequence):
        refuse_with_packed(
            lengths=lengths, reset=reset, reset_state=reset_state, checkpoint=checkpoint
        )
        output, final = run_packed(run, step, input, state, constants, reverse)
    else:
        arguments = check(input, state, lengths, reset, reset_state, reverse, checkpoint, constants)
        if arguments.checkpoint is not None:
            run = partial(run_in_segments, run, size=arguments.checkpoint)
        output, final = run(step, arguments)
    return output, final if constants is None else final[0]

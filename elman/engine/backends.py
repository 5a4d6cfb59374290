"""The backends of `scan`: one signature, one row each."""

from collections.abc import Callable
from functools import lru_cache

import torch

from elman.engine import reference
from elman.engine.arguments import Arguments
from elman.engine.nest import Nest
from elman.engine.users_line import warn
from elman.errors import ArgumentError, StepError, UnsupportedStep

_FLOATS = (torch.float32, torch.float64)
Backend = Callable[[reference.Step, Arguments], tuple[Nest, Nest]]


def run_llvm(step: reference.Step, arguments: Arguments) -> tuple[Nest, Nest]:
    """Compile the step's loop for the CPU, or use it again, and run it.

    Raises:
        UnsupportedStep: names the operation, and the line of the user's source, that stands in the
            way.
    """
    require_plain_call(arguments)
    if torch.is_autocast_enabled("cpu"):
        with torch.autocast("cpu", enabled=False):
            return run_llvm(step, arguments)
    return _compiling_backend()(step, arguments)


@lru_cache(maxsize=1)
def _compiling_backend() -> Backend:
    """Loaded on first use: LLVM takes a moment that a program without a scan should not pay."""
    from elman.engine import function
    from elman.engine.cache import compiled_step
    from elman.engine.llvm import compile_program

    def run(step: reference.Step, arguments: Arguments) -> tuple[Nest, Nest]:
        try:
            compiled, closed = compiled_step(step, arguments, compile_program)
        except StepError:
            return reference.run(step, arguments)  # which says what is wrong in actual sizes
        return function.run(step, compiled, arguments, closed)

    return run


def run_auto(step: reference.Step, arguments: Arguments) -> tuple[Nest, Nest]:
    """The fastest backend that can run the step; says once if that is the plain loop."""
    try:
        return run_llvm(step, arguments)
    except _TransformedCall:
        return reference.run(step, arguments)  # nothing that the user could change
    except UnsupportedStep as error:
        _warn_once(step, str(error))
        return reference.run(step, arguments)


BACKENDS: dict[str, Backend] = {
    "auto": run_auto,
    "reference": reference.run,
    "llvm": run_llvm,
}


def find(name: str) -> Backend:
    try:
        return BACKENDS[name]
    except KeyError:
        raise ArgumentError(f"backend must be one of {', '.join(BACKENDS)}, got {name!r}") from None


class _TransformedCall(UnsupportedStep):
    """vmap, forward-mode differentiation or torch.compile is at work around the call."""


def require_plain_call(arguments: Arguments) -> None:
    """Raise `UnsupportedStep` if it is the call, and not the step, that can't be compiled."""
    if torch._C._functorch.peek_interpreter_stack() is not None:
        raise _TransformedCall("torch.func transforms run with backend='reference'")
    if torch.autograd.forward_ad._current_level >= 0:
        raise _TransformedCall("forward-mode differentiation runs with backend='reference'")
    if torch.compiler.is_compiling():
        raise _TransformedCall("torch.compile sees the plain loop of backend='reference'")
    known = None
    for leaf in arguments.state:
        dtype = leaf.dtype
        if dtype is known or not (dtype.is_floating_point or dtype.is_complex):
            continue
        if known is not None or dtype not in _FLOATS:
            found = ", ".join(sorted({str(leaf.dtype) for leaf in arguments.state}))
            raise UnsupportedStep(
                f"the compiled loop works in float32 or float64, but the state holds {found}; "
                f"it runs with backend='reference'"
            )
        known = dtype
    given = [*arguments.inputs, *arguments.state]
    if arguments.reset is not None:
        given += [arguments.reset, *(arguments.reset_state or ())]
    for leaf in given:
        if not leaf.is_cpu:
            raise UnsupportedStep(
                f"the compiled loop runs on the CPU, but the tensors are on {leaf.device}; "
                f"it runs with backend='reference'"
            )


_warned: set[str] = set()


def _warn_once(step: reference.Step, reason: str) -> None:
    name = getattr(step, "__qualname__", type(step).__qualname__)
    text = f"elman.scan runs {name} as a plain Python loop: {reason}"
    if text not in _warned:
        _warned.add(text)
        warn(text)

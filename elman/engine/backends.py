"""The backends of `scan`: one signature, one row each."""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch.utils._device import DeviceContext

from elman.engine import memory, reference
from elman.engine.arguments import Arguments
from elman.engine.faults import Fault, failure, is_no_fault, name_of
from elman.engine.nest import Nest
from elman.engine.source import warn
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
    arguments = memory.plain_arguments(arguments)
    if torch.is_autocast_enabled("cpu"):
        arguments = arguments.in_dtype_of_state(torch.get_autocast_dtype("cpu"))
        with torch.autocast("cpu", enabled=False):
            return run_llvm(step, arguments)
    return _compiling_backend()(step, arguments)


@lru_cache(maxsize=1)
def _compiling_backend() -> Backend:
    """Loaded on first use: LLVM takes a moment that a program without a scan should not pay."""
    from elman.engine import function
    from elman.engine.cache import compiled_step
    from elman.engine.llvm import compile_program

    def find(step: reference.Step, arguments: Arguments) -> tuple:
        try:
            return compiled_step(step, arguments, compile_program)
        except Exception as error:
            if is_no_fault(error):
                raise
            raise failure(error) from error

    def run(step: reference.Step, arguments: Arguments) -> tuple[Nest, Nest]:
        try:
            return function.run(step, arguments, find)
        except StepError:
            return reference.run(step, arguments)  # which says what is wrong in actual sizes

    return run


def run_auto(step: reference.Step, arguments: Arguments) -> tuple[Nest, Nest]:
    """The fastest backend that can run the step; says once if that is the plain loop."""
    reason = fault = ""
    try:
        return run_llvm(step, arguments)
    except (_TransformedCall, memory.WithoutNumbers):
        pass  # nothing that the user could change
    except Fault as error:
        fault = str(error)
    except UnsupportedStep as error:
        reason = str(error)
    if reason:
        _warn_once(step, reason)
    result = reference.run(step, arguments)
    if fault:  # now the plain loop has not found that it is the step's own
        _warn_once(step, fault)
    return result


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
    """Something of torch is at work around the call that has to see every operation."""


def require_plain_call(arguments: Arguments) -> None:
    """Raise `UnsupportedStep` if it is the call, and not the step, that can't be compiled."""
    if torch._C._get_tracing_state() is not None:
        raise _TransformedCall("torch.jit.trace sees the plain loop of backend='reference'")
    if torch._C._functorch.peek_interpreter_stack() is not None:
        raise _TransformedCall("torch.func transforms run with backend='reference'")
    if torch.autograd.forward_ad._current_level >= 0:
        raise _TransformedCall("forward-mode differentiation runs with backend='reference'")
    if torch.compiler.is_compiling():
        raise _TransformedCall("torch.compile sees the plain loop of backend='reference'")
    if torch._C._len_torch_dispatch_stack():
        raise _TransformedCall("a TorchDispatchMode sees the plain loop of backend='reference'")
    if torch._C._len_torch_function_stack():
        _require_plain_functions()
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


def _require_plain_functions() -> None:
    """Of modes that take part in every function of torch, a default device may be active."""
    for mode in torch.overrides._get_current_function_mode_stack():
        if not isinstance(mode, DeviceContext):
            raise _TransformedCall("a TorchFunctionMode sees the plain loop of backend='reference'")
        if torch.device(mode.device).type != "cpu":
            raise UnsupportedStep(
                f"the compiled loop runs on the CPU, but tensors are made on {mode.device} by "
                f"default; it runs with backend='reference'"
            )


_warned: set[str] = set()


def _warn_once(step: reference.Step, reason: str) -> None:
    text = f"elman.scan runs {name_of(step)} as a plain Python loop: {reason}"
    if text not in _warned:
        _warned.add(text)
        warn(text)

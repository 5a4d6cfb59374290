"""The backends of `scan`: one signature, one row each; and the machines that compile for some."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch.utils._device import DeviceContext

from elman.engine import memory, reference
from elman.engine.arguments import Arguments
from elman.engine.faults import Fault, failure, is_no_fault, name_of
from elman.engine.machine import Machine
from elman.engine.source import warn
from elman.errors import ArgumentError, StepError, UnsupportedStep
from elman.nest import Nest

_FLOATS = (torch.bfloat16, torch.float16, torch.float32, torch.float64)
Backend = Callable[[reference.Step, Arguments], tuple[Nest, Nest]]


def run_llvm(step: reference.Step, arguments: Arguments) -> tuple[Nest, Nest]:
    """Compile the step's loop for the CPU, or use it again, and run it.

    Raises:
        UnsupportedStep: names the operation, and the line of the user's source, that stands in the
            way.
    """
    return _on_llvm()(step, arguments)


@lru_cache(maxsize=1)
def _on_llvm() -> Backend:
    return on(_llvm())


@lru_cache(maxsize=1)
def _llvm() -> Machine:
    """Loaded on first use: LLVM takes a moment that a program without a scan should not pay."""
    from elman.engine.llvm import LLVM

    return LLVM()


def machine_for(arguments: Arguments) -> Machine:
    """The machine on which "auto" runs a call, if any can."""
    return _llvm()


def on(machine: Machine) -> Backend:
    """The backend that compiles for a machine."""
    from elman.engine.run import function
    from elman.engine.run.cache import compiled_step

    def find(step: reference.Step, arguments: Arguments) -> tuple[Any, ...]:
        try:
            return compiled_step(step, arguments, machine)
        except Exception as error:
            if is_no_fault(error):
                raise
            raise failure(error) from error

    def run(step: reference.Step, arguments: Arguments) -> tuple[Nest, Nest]:
        require_plain_call(machine, arguments)
        arguments = memory.plain_arguments(arguments, machine.device)
        if torch.is_autocast_enabled(machine.device):
            low = torch.get_autocast_dtype(machine.device)
            with torch.autocast(machine.device, enabled=False):
                return run(step, arguments.in_dtype_of_state(low))
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


def require_plain_call(machine: Machine, arguments: Arguments) -> None:
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
        _require_plain_functions(machine.device)
    known = None
    for leaf in arguments.state:  # at every call, so every look counts
        dtype = leaf.dtype
        if dtype is known or not (dtype.is_floating_point or dtype.is_complex):
            continue
        if known is not None or machine.computes_in(dtype) is None:
            found = ", ".join(sorted({str(leaf.dtype) for leaf in arguments.state}))
            able = [str(d).removeprefix("torch.") for d in _FLOATS if machine.computes_in(d)]
            raise UnsupportedStep(
                f"the compiled loop works in {' or '.join(able)}, but the state holds {found}; "
                f"it runs with backend='reference'"
            )
        known = dtype
    refusal = machine.refuses(arguments)
    if refusal is not None:
        raise UnsupportedStep(refusal)


def _require_plain_functions(device: str) -> None:
    """Of modes that take part in every function of torch, a default device may be active."""
    for mode in torch.overrides._get_current_function_mode_stack():
        if not isinstance(mode, DeviceContext):
            raise _TransformedCall("a TorchFunctionMode sees the plain loop of backend='reference'")
        if torch.device(mode.device).type != device:
            raise UnsupportedStep(
                f"the compiled loop runs on {memory.named(device)}, but tensors are made on "
                f"{mode.device} by default; it runs with backend='reference'"
            )


_warned: set[str] = set()


def _warn_once(step: reference.Step, reason: str) -> None:
    text = f"elman.scan runs {name_of(step)} as a plain Python loop: {reason}"
    if text not in _warned:
        _warned.add(text)
        warn(text)

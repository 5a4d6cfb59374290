"""Compiled steps, kept for as long as the step and the kinds of its arguments stay the same.

Neither the number of rows nor that of time steps is part of the key: a changed batch or length
costs nothing.
"""

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elman.engine.arguments import Arguments
from elman.engine.compiled import CompiledStep
from elman.engine.fingerprint import NotCacheable, fingerprint
from elman.engine.garbage import no_collections
from elman.engine.plan import plan
from elman.engine.program import Kernel, RowProgram
from elman.engine.reference import Step
from elman.engine.rows import require_independent_rows
from elman.engine.trace import trace
from elman.errors import UnsupportedStep

_LIMIT = 256

CompileProgram = Callable[[RowProgram], Kernel]


@dataclass
class _Entry:
    """compiled: or why there is none. closed: which of the step's tensors it closes over."""

    compiled: CompiledStep | UnsupportedStep
    closed: list[int]


_entries: OrderedDict[Any, _Entry] = OrderedDict()
_lock = threading.RLock()


def compiled_step(
    step: Step, arguments: Arguments, compile_program: CompileProgram
) -> tuple[CompiledStep, list[Tensor]]:
    """The compiled step for these arguments, and the tensors that the step closes over now.

    Raises:
        UnsupportedStep: the step can't be compiled.
        StepError: it broke its contract.
    """
    try:
        key, tensors = fingerprint(step)
    except NotCacheable as error:
        _warn_once(step, str(error))
        compiled = _compile(step, arguments, _wants_gradients(arguments, None), compile_program)
        return compiled, compiled.plan.trace.closed
    with_gradients = _wants_gradients(arguments, tensors)
    whole_key = (key, _key_of(arguments), with_gradients, torch.get_default_dtype())
    entry = _entries.get(whole_key)
    if entry is None:
        with _lock:
            entry = _new_entry(step, arguments, with_gradients, compile_program, tensors)
            if entry.closed is not None:
                _entries[whole_key] = entry
                while len(_entries) > _LIMIT:
                    _entries.popitem(last=False)
    if isinstance(entry.compiled, UnsupportedStep):
        raise entry.compiled
    return entry.compiled, [tensors[index] for index in entry.closed]


def _new_entry(
    step: Step, arguments: Arguments, with_gradients: bool, compile_program: CompileProgram,
    tensors: list[Tensor],
) -> _Entry:  # fmt: skip
    try:
        compiled = _compile(step, arguments, with_gradients, compile_program)
    except UnsupportedStep as error:
        return _Entry(error, [])
    index = {id(tensor): number for number, tensor in enumerate(tensors)}
    closed = [index.get(id(tensor)) for tensor in compiled.plan.trace.closed]
    if any(number is None for number in closed):
        raise UnsupportedStep(
            "the step uses a tensor that it makes or finds in a way that can't be followed; "
            "pass it as state, or make it an attribute of the module"
        )
    compiled.plan.trace.closed = []  # the cache must not keep a model's weights alive
    return _Entry(compiled, [number for number in closed if number is not None])


def _compile(
    step: Step, arguments: Arguments, with_gradients: bool, compile_program: CompileProgram
) -> CompiledStep:
    with no_collections():
        traced = trace(step, arguments, with_gradients)
        dtype = next(
            (leaf.dtype for leaf in arguments.state if leaf.is_floating_point()),
            torch.get_default_dtype(),
        )
        try:
            require_independent_rows(traced)
            planned = plan(traced, dtype, with_gradients)
        except UnsupportedStep:
            raise
        except Exception as error:  # a fault of ours must not cost the user a run
            raise UnsupportedStep(
                f"elman failed to compile the step ({type(error).__name__}: {error}); please "
                f"report it; it runs with backend='reference'"
            ) from error
        return CompiledStep(planned, compile_program)


_warned: set[str] = set()


def _warn_once(step: Step, kind: str) -> None:
    name = getattr(step, "__qualname__", type(step).__qualname__)
    text = (
        f"elman.scan compiles {name} anew at every call, because it can reach an object ({kind}) "
        f"whose changes can't be seen; keep that out of the step's reach"
    )
    if text not in _warned:
        _warned.add(text)
        warnings.warn(text, stacklevel=6)


def _wants_gradients(arguments: Arguments, tensors: list[Tensor] | None) -> bool:
    if not torch.is_grad_enabled():
        return False
    given = [*arguments.inputs, *arguments.state, *(arguments.reset_state or ()), *(tensors or ())]
    return tensors is None or any(tensor.requires_grad for tensor in given)


def _key_of(arguments: Arguments) -> tuple:
    inputs = tuple((x.dtype, x.shape[2:], x.requires_grad) for x in arguments.inputs)
    state = tuple((x.dtype, x.shape[1:]) for x in arguments.state)
    return inputs, arguments.input_structure, state, arguments.state_structure

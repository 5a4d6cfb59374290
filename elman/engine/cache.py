"""Compiled steps, kept for as long as the step and the kinds of its arguments stay the same.

Neither the number of rows nor that of time steps is part of the key: a changed batch or length
costs nothing.
"""

import threading
import warnings
import weakref
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from elman.engine.arguments import Arguments
from elman.engine.compiled import CompiledStep, failure
from elman.engine.fingerprint import Fingerprint, NotCacheable, fingerprint
from elman.engine.garbage import no_collections
from elman.engine.plan import plan
from elman.engine.reference import Step
from elman.engine.rehearsal import require_enough_rows
from elman.engine.rows import require_independent_rows
from elman.engine.runners import CompileProgram
from elman.engine.trace import trace
from elman.errors import UnsupportedStep

_LIMIT = 256
_LIMIT_LATEST = 16


@dataclass
class _Entry:
    """compiled: or why there is none, in words: an exception would hold on to all that was at hand
    when it was raised. closed: which of the step's tensors it closes over."""

    compiled: CompiledStep | str
    closed: list[int]


_entries: OrderedDict[Any, _Entry] = OrderedDict()
_latest: dict[int, tuple[weakref.ref, Fingerprint]] = {}  # by the id of the step
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
        found = _fingerprint(step)
    except NotCacheable as error:
        compiled = _compile(step, arguments, torch.is_grad_enabled(), compile_program)
        _warn_once(step, str(error))
        require_enough_rows(compiled.plan.trace.one_row, arguments.rows)
        return compiled, compiled.plan.trace.closed
    tensors = found.tensors
    with_gradients = torch.is_grad_enabled() and (
        found.wants_gradients or arguments.want_gradients()
    )
    key = (found.key, arguments.kind(), with_gradients, *_modes())
    entry = _entries.get(key)
    if entry is None:
        with _lock:
            entry = _new_entry(step, arguments, with_gradients, compile_program, tensors)
            _entries[key] = entry
            while len(_entries) > _LIMIT:
                _entries.popitem(last=False)
    if isinstance(entry.compiled, str):
        raise UnsupportedStep(entry.compiled)
    require_enough_rows(entry.compiled.plan.trace.one_row, arguments.rows)
    return entry.compiled, [tensors[index] for index in entry.closed]


def _modes() -> tuple:
    """What else a step can ask for that depends on the call."""
    return torch.is_grad_enabled(), torch.get_default_dtype()


def _fingerprint(step: Step) -> Fingerprint:
    """The step's fingerprint: the last one, while nothing that it has seen has changed."""
    number = id(step)
    known = _latest.get(number)
    if known is not None and known[0]() is step and known[1].watch.holds(step):
        return known[1]
    found = fingerprint(step)
    if found.watch.is_safe:
        # By weak reference and never by equality: two equal steps have each their own weights.
        # Bound now: when the interpreter ends, a module's names are gone before its objects.
        forget = partial(_latest.pop, number)
        with suppress(TypeError):  # some objects have none
            gone = weakref.ref(step, forget)
            with _lock:
                _latest[number] = (gone, found)
                while len(_latest) > _LIMIT_LATEST:
                    _latest.pop(next(iter(_latest)), None)
    return found


def _new_entry(
    step: Step, arguments: Arguments, with_gradients: bool, compile_program: CompileProgram,
    tensors: list[Tensor],
) -> _Entry:  # fmt: skip
    try:
        compiled = _compile(step, arguments, with_gradients, compile_program)
    except UnsupportedStep as error:
        return _Entry(str(error), [])
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
            raise failure(error) from error
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

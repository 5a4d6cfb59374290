"""Compiled steps, kept for as long as the step and the kinds of its arguments stay the same.

Neither the number of rows nor that of time steps is part of the key: a changed batch or length
costs nothing. Floats that change from call to call cost one compilation more; then they are
arguments of the loop.
"""

import os
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from elman.engine.arguments import Arguments
from elman.engine.faults import failure
from elman.engine.graph.rehearsal import require_enough_rows
from elman.engine.graph.rows import require_independent_rows
from elman.engine.graph.trace import Trace, trace
from elman.engine.machine import Machine
from elman.engine.plan.passes import plan
from elman.engine.program.row_program import Types
from elman.engine.reference import Step
from elman.engine.run.compiled import CompiledStep
from elman.engine.run.family import Entry, Family, NoStandIn, Refusal, standing_in
from elman.engine.run.garbage import no_collections
from elman.engine.run.runners import Site
from elman.engine.run.series import series_of
from elman.engine.run.store import Store
from elman.engine.source import warn
from elman.engine.step.fingerprint import Fingerprint, fingerprint
from elman.engine.step.kinds import NotCacheable
from elman.engine.step.varying import Record
from elman.errors import StepError, UnsupportedStep

_LIMIT = 256
_LIMIT_BYTES = 1 << 28
_LIMIT_LATEST = 16

_entries: Store[Family] = Store(_LIMIT, _LIMIT_BYTES)
_latest: dict[int, tuple[weakref.ref[Any], Fingerprint]] = {}  # by the id of the step
_compiling = threading.RLock()  # a step may itself scan
_remembering = threading.Lock()


def compiled_step(
    step: Step, arguments: Arguments, machine: Machine
) -> tuple[CompiledStep, list[Tensor]]:
    """The compiled step for these arguments, and the tensors, of any shape, that the step closes
    over now.

    Raises:
        UnsupportedStep: the step can't be compiled.
        StepError: it broke its contract.
    """
    try:
        found = _fingerprint(step)
    except NotCacheable as error:
        return _compiled_for_this_call(step, arguments, machine, str(error))
    with_gradients = torch.is_grad_enabled() and (
        found.wants_gradients or arguments.want_gradients()
    )
    kind = (machine.name, arguments.kind(), with_gradients, *_modes())
    served: _Served | None = found.served
    compiled = served.compiled() if served is not None and served.kind == kind else None
    if compiled is None or served is None:
        served, compiled = _looked_up(step, arguments, found, kind, machine)
        found.served = served
    if compiled.plan.trace.one_row is not None:
        require_enough_rows(compiled.plan.trace.one_row, arguments.rows)
    return compiled, served.closed


class _Served(NamedTuple):
    """A compiled step for one kind of arguments, and what the step closes over."""

    kind: tuple[Any, ...]
    compiled: Callable[[], CompiledStep | None]  # weak: the store alone keeps it
    closed: list[Tensor]


def _looked_up(
    step: Step, arguments: Arguments, found: Fingerprint, kind: tuple[Any, ...], machine: Machine
) -> tuple[_Served, CompiledStep]:
    family = _entries.get((found.key, kind))
    entry = family.find(found) if family is not None else None
    if entry is None:
        with_gradients = kind[2]
        compiler = _Compiler(step, arguments, with_gradients, machine)
        entry = _new_entry(compiler, found, kind)
    if isinstance(entry.compiled, Refusal):
        raise entry.compiled.kind(entry.compiled.text)
    return _Served(kind, weakref.ref(entry.compiled), entry.closed_over(found)), entry.compiled


def _modes() -> tuple[Any, ...]:
    """What else a step can ask for that depends on the call."""
    return torch.is_grad_enabled(), torch.get_default_dtype()


def _fingerprint(step: Step) -> Fingerprint:
    """The step's fingerprint: the last one, while nothing but floats has changed that it has
    seen."""
    number = id(step)
    known = _latest.get(number)
    if known is not None and known[0]() is step:
        latest = known[1]
        found = latest.now(step)
        if found is latest:
            return latest
        if found is not None:
            with _remembering:
                _latest[number] = (known[0], found)
            return found
    found = fingerprint(step)
    if found.watch.is_safe:
        # By weak reference and never by equality: two equal steps have each their own weights.
        # Bound now: when the interpreter ends, a module's names are gone before its objects.
        forget = partial(_latest.pop, number)
        with suppress(TypeError):  # some objects have none
            gone = weakref.ref(step, forget)
            with _remembering:
                _latest[number] = (gone, found)
                while len(_latest) > _LIMIT_LATEST:
                    _latest.pop(next(iter(_latest)), None)
    return found


class _Compiler:
    """Compiles one step for one kind of arguments."""

    def __init__(
        self, step: Step, arguments: Arguments, with_gradients: bool, machine: Machine
    ) -> None:
        self.step = step
        self._arguments = arguments
        self._with_gradients = with_gradients
        self._machine = machine

    def compile(self, prepared: AbstractContextManager[Any] | None = None) -> CompiledStep:
        """prepared: what the step has to be run in."""
        with no_collections():
            with prepared or nullcontext():
                traced = trace(self.step, self._arguments, self._with_gradients)
            return self._planned(traced)

    def _planned(self, traced: Trace) -> CompiledStep:
        floats = (leaf.dtype for leaf in self._arguments.state if leaf.is_floating_point())
        stored = next(floats, torch.get_default_dtype())
        computed = self._machine.computes_in(stored)
        if computed is None:  # a state without floats says nothing of the default type
            raise UnsupportedStep(
                f"the compiled loop can't compute in {stored}, the default type; "
                f"it runs with backend='reference'"
            )
        try:
            require_independent_rows(traced)
            types = Types(stored, computed)
            planned = plan(traced, types, self._with_gradients, self._machine.limits)
        except UnsupportedStep:
            raise
        except Exception as error:  # a fault of ours must not cost the user a run
            raise failure(error) from error
        return CompiledStep(planned, Site(self._machine, self._arguments.device))

    def entry(self, found: Fingerprint, numbers: list[int]) -> Entry:
        """numbers: of the floats that are to be arguments."""
        record = Record(found.floats) if numbers else None
        prepared = None if record is None else standing_in(found.places, numbers, record)
        try:
            compiled = self.compile(prepared)
            closed, varying = _followed(compiled.plan.trace.closed, found, record)
            compiled.plan.trace.closed = []  # the cache must not keep a model's weights alive
            entry = Entry(compiled, closed, varying, record)
        except (UnsupportedStep, StepError) as error:
            entry = Entry(Refusal(type(error), str(error)), record=record)
        if record is not None:
            record.arguments.clear()
            entry.fixed = {n: f for n, f in enumerate(found.floats) if n not in numbers}
        return entry


def _followed(
    closed: list[Tensor], found: Fingerprint, record: Record | None
) -> tuple[list[int], list[tuple[int, Any]]]:
    """Which of the step's tensors those that it closes over are; and which are numbers."""
    index = {id(tensor): number for number, tensor in enumerate(found.tensors)}
    arguments = record.arguments if record is not None else {}
    tensors, numbers = [], []
    for position, tensor in enumerate(closed):
        if id(tensor) in arguments:
            numbers.append((position, arguments[id(tensor)][1]))
        elif id(tensor) in index:
            tensors.append(index[id(tensor)])
        else:
            raise UnsupportedStep(
                "the step uses a tensor that it makes or finds in a way that can't be followed; "
                "pass it as state, or make it an attribute of the module"
            )
    return tensors, numbers


def _new_entry(compiler: _Compiler, found: Fingerprint, kind: Any) -> Entry:
    series = series_of(compiler.step, kind)
    refusal = series.count_down(compiler.step, found.key.parts)
    if refusal is not None:
        return Entry(refusal)
    with _compiling:
        family = _entries.get((found.key, kind)) or Family()
        entry = family.find(found)  # another thread may have been at it
        if entry is not None:
            return entry
        entry = _compiled_anew(compiler, family, found)
        family.add(entry, found)
        _entries.put((found.key, kind), family)
    refusal = entry.compiled if isinstance(entry.compiled, Refusal) else None
    series.add(compiler.step, found.key.parts, found.floats, refusal)
    return entry


def _compiled_anew(compiler: _Compiler, family: Family, found: Fingerprint) -> Entry:
    """With floats as constants, which is fastest; or as arguments, once they have changed."""
    family.note_changes(found)
    numbers = family.varying(found)
    if not numbers:
        return compiler.entry(found, [])
    try:
        general = compiler.entry(found, numbers)
    except NoStandIn:
        family.keep_constant(numbers)
        return compiler.entry(found, [])
    if isinstance(general.compiled, Refusal):
        exact = compiler.entry(found, [])
        if not isinstance(exact.compiled, Refusal):
            family.keep_constant(numbers)
            return exact
    return general


def _compiled_for_this_call(
    step: Step, arguments: Arguments, machine: Machine, kind: str
) -> tuple[CompiledStep, list[Tensor]]:
    """Of a step whose changes can't be seen."""
    series = series_of(step, arguments.kind())
    refusal = series.count_down(step, ())
    if refusal is not None:
        raise refusal.kind(refusal.text)
    compiler = _Compiler(step, arguments, torch.is_grad_enabled(), machine)
    try:
        with _compiling:
            compiled = compiler.compile()
    except (UnsupportedStep, StepError) as error:
        series.add(step, (), [], Refusal(type(error), str(error)))
        raise
    _warn_once(step, kind)
    require_enough_rows(compiled.plan.trace.one_row, arguments.rows)
    return compiled, compiled.plan.trace.closed


_warned: set[str] = set()


def _warn_once(step: Step, kind: str) -> None:
    name = getattr(step, "__qualname__", type(step).__qualname__)
    text = (
        f"elman.scan compiles {name} anew at every call, because it can reach an object ({kind}) "
        f"whose changes can't be seen; keep that out of the step's reach"
    )
    if text not in _warned:
        _warned.add(text)
        warn(text)


def _after_fork() -> None:
    """Another thread may have been compiling, and will never be done in this process."""
    global _compiling, _remembering
    _compiling, _remembering = threading.RLock(), threading.Lock()
    _entries.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

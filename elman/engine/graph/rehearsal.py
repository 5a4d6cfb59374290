"""A step run on fake tensors of one row before it is traced.

A trace shows one run of a step, for any number of rows. That this is what the step does every time,
and for a single row as well, is seen by doing it twice.
"""

import gc
import weakref
from contextlib import AbstractContextManager, nullcontext
from types import CellType
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from elman.engine.arguments import Arguments
from elman.engine.graph import untraceable
from elman.engine.graph.recording import Recording, difference
from elman.engine.reference import Step, check_state_unchanged
from elman.engine.step.outside import ADVICE, Outside
from elman.engine.step.snapshot import Snapshot
from elman.errors import StepError, UnsupportedStep
from elman.nest import Structure, flatten


class Rehearsal:
    """one_row: what the step does in another way if there is but one row, or None.

    Raises:
        UnsupportedStep: the step does what a compiled loop would do only once.
    """

    def __init__(
        self, step: Step, arguments: Arguments, with_gradients: bool, snapshot: Snapshot
    ) -> None:
        self.one_row: str | None = None
        self._step, self._arguments, self._snapshot = step, arguments, snapshot
        self._with_gradients = with_gradients
        self._rows = 1
        self._error: str | None = None
        self._refusal: str | None = None
        self._recording = self._tried(1)
        if self._recording is None:
            self._rows, alone = 2, self._error
            self._recording = self._tried(2)
            if self._recording is not None:
                self.one_row = alone

    def require_same(self, traced: Recording) -> None:
        """Raise `UnsupportedStep` unless the trace shows what the rehearsal has shown."""
        if self._recording is None:
            if self._refusal is not None:
                raise UnsupportedStep(self._refusal)
            raise UnsupportedStep(f"the step does not run every time ({self._error}), {ADVICE}")
        found = _differs(self._recording, traced, self._rows)
        if found and self._rows == 1:
            alone, found = found, _differs(self._run(2), traced, 2)
            if not found:
                self.one_row = alone
        if found:
            raise UnsupportedStep(f"the step reads what changes: {found}, {ADVICE}")

    def _tried(self, rows: int) -> Recording | None:
        """None if the step raised an error; why, the trace will say."""
        try:
            return self._run(rows)
        except UnsupportedStep:
            raise
        except Exception as error:  # noqa: BLE001 (it is the user's code)
            self._error = f"{type(error).__name__}: {str(error).strip()[:200]}".splitlines()[0]
            if untraceable.asks_for_values(error):
                self._refusal = untraceable.reason(error)
            self._snapshot.require_unchanged()
            return None

    def _run(self, rows: int) -> Recording:
        outside = Outside(place.name() for place in self._snapshot.iterators)
        a = self._arguments
        recording = Recording(self._snapshot.reaches, a.device.type, outside.paused)
        # What is saved for a backward pass that never comes would be kept for good if it were held.
        own_hooks = without_callers_hooks(weakref.ref, lambda reference: reference())
        fake = FakeTensorMode(allow_non_fake_inputs=True)
        fake.cache_enabled = False  # torch would keep an entry for each number, for good
        with fake, own_hooks:
            fakes = [
                torch.empty(
                    (rows, *leaf.shape[skip:]), dtype=leaf.dtype, device=leaf.device,
                    requires_grad=wanted and leaf.is_floating_point() and self._with_gradients,
                )
                for leaf, skip, wanted in [
                    *((leaf, 2, leaf.requires_grad) for leaf in a.inputs),
                    *((leaf, 1, True) for leaf in a.state),
                ]
            ]  # fmt: skip
            inputs, state = fakes[: len(a.inputs)], fakes[len(a.inputs) :]
            call(self._step, a, inputs, state, rows, recording, outside.refused())
        del fakes, inputs, state
        references = recording.release()
        try:
            self._snapshot.require_unchanged()
        finally:
            kept = _still_there(references)
        if kept:
            raise UnsupportedStep(f"the step keeps a tensor {kept}, {ADVICE}")
        return recording


def call(
    step: Step, a: Arguments, inputs: list[Tensor], state: list[Tensor], rows: Any,
    recording: Recording, during: AbstractContextManager[Any],
) -> tuple[list[Tensor], Structure, list[Tensor]]:  # fmt: skip
    """Leaves `(B, ...)` of the output, its structure, and leaves `(B, ...)` of the next state;
    checked as the plain loop does.

    inputs, state: leaves `(B, ...)` of one time step. rows: their number B, or a symbol of it.
    during: entered around the step.
    """
    recording.begin(inputs, state)
    with recording, during:
        result = step(a.input_nest(inputs), a.state_nest(state))
    recording.require_untouched()
    if not isinstance(result, tuple) or len(result) != 2:
        raise StepError("a step must return the pair (output, state)")
    following, structure = flatten(result[1], "the next state")
    if structure != a.state_structure:
        raise StepError("a step must return a state built like the one it was given")
    check_state_unchanged(a, state, following)
    output, structure = flatten(result[0], "output")
    for leaf in output:
        if leaf.dim() < 1 or leaf.shape[0] != rows:
            raise StepError("every output of a step must have one entry for each row first")
    recording.end([*output, *following])
    return output, structure, following


def without_callers_hooks(pack: Any, unpack: Any) -> AbstractContextManager[Any]:
    """In place of the caller's hooks on saved tensors, such as those of torch.utils.checkpoint."""
    if torch._C._autograd._top_saved_tensors_default_hooks(True) is None:
        return nullcontext()
    return torch.autograd.graph.saved_tensors_hooks(pack, unpack)


def require_enough_rows(one_row: str | None, rows: int) -> None:
    """Raise `UnsupportedStep` if there is a single row, for which the step does what was not
    compiled."""
    if one_row is not None and rows == 1:
        raise UnsupportedStep(
            f"the step does something else for a single row ({one_row}); "
            f"that runs with backend='reference'"
        )


def _differs(first: Recording, traced: Recording, rows: int) -> str:
    def in_numbers(value: Any) -> Any:
        if not isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
            return value
        expression = value.node.expr
        kind = {torch.SymInt: int, torch.SymFloat: float, torch.SymBool: bool}[type(value)]
        return kind(expression.subs(dict.fromkeys(expression.free_symbols, rows)))

    return difference(first.calls, traced.calls, in_numbers)


def _still_there(references: list[weakref.ref[Any]]) -> str:
    """Where tensors of the rehearsal were kept, and are no more; empty if nowhere."""
    if all(reference() is None for reference in references):
        return ""
    gc.collect(0)  # nothing older can hold on to them in a circle
    fakes = [fake for fake in (reference() for reference in references) if fake is not None]
    if not fakes:
        return ""
    kinds = []
    for holder in gc.get_referrers(*fakes):
        if holder is not fakes:
            kinds += _forget(holder, {id(fake) for fake in fakes})
    return f"in a {kinds[0]} that it finds" if kinds else "where it can't be found"


def _forget(holder: Any, gone: set[int]) -> list[str]:
    """Take tensors out of a container or an object that holds them."""
    kind = type(holder)
    if kind is list or kind.__name__ == "deque":
        kept = [value for value in holder if id(value) not in gone]
        holder.clear()
        holder.extend(kept)
    elif isinstance(holder, set):
        holder -= {value for value in holder if id(value) in gone}
    elif isinstance(holder, CellType):
        del holder.cell_contents
    else:
        names = holder if isinstance(holder, dict) else getattr(holder, "__dict__", None)
        if names is None:
            return []
        for name in [name for name, value in names.items() if id(value) in gone]:
            del names[name]
    return [kind.__name__]

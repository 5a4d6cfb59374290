"""`explanation`: what `scan` makes of a step, in words and formulas."""

import inspect
import textwrap
from typing import Any

import torch
from torch import Tensor, fx, nn

from elman.engine import reference
from elman.engine.arguments import Arguments, check
from elman.engine.backends import machine_for, require_plain_call
from elman.engine.constants import StepWithConstants
from elman.engine.explain import formulas
from elman.engine.plan.one_pass import Pass
from elman.engine.plan.parts import Loop
from elman.engine.plan.passes import Plan
from elman.engine.program.stages import stages_of
from elman.engine.run.cache import compiled_step
from elman.errors import UnsupportedStep
from elman.nest import Nest, paths

_WIDE = 92


def explanation(
    step: reference.Step, input: Nest, state: Nest, constants: Nest | None = None
) -> str:
    """What `scan(step, input, state)` would run; see `elman.explain`."""
    arguments = check(input, state, None, None, None, False, None, constants)
    if constants is not None:
        step = StepWithConstants(step)
    name = getattr(step, "__qualname__", type(step).__qualname__)
    try:
        machine = machine_for(arguments)
        require_plain_call(machine, arguments)
        compiled, closed = compiled_step(step, arguments, machine)
    except UnsupportedStep as error:
        return f"{name} as a plain Python loop (backend 'reference')\n\n  because: {error}\n"
    return _Text(step, name, arguments, compiled.plan, closed).text()


class _Text:
    def __init__(
        self, step: Any, name: str, arguments: Arguments, plan: Plan, closed: list[Tensor]
    ) -> None:
        self._name = name
        self._arguments = arguments
        self._plan = plan
        self._state_names = arguments.state_paths
        self._names = formulas.Names(self._known_names(step, closed))
        self._lines: list[str] = []

    def _known_names(self, step: Any, closed: list[Tensor]) -> dict[fx.Node, str]:
        trace = self._plan.trace
        own = _names_of_tensors(step)
        known = dict(
            zip(trace.inputs, paths(self._arguments.input_structure, "input"), strict=True)
        )
        known.update(zip(trace.state, self._state_names, strict=True))
        for number, (node, tensor) in enumerate(zip(trace.closed_nodes, closed, strict=True)):
            known[node] = own.get(id(tensor), f"closed_{number}")
        outputs = paths(trace.output_structure, "output")
        for node, output in zip(trace.outputs, outputs, strict=True):
            known.setdefault(node, output)
        for group, names in ((trace.cot_outputs, outputs), (trace.cot_state, self._state_names)):
            known.update({n: f"d {text}" for n, text in zip(group, names, strict=True) if n})
        inputs = [known[node] for node in trace.inputs]
        weights = [known[node] for node in trace.closed_nodes]
        gradients: dict[fx.Node, list[str]] = {}  # one may be that of several
        found = [
            *zip(trace.d_inputs, inputs, strict=True),
            *zip(trace.d_closed, weights, strict=True),
        ]
        for result, text in found:
            if result is not None and result not in known:
                gradients.setdefault(result, []).append(f"d {text}")
        return known | {node: ", ".join(names) for node, names in gradients.items()}

    def text(self) -> str:
        plan, a = self._plan, self._arguments
        dtype = str(plan.forward.loop.program.dtype).removeprefix("torch.")
        self._add(f"{self._name} as a compiled loop over time ({dtype})", "")
        shapes = [f"input {tuple(x.shape)}" for x in a.inputs]
        shapes += [f"{n} {tuple(s.shape)}" for n, s in zip(self._state_names, a.state, strict=True)]
        self._add("  " + ", ".join(shapes), "")
        chosen = plan.forward
        if plan.joined is not None and plan.joins(a.steps, a.rows):
            chosen = plan.joined
        self._pass("forward", chosen)
        if plan.backward is None:
            self._add("  no gradients are wanted: no backward pass, nothing is saved", "")
        else:
            self._pass("backward", plan.backward)
        self._costs(chosen)
        return "\n".join(self._lines).rstrip() + "\n"

    def _add(self, *lines: str) -> None:
        self._lines += lines

    def _pass(self, direction: str, one: Pass) -> None:
        self._part(f"before the {direction} loop, all steps at once", one.before)
        self._loop(direction, one.loop)
        self._part(f"after the {direction} loop, all steps at once", one.after)

    def _part(self, title: str, part: Any) -> None:
        lines = formulas.lines_of_part(part, self._names)
        if lines:
            self._add(f"  {title}")
            self._add(*(f"    {name} = {formula}" for name, formula in lines), "")

    def _loop(self, direction: str, loop: Loop) -> None:
        text = formulas.LoopText(loop, stages_of(loop.program), self._names, self._state(direction))
        stages = text.stages()
        self._add(f"  {direction} loop")
        lengths = [len(name) + len(f) for stage in stages for name, f, _ in stage]
        width = max((length for length in lengths if length < _WIDE), default=0)
        for number, stage in enumerate(stages, start=1):
            if len(stages) > 1:
                self._add(f"   {number}.")
            for name, formula, line in stage:
                gap = " " * max(width - len(name) - len(formula), 0)
                rows = textwrap.wrap(
                    f"    {name} = {formula}", _WIDE + 8, subsequent_indent=" " * (len(name) + 7)
                )
                self._add(*rows[:-1], f"{rows[-1]}{gap}   {line}".rstrip())
        self._add("")

    def _state(self, direction: str) -> list[str]:
        if direction == "forward":
            return self._state_names
        return [f"d {name}" for name in self._state_names]

    def _costs(self, forward: Pass) -> None:
        plan, a = self._plan, self._arguments
        self._add("  cost of one row at one step")
        self._add(f"    forward    {_flops(forward)}")
        if plan.backward is not None:
            self._add(f"    backward   {_flops(plan.backward)}")
            given = {*plan.trace.outputs, *plan.states_that_are_outputs().values()}
            saved = [n for n in plan.saved if n not in given]
            size, steps = formulas.bytes_of(saved), a.steps * a.rows
            names = ", ".join(self._names.of(node) for node in saved) or "nothing"
            self._add(f"    saved      {size:,} bytes beside the output: {names}")
            self._add(f"  saved in all at {a.steps} steps of {a.rows} rows: {_bytes(size * steps)}")
        self._add(f"  threads: {torch.get_num_threads()}, each with its own rows")


def _flops(one: Pass) -> str:
    in_loop, elementwise = formulas.loop_flops(one.loop.program)
    outside = formulas.product_flops(one.before) + formulas.product_flops(one.after)
    text = f"{in_loop:,} FLOP in the loop's products, {elementwise:,} elementwise"
    return text + (f", {outside:,} in products outside" if outside else "")


def _bytes(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def _names_of_tensors(step: Any) -> dict[int, str]:
    """The names by which a step knows the tensors that it closes over."""
    if isinstance(step, StepWithConstants):
        step = step.step
    found: dict[int, str] = {}
    if isinstance(step, nn.Module):
        for name, tensor in [*step.named_parameters(), *step.named_buffers()]:
            found.setdefault(id(tensor), name)
        return found
    function = getattr(step, "__func__", step)
    if inspect.isfunction(function):
        scope = inspect.getclosurevars(function)
        for name, value in {**scope.globals, **scope.nonlocals}.items():
            if isinstance(value, Tensor):
                found.setdefault(id(value), name)
            elif isinstance(value, nn.Module):
                for inner, tensor in value.named_parameters():
                    found.setdefault(id(tensor), f"{name}.{inner}")
    owner = getattr(step, "__self__", None)
    return {**_names_of_tensors(owner), **found} if isinstance(owner, nn.Module) else found

"""The reference backend: a plain Python loop under autograd.

It defines what `scan` means. Every other backend is compared with it, so it stays simple.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from elman.engine.arguments import Arguments
from elman.errors import StepError
from elman.nest import Nest, Structure, flatten, rebuild

Step = Callable[[Any, Any], tuple[Any, Any]]


def run(step: Step, arguments: Arguments) -> tuple[Nest, Nest]:
    """Output (leaves `(T, B, ...)`) and final state of `step` applied at every time step."""
    kind = (arguments.state or arguments.inputs)[0].device.type
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return _run(step, arguments)
    low = torch.get_autocast_dtype(kind)
    # Autocast would let a state change its dtype from one step to the next.
    with torch.autocast(kind, enabled=False):
        try:
            return _run(step, arguments.in_dtype_of_state(low))
        except RuntimeError as error:
            if "dtype" not in str(error):
                raise
            found = ", ".join(sorted({str(leaf.dtype) for leaf in arguments.state}))
            raise StepError(
                f"a scan runs its step without autocast, in the dtype of the state, but for a "
                f"state of {found} the step raised {str(error).splitlines()[0]!r}; give a state of "
                f"the dtype of the step's parameters"
            ) from error


def _run(step: Step, arguments: Arguments) -> tuple[Nest, Nest]:
    if arguments.batch_sizes is not None:
        output, state = _run_packed(step, arguments, arguments.batch_sizes)
    else:
        output, state = _Loop(step, arguments).run()
    return output, arguments.state_nest(state)


def _run_packed(step: Step, arguments: Arguments, sizes: Tensor) -> tuple[Nest, list[Tensor]]:
    """Input that is packed already, `(N, 1, ...)`: padded to `(T, B, ...)` for the loop, its output
    packed again."""
    active, order = sizes.tolist(), arguments.order
    inputs = [
        torch.stack([_padded(part, arguments.rows) for part in leaf.squeeze(1).split(active)])
        for leaf in arguments.inputs
    ]
    lengths = [sum(size > row for size in active) for row in range(arguments.rows)]
    if order is not None:
        back = torch.argsort(order)
        inputs = [leaf.index_select(1, back) for leaf in inputs]
        lengths = [lengths[row] for row in back.tolist()]
    output, state = _Loop(step, replace(arguments, inputs=inputs, lengths=lengths)).run()
    leaves, structure = flatten(output, "output")
    if order is not None:
        leaves = [leaf.index_select(1, order) for leaf in leaves]
    again = [torch.cat([leaf[t, :rows] for t, rows in enumerate(active)]) for leaf in leaves]
    return rebuild([leaf[:, None] for leaf in again], structure), state


@dataclass
class _Loop:
    """The loop itself.

    All rows take part in every step, in their own order, so that a tensor with the batch first that
    the step closes over meets the rows that it belongs to. A row beyond its length runs aside: on
    an input and a state that the loop meets anyway, and nothing comes of it.
    """

    step: Step
    arguments: Arguments
    output_structure: Structure | None = None

    def run(self) -> tuple[Nest, list[Tensor]]:
        """Output, leaves `(T, B, ...)`, and final state, leaves `(B, ...)`."""
        arguments = self.arguments
        times = list(range(arguments.steps))
        if arguments.reverse:
            times.reverse()
        state = [leaf.clone() for leaf in arguments.state]
        lengths = arguments.lengths
        if lengths is not None and any(length < arguments.steps for length in lengths):
            outputs, state = self._ragged(times, state, lengths)
        else:
            outputs = {}
            for t in times:
                inputs, now = self._before(t, state)
                outputs[t], state = self._call(inputs, now)
        return self._stack(outputs), state

    def _ragged(
        self, times: list[int], state: list[Tensor], lengths: list[int]
    ) -> tuple[dict[int, list[Tensor]], list[Tensor]]:
        """Where rows end at their own lengths: output leaves `(B, ...)` by time step, and the final
        state, leaves `(B, ...)`."""
        inputs_aside, state_aside = self._aside(state, lengths)
        outputs = {}
        for t in times:
            flags = [length > t for length in lengths]
            if not any(flags):
                continue
            active = torch.tensor(flags, device=inputs_aside[0].device)
            inputs, now = self._before(t, state)
            inputs, now = _where(active, inputs, inputs_aside), _where(active, now, state_aside)
            output, after = self._call(inputs, now)
            state = _where(active, after, state)
            outputs[t] = _where(active, output, [torch.zeros_like(leaf) for leaf in output])
        return outputs, state

    def _aside(self, state: list[Tensor], lengths: list[int]) -> tuple[list[Tensor], list[Tensor]]:
        """Input and state, `(B, ...)` each, for rows that are over: those of the row's first step;
        for a row without any step those of another row. No gradient passes there."""
        arguments, device = self.arguments, self.arguments.inputs[0].device
        used = next((row for row, length in enumerate(lengths) if length), None)
        if used is None:
            return [], []  # no row takes part in any step
        chosen = [row if length else used for row, length in enumerate(lengths)]
        rows = torch.tensor(chosen, device=device)
        first = torch.tensor(
            [lengths[row] - 1 if arguments.reverse else 0 for row in chosen], device=device
        )
        states = [leaf.detach()[rows] for leaf in state]
        if arguments.reset is not None and arguments.reset_state is not None:
            values = [leaf.detach()[rows] for leaf in arguments.reset_state]
            states = _where(arguments.reset[first, rows], values, states)
        return [leaf.detach()[first, rows] for leaf in arguments.inputs], states

    def _before(self, t: int, state: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Input and state of step t, leaves `(B, ...)`, for the step to keep: it may change them in
        place."""
        arguments = self.arguments
        if arguments.reset is not None and arguments.reset_state is not None:
            state = _where(arguments.reset[t], arguments.reset_state, state)
        inputs = [leaf[t].clone() for leaf in arguments.inputs]
        return inputs, [leaf.clone() for leaf in state]

    def _call(self, inputs: list[Tensor], state: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Output leaves of one step, `(B, ...)`, and next state."""
        arguments, rows = self.arguments, self.arguments.rows
        result = self.step(arguments.input_nest(inputs), arguments.state_nest(state))
        if not isinstance(result, tuple) or len(result) != 2:
            raise StepError(
                f"a step must return the pair (output, state), but it returned "
                f"{type(result).__name__}; write `return y, state`"
            )
        output, self.output_structure = flatten(result[0], "output")
        after, structure = flatten(result[1], "the next state")
        if structure != arguments.state_structure:
            raise StepError(
                f"a step must return a state built like the one it was given, "
                f"{arguments.describe_state(arguments.state_structure)}, but it returned "
                f"{arguments.describe_state(structure)}; is it (output, state), in this order?"
            )
        check_state_unchanged(arguments, state, after)
        for leaf in output:
            if leaf.dim() < 1 or leaf.shape[0] != rows:
                raise StepError(
                    f"every output of a step must have one entry for each of its {rows} rows "
                    f"first, but its shape is {tuple(leaf.shape)}"
                )
        return output, after

    def _stack(self, outputs: dict[int, list[Tensor]]) -> Nest:
        """One tensor `(T, B, ...)` for every output leaf; steps without active rows are zero."""
        steps, rows = self.arguments.steps, self.arguments.rows
        if outputs:
            template = next(iter(outputs.values()))
        else:  # no step runs at all; a call on zeros still tells shapes and dtypes
            nothing = [leaf.new_zeros((rows, *leaf.shape[2:])) for leaf in self.arguments.inputs]
            template, _ = self._call(nothing, [leaf.clone() for leaf in self.arguments.state])
        missing = [leaf.new_zeros((rows, *leaf.shape[1:])) for leaf in template]
        stacked = []
        for index, like in enumerate(missing):
            column = [outputs.get(t, missing)[index] for t in range(steps)]
            stacked.append(torch.stack(column) if column else like.new_zeros((0, *like.shape)))
        assert self.output_structure is not None
        return rebuild(stacked, self.output_structure)


def check_state_unchanged(
    arguments: Arguments, before: Iterable[Tensor], after: Iterable[Tensor]
) -> None:
    """Raise `StepError` if a step changed the shape or the dtype of a state leaf."""
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        if new.shape == old.shape and new.dtype == old.dtype:
            continue
        name = arguments.state_paths[index]
        if new.shape != old.shape:
            raise StepError(
                f"a step must keep the shape of its state, but {name} went in as "
                f"{tuple(old.shape)} and came out as {tuple(new.shape)}; "
                f"start from a state of the shape that the step returns"
            )
        raise StepError(
            f"a step must keep the dtype of its state, but {name} went in as {old.dtype} "
            f"and came out as {new.dtype}; convert input, state or parameters to one dtype"
        )


def _padded(leaf: Tensor, rows: int) -> Tensor:
    """`(n, ...)` with rows of zeros at the end, `(rows, ...)`; transforms of torch.func know all
    that this is made of."""
    return torch.cat([leaf, leaf.new_zeros((rows - len(leaf), *leaf.shape[1:]))])


def _where(rows: Tensor, values: list[Tensor], others: list[Tensor]) -> list[Tensor]:
    """For each leaf `(B, ...)`: of the rows that are true those of `values`, else of `others`."""
    return [
        torch.where(rows.to(leaf.device).view(-1, *[1] * (leaf.dim() - 1)), leaf, other)
        for leaf, other in zip(values, others, strict=True)
    ]

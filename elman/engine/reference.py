"""The reference backend: a plain Python loop under autograd.

It defines what `scan` means. Every other backend is compared with it, so it stays simple.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from elman.engine.arguments import Arguments
from elman.engine.nest import Nest, Structure, describe, flatten, rebuild
from elman.errors import StepError

Step = Callable[[Any, Any], tuple[Any, Any]]


def run(step: Step, arguments: Arguments) -> tuple[Nest, Nest]:
    """Output (leaves `(T, B, ...)`) and final state of `step` applied at every time step."""
    device = (arguments.state or arguments.inputs)[0].device
    # Autocast would let a state change its dtype from one step to the next.
    with torch.autocast(device.type, enabled=False):
        if arguments.batch_sizes is not None:
            output, state = _run_packed(step, arguments, arguments.batch_sizes)
        elif arguments.lengths is None:
            output, state = _Loop(step, arguments, [arguments.rows] * arguments.steps).run()
        else:
            output, state = _run_sorted(step, arguments, arguments.lengths)
    return output, arguments.state_nest(state)


def _run_sorted(step: Step, arguments: Arguments, lengths: list[int]) -> tuple[Nest, list[Tensor]]:
    """Rows of different lengths: sorted, longest first, the active rows of a step are the first."""
    order = sorted(range(arguments.rows), key=lambda row: -lengths[row])
    there = torch.tensor(order, dtype=torch.long, device=arguments.inputs[0].device)
    back = torch.argsort(there)
    reset, reset_state = arguments.reset, arguments.reset_state
    arranged = replace(
        arguments,
        inputs=[leaf.index_select(1, there) for leaf in arguments.inputs],
        state=[leaf.index_select(0, there) for leaf in arguments.state],
        reset=None if reset is None else reset.index_select(1, there.to(reset.device)),
        reset_state=reset_state and [leaf.index_select(0, there) for leaf in reset_state],
    )
    active = [sum(length > t for length in lengths) for t in range(arguments.steps)]
    output, state = _Loop(step, arranged, active).run()
    leaves, structure = flatten(output, "output")
    unsorted = [leaf.index_select(1, back) for leaf in leaves]
    return rebuild(unsorted, structure), [leaf.index_select(0, back) for leaf in state]


def _run_packed(step: Step, arguments: Arguments, sizes: Tensor) -> tuple[Nest, list[Tensor]]:
    """Input that is packed already: padded for the loop, its output packed again."""
    active = sizes.tolist()
    padded = [
        torch.stack([_padded(part, arguments.rows) for part in leaf.squeeze(1).split(active)])
        for leaf in arguments.inputs
    ]
    output, state = _Loop(step, replace(arguments, inputs=padded), active).run()
    leaves, structure = flatten(output, "output")
    packed = [
        torch.cat([leaf[t, :rows] for t, rows in enumerate(active)])[:, None] for leaf in leaves
    ]
    return rebuild(packed, structure), state


@dataclass
class _Loop:
    """The loop itself; `active[t]` rows, the first ones, take part in step t."""

    step: Step
    arguments: Arguments
    active: list[int]
    output_structure: Structure | None = None

    def run(self) -> tuple[Nest, list[Tensor]]:
        arguments = self.arguments
        times = list(range(arguments.steps))
        if arguments.reverse:
            times.reverse()
        state = arguments.state
        outputs: dict[int, list[Tensor]] = {}
        for t in times:
            if self.active[t] > 0:
                outputs[t], state = self._one_step(t, state)
        return self._stack(outputs), state

    def _one_step(self, t: int, state: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Output leaves of step t, `(B, ...)` with zeros for rows that are over, and next state."""
        arguments, rows = self.arguments, self.active[t]
        now = [leaf[:rows] for leaf in state]
        if arguments.reset is not None and arguments.reset_state is not None:
            now = _where_reset(arguments.reset[t, :rows], arguments.reset_state, now)
        inputs = [leaf[t, :rows] for leaf in arguments.inputs]
        output, after = self._call(inputs, now, rows)
        if rows < arguments.rows:
            after = [torch.cat([new, old[rows:]]) for new, old in zip(after, state, strict=True)]
            output = [_padded(leaf, arguments.rows) for leaf in output]
        return output, after

    def _call(
        self, inputs: list[Tensor], state: list[Tensor], rows: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        arguments = self.arguments
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
                f"{describe(arguments.state_structure)}, but it returned {describe(structure)}; "
                f"is it (output, state), in this order?"
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
        else:  # no step runs at all; a call with no rows still tells shapes and dtypes
            nothing = [leaf.new_empty((0, *leaf.shape[2:])) for leaf in self.arguments.inputs]
            template, _ = self._call(nothing, [leaf[:0] for leaf in self.arguments.state], 0)
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
    """With rows of zeros at the end; transforms of torch.func know all that this is made of."""
    return torch.cat([leaf, leaf.new_zeros((rows - len(leaf), *leaf.shape[1:]))])


def _where_reset(mask: Tensor, values: list[Tensor], state: list[Tensor]) -> list[Tensor]:
    return [
        torch.where(
            mask.to(leaf.device).view(-1, *[1] * (leaf.dim() - 1)), value[: len(leaf)], leaf
        )
        for value, leaf in zip(values, state, strict=True)
    ]

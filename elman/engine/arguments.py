"""What a scan was asked to do, checked once so that every backend can rely on it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.errors import ArgumentError, ShapeError
from elman.nest import Nest, Structure, describe, flatten, paths, rebuild

_FLAGS = (bool, np.bool_)  # to make a union of them takes longer than to ask


@dataclass(slots=True, eq=False)
class Arguments:
    """Checked arguments of one call of `scan`, nests already taken apart. Nobody changes them.

    inputs:      leaves `(T, B, ...)`; structure of the nest in `input_structure`.
    state:       leaves `(B, ...)`; structure in `state_structure`.
    has_constants: the state is the pair (state, constants) of `elman.engine.constants`.
    lengths:     one integer a row, each within 0..T, or None when every row is T steps long.
    reset:       `(T, B)` bool or None; `reset_state`: leaves like `state` (zeros were filled in).
    batch_sizes: `(T,)` rows that are active in each step, if the input was packed already: its
                 leaves are then `(N, 1, ...)`, N (time, row) pairs, rows sorted by length.
    order:       the row of the batch that each row of a packed input is; None if it is the same.
    """

    inputs: list[Tensor]
    input_structure: Structure
    state: list[Tensor]
    state_structure: Structure
    steps: int
    rows: int
    lengths: list[int] | None
    reset: Tensor | None
    reset_state: list[Tensor] | None
    reverse: bool
    checkpoint: int | None
    batch_sizes: Tensor | None = None
    order: Tensor | None = None
    has_constants: bool = False

    @property
    def state_paths(self) -> list[str]:
        """Readable names of the state's leaves."""
        if not self.has_constants:
            return paths(self.state_structure, "state")
        return [
            ("state" if name.startswith("state[0]") else "constants") + name[len("state[0]") :]
            for name in paths(self.state_structure, "state")
        ]

    def describe_state(self, structure: Structure) -> str:
        """How a step's state, or the object in its place, is built."""
        return describe(structure.children()[0] if self.has_constants else structure)

    def want_gradients(self) -> bool:
        leaves = (*self.inputs, *self.state, *(self.reset_state or ()))
        return any(leaf.requires_grad for leaf in leaves)

    def in_dtype_of_state(self, low: torch.dtype) -> "Arguments":
        """With inputs of the dtype `low`, as autocast makes them, in the wider one of the state."""
        wide = next((leaf.dtype for leaf in self.state if leaf.is_floating_point()), low)
        if low.itemsize >= wide.itemsize:
            return self
        inputs = [leaf.to(wide) if leaf.dtype == low else leaf for leaf in self.inputs]
        return replace(self, inputs=inputs)

    @property
    def device(self) -> torch.device:
        """That of the first leaf; a machine refuses a call whose tensors are elsewhere."""
        return (self.state or self.inputs)[0].device

    def kind(self) -> tuple[Any, ...]:
        """What a trace bakes in of them: all but values and the numbers of steps and rows; and the
        device."""
        inputs = tuple([(x.dtype, x.shape[2:], x.requires_grad) for x in self.inputs])
        state = tuple([(x.dtype, x.shape[1:]) for x in self.state])
        return inputs, self.input_structure, state, self.state_structure, self.device

    def input_nest(self, leaves: list[Tensor]) -> Nest:
        """The input as the user built it, of leaves `(T, B, ...)`, or `(B, ...)` for one step."""
        return rebuild(leaves, self.input_structure)

    def state_nest(self, leaves: list[Tensor]) -> Nest:
        """A state as the user built it, of leaves `(B, ...)`."""
        return rebuild(leaves, self.state_structure)


def check(
    input: Nest,
    state: Nest,
    lengths: Tensor | Sequence[int] | None,
    reset: Tensor | None,
    reset_state: Nest | None,
    reverse: bool,
    checkpoint: int | None,
    constants: Nest | None = None,
) -> Arguments:
    """Arguments for a backend, or an error that says which of them does not fit and why.

    Leaves of input are `(T, B, ...)`, those of state, constants and reset_state `(B, ...)`;
    lengths: `(B,)`; reset: `(T, B)`.
    """
    if not isinstance(reverse, _FLAGS):
        raise ArgumentError(f"reverse must be True or False, got {reverse!r:.60}")
    inputs, input_structure = flatten(input, "input")
    steps, rows = _leading_sizes(inputs, input_structure)
    leaves, state_structure = flatten_state(state, constants, rows)
    if checkpoint is not None:
        _require_count(checkpoint)
    return Arguments(
        inputs=inputs,
        input_structure=input_structure,
        state=leaves,
        state_structure=state_structure,
        steps=steps,
        rows=rows,
        lengths=_lengths(lengths, steps, rows),
        reset=_reset(reset, steps, rows),
        reset_state=_reset_state(reset, reset_state, state, constants),
        reverse=bool(reverse),  # numpy's, too
        checkpoint=checkpoint,
        has_constants=constants is not None,
    )


def _require_count(checkpoint: Any) -> None:
    is_count = isinstance(checkpoint, Integral) and not isinstance(checkpoint, bool)
    if not (is_count and checkpoint >= 1):
        raise ArgumentError(f"checkpoint must be a number of steps >= 1, got {checkpoint!r}")


def flatten_state(state: Nest, constants: Nest | None, rows: int) -> tuple[list[Tensor], Structure]:
    """Leaves `(B, ...)` of the state, and of the constants that it carries along; their structure.

    Raises:
        ShapeError: a leaf without one entry for every row.
    """
    leaves, structure = flatten(state, "state")
    _require_rows(leaves, structure, "state", rows)
    if constants is None:
        return leaves, structure
    more, its_structure = flatten(constants, "constants")
    _require_rows(more, its_structure, "constants", rows)
    return flatten((state, constants), "state")


def _require_rows(leaves: list[Tensor], structure: Structure, what: str, rows: int) -> None:
    """Raise `ShapeError` unless every leaf is `(B, ...)`."""
    for index, leaf in enumerate(leaves):
        if leaf.dim() < 1 or leaf.shape[0] != rows:
            raise ShapeError(
                f"{paths(structure, what)[index]} must have the batch of {rows} rows "
                f"first, as input (T, B, ...) has it, "
                f"but its shape is {_shape(leaf)}; give one entry for every row"
            )


def _leading_sizes(inputs: list[Tensor], structure: Structure) -> tuple[int, int]:
    """T and B, which all leaves `(T, B, ...)` share."""
    if not inputs:
        raise ShapeError(
            "input holds no tensor, so the number of steps is unknown; "
            "pass at least one tensor of shape (T, B, ...)"
        )
    for index, leaf in enumerate(inputs):
        if leaf.dim() < 2:
            raise ShapeError(
                f"{paths(structure, 'input')[index]} must have shape (T, B, ...), time first and "
                f"then the batch, "
                f"but its shape is {_shape(leaf)}; add the missing dimension with unsqueeze"
            )
        if index > 0 and leaf.shape[:2] != inputs[0].shape[:2]:
            names = paths(structure, "input")
            raise ShapeError(
                f"all inputs must share their first two sizes (T, B), but {names[0]} has "
                f"{_shape(inputs[0])} and {names[index]} has {_shape(leaf)}"
            )
    steps, rows = inputs[0].shape[:2]
    return steps, rows


def _lengths(lengths: Tensor | Sequence[int] | None, steps: int, rows: int) -> list[int] | None:
    """`(B,)` lengths as integers, or None."""
    if lengths is None:
        return None
    # A list goes to the CPU, whatever the default device; only a tensor has one of its own.
    try:
        tensor = lengths if isinstance(lengths, Tensor) else torch.as_tensor(lengths, device="cpu")
    except (TypeError, ValueError, RuntimeError) as error:
        raise ArgumentError(
            f"lengths must be {rows} integers, one for every row, got {lengths!r:.60}"
        ) from error
    if tensor.is_meta:
        raise ArgumentError("lengths must be numbers, but a tensor on meta has none; pass a list")
    integers = not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)
    if tensor.shape != (rows,) or not (integers or rows == 0):
        raise ShapeError(
            f"lengths must be {rows} integers, one for every row, "
            f"but got shape {_shape(tensor)} of {tensor.dtype}"
        )
    values = [int(value) for value in tensor.tolist()]
    for row, value in enumerate(values):
        if not 0 <= value <= steps:
            raise ArgumentError(
                f"lengths must lie between 0 and the {steps} steps of input, "
                f"but lengths[{row}] is {value}"
            )
    return values


def _reset(reset: Tensor | None, steps: int, rows: int) -> Tensor | None:
    """The mask `(T, B)`, or None."""
    if reset is None:
        return None
    if not isinstance(reset, Tensor) or reset.dtype != torch.bool or reset.shape != (steps, rows):
        got = f"{_shape(reset)} of {reset.dtype}" if isinstance(reset, Tensor) else repr(reset)
        raise ShapeError(
            f"reset must be a bool tensor of shape (T, B) = ({steps}, {rows}), but got {got}"
        )
    return reset


def _reset_state(
    reset: Tensor | None, reset_state: Nest | None, state: Nest, constants: Nest | None
) -> list[Tensor] | None:
    """Leaves `(B, ...)`, zeros if none were given; constants stay what they are."""
    if reset is None:
        if reset_state is not None:
            raise ArgumentError(
                "reset_state says what the state becomes at a reset, but reset is None; "
                "pass reset, a bool tensor of shape (T, B)"
            )
        return None
    own, structure = flatten(state, "state")
    kept = flatten(constants, "constants")[0] if constants is not None else []
    if reset_state is None:
        return [*(torch.zeros_like(leaf) for leaf in own), *kept]
    leaves, given = flatten(reset_state, "reset_state")
    if given != structure:
        raise ShapeError(
            f"reset_state must be built as state is, {describe(structure)}, "
            f"but it is {describe(given)}"
        )
    for index, (leaf, like) in enumerate(zip(leaves, own, strict=True)):
        if leaf.shape != like.shape or leaf.dtype != like.dtype:
            name = paths(structure, "state")[index]
            raise ShapeError(
                f"reset_{name} must be like {name}, shape {_shape(like)} of {like.dtype}, "
                f"but it is {_shape(leaf)} of {leaf.dtype}"
            )
    return [*leaves, *kept]


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))

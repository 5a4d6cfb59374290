"""torch.nn's packed sequences: rows of different lengths without padding.

Their layout is the one that the compiled loop works in, so nothing is copied.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from elman.engine.arguments import Arguments, flatten_state
from elman.errors import ArgumentError, ShapeError
from elman.nest import Nest, apply, flatten

Run = Callable[[Any, Arguments], tuple[Nest, Nest]]


def run_packed(
    run: Run, step: Any, input: PackedSequence, state: Nest, constants: Nest | None, reverse: bool
) -> tuple[Nest, Nest]:
    """Output (packed as the input is, in a nest if the step's output is one) and final state.

    state and final state have the rows in the order that they had before packing.
    """
    sizes, order, back = input.batch_sizes, input.sorted_indices, input.unsorted_indices
    if len(sizes) == 0 or int(sizes.sum()) != len(input.data):
        raise ShapeError(
            f"a PackedSequence must hold at least one step, and as many rows as its batch_sizes "
            f"say, but got {len(input.data)} rows for {sizes.tolist()}; make it with "
            f"torch.nn.utils.rnn.pack_padded_sequence"
        )
    rows = int(sizes[0])
    leaves, structure = flatten_state(state, constants, rows)
    arguments = Arguments(
        inputs=[input.data[:, None]],
        input_structure=flatten(input.data, "input")[1],
        state=leaves,
        state_structure=structure,
        steps=len(sizes),
        rows=rows,
        lengths=None,
        reset=None,
        reset_state=None,
        reverse=reverse,
        checkpoint=None,
        batch_sizes=sizes,
        order=order,
        has_constants=constants is not None,
    )
    output, final = run(step, arguments)

    def packed(leaf: Tensor) -> Any:
        return PackedSequence(leaf.squeeze(1), sizes, order, back)

    return apply(packed, output), final


def refuse_with_packed(**given: Any) -> None:
    """Raise `ArgumentError` for the first argument that a packed input does not go with."""
    for name, value in given.items():
        if value is not None:
            raise ArgumentError(
                f"input is a PackedSequence, which carries its own lengths, so {name} can't be "
                f"given; pad it with torch.nn.utils.rnn.pad_packed_sequence, and pass lengths"
            )

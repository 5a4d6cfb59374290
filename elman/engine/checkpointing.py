"""`checkpoint`: keep the state of every k-th step only, and compute the rest again for backward."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from elman.engine.arguments import Arguments
from elman.nest import Nest, flatten, rebuild

Run = Callable[[Any, Arguments], tuple[Nest, Nest]]


def run_in_segments(run: Run, step: Any, arguments: Arguments, size: int) -> tuple[Nest, Nest]:
    """What `run` gives for the whole, from runs over `size` time steps each."""
    starts = list(range(0, arguments.steps, size)) or [0]
    state, outputs, structure = arguments.state, {}, None
    for start in reversed(starts) if arguments.reverse else starts:
        segment = _segment(arguments, start, min(start + size, arguments.steps))

        def run_segment(*leaves: Tensor, segment: Arguments = segment) -> tuple[Any, list[Tensor]]:
            output, final = run(step, replace(segment, state=list(leaves)))
            return output, flatten(final, "state")[0]

        output, state = checkpoint(run_segment, *state, use_reentrant=False)
        outputs[start], structure = flatten(output, "output")
    parts = zip(*(outputs[start] for start in starts), strict=True)
    assert structure is not None
    whole = rebuild([torch.cat(part) for part in parts], structure)
    return whole, arguments.state_nest(state)


def _segment(arguments: Arguments, start: int, end: int) -> Arguments:
    lengths = arguments.lengths
    if lengths is not None:
        lengths = [min(max(length - start, 0), end - start) for length in lengths]
    return replace(
        arguments,
        inputs=[leaf[start:end] for leaf in arguments.inputs],
        steps=end - start,
        lengths=lengths,
        reset=None if arguments.reset is None else arguments.reset[start:end],
        checkpoint=None,
    )

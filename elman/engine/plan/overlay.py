"""Cotangents that overwrite saved values.

Most of what the backward loop reads, such as the gates of an LSTM, is not needed once a row's step
is done, and most of what it writes, such as the gates' cotangents, has the same width. So the
forward pass puts saved values side by side as columns of one buffer, and the backward loop writes
its output over them: every lane is read before it is written.
"""

from torch import fx

from elman.engine.graph.nodes import in_memory_of, row_shape, shares_memory
from elman.engine.plan.parts import Loop
from elman.engine.program.row_program import Input, Product, RowProgram, Slice
from elman.engine.program.stages import Block, Stages, looked_up, stages_of


def overlays(
    loop: Loop, saved: set[fx.Node], needed_later: set[fx.Node]
) -> dict[fx.Node, list[fx.Node]]:
    """For outputs of the backward loop: the saved values that they overwrite, in column order.

    saved: values that the forward loop writes. needed_later: what is read after the backward loop.
    A value that the loop, or what comes after it, reads a view of is left as it is: one column of
    it, say, meets every vector of a row, and so is read after the first of them is overwritten.
    """
    stages = stages_of(loop.program)
    read = [*loop.streams, *needed_later]
    views = [node for node in read if shares_memory(node) and node not in saved]
    kept = needed_later | in_memory_of(views)
    blocks = _blocks_that_read(loop.program, stages)
    free = [
        (number, node) for number, node in enumerate(loop.streams)
        if node in saved - kept and len(row_shape(node)) == 1
    ]  # fmt: skip
    found: dict[fx.Node, list[fx.Node]] = {}
    for slot, output in enumerate(loop.outputs):
        block = _block_that_writes(stages, slot)
        if block is None:
            continue
        count = loop.program.ops[loop.program.outputs[slot]].width // block.width
        fitting = [
            (number, node) for number, node in free
            if blocks.get(number) == {id(block)} and loop.program.inputs[number] == block.width
        ]  # fmt: skip
        if len(fitting) >= count:
            found[output] = [node for _, node in fitting[:count]]
            free = [pair for pair in free if pair not in fitting[:count]]
    return found


def _block_that_writes(stages: Stages, slot: int) -> Block | None:
    """The block that writes all of an output, if there is only one and its columns fit."""
    writers = {
        id(block): block
        for stage in stages.stages for block in stage.blocks for piece in block.pieces
        if piece.target.kind == "output" and piece.target.index == slot
    }  # fmt: skip
    if len(writers) != 1:
        return None
    (block,) = writers.values()
    starts = [
        p.target.start for p in block.pieces
        if p.target.kind == "output" and p.target.index == slot
    ]  # fmt: skip
    return block if all(start % block.width == 0 for start in starts) else None


def _blocks_that_read(program: RowProgram, stages: Stages) -> dict[int, set[int]]:
    """For every input stream the blocks that read it; 0 stands for a read that is not lane by lane
    from its first column on."""
    found: dict[int, set[int]] = {}
    for op in program.ops:
        if isinstance(op, Product):
            left = program.ops[op.left]
            if isinstance(left, Slice):
                left = program.ops[left.arg]
            if isinstance(left, Input):
                found.setdefault(left.index, set()).add(0)
    for stage in stages.stages:
        for block in stage.blocks:
            seen = set()
            stack = [piece.place for piece in block.pieces]
            while stack:
                place = stack.pop()
                if place in seen or stages.is_loaded(place[0], block.level, block.width):
                    continue
                seen.add(place)
                op = program.ops[place[0]]
                if isinstance(op, Input):
                    reader = id(block) if place[1] == 0 else 0
                    found.setdefault(op.index, set()).add(reader)
                stack += looked_up(program.ops, place)
    return found

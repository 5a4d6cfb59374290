"""Running a planned step: the parts outside the loops with torch, the loops with a kernel."""

from collections.abc import Callable
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, fx

from elman.engine import workspace
from elman.engine.arguments import Arguments
from elman.engine.collected import Collected, Environment, Gradients, Saved, rows_of, width_of
from elman.engine.layout import Folded, single_step
from elman.engine.lower import row_shape
from elman.engine.parts import Loop, Part, TorchCode
from elman.engine.plan import Pass, Plan
from elman.engine.program import Kernel, Resets, RowProgram, Schedule

CHUNK_BYTES = 4 << 20
"""Streams that only the forward loop reads are made for so many bytes of time steps at once."""

BACKWARD_CHUNK_BYTES = 8 << 20
"""The same for what only the backward pass needs. Larger, because each chunk adds to the gradients
of all weights."""

Place = Callable[[fx.Node], Tensor]
Prepared = tuple[list[Tensor], Any]  # vectors and packed weights of a loop
PreparedLoops = dict["_LoopRunner", Prepared]  # of all loops of a pass that have run in this call


class CompiledStep:
    """One step for certain sizes and dtypes, ready to run for any number of rows and steps."""

    def __init__(self, plan: Plan, compile_program: Callable[[RowProgram], Kernel]) -> None:
        self.plan = plan
        self.dtype = plan.forward.loop.program.dtype
        self._runner = lru_cache(maxsize=None)(
            lambda name: _PassRunner(getattr(plan, name), compile_program)
        )

    def forward(
        self,
        arguments: Arguments,
        layout: Folded,
        inputs: list[Tensor],
        state: list[Tensor],
        reset_state: list[Tensor] | None,
        closed: list[Tensor],
        keep: bool,
    ) -> tuple[list[Tensor], list[Tensor], Saved]:
        """Outputs `(T, B, ...)`, final state, and what the backward pass needs (if `keep`).

        All tensors are without gradient. inputs are folded; state leaves are `(B, ...)`, sorted.
        """
        plan, trace = self.plan, self.plan.trace
        runner = self._runner("joined" if plan.joins(layout.steps, layout.rows) else "forward")
        constants: Environment = dict(zip(trace.closed_nodes, closed, strict=True))
        prepared = runner.prepare(constants)
        buffers = [_matrix(leaf).clone() for leaf in state]
        resets = _resets(arguments, layout, reset_state)
        found = Collected(layout, plan, arguments)
        at_once = keep and plan.before_all_at_once
        width = 0 if at_once else runner.stream_width
        for begin, end in self._chunks(width, CHUNK_BYTES, layout, arguments.reverse):
            rows = layout.row_range(begin, end)
            env = dict(constants)
            for node, leaf in zip(trace.inputs, inputs, strict=True):
                env[node] = rows_of(leaf, rows)
            runner.run(
                prepared, layout.schedule(begin, end, arguments.reverse), env, buffers,
                resets and _cut(resets, rows), partial(found.place, rows=rows, dtype=self.dtype),
            )  # fmt: skip
            found.collect(env, rows)
        if layout.total == 0:
            found.collect(self._nothing(runner, constants, inputs), slice(0, 0))
        outputs = [found.output(node) for node in trace.outputs]
        final = [_shaped(b, leaf) for b, leaf in zip(buffers, state, strict=True)]
        return outputs, final, found.saved(keep)

    def backward(
        self,
        arguments: Arguments,
        layout: Folded,
        inputs: list[Tensor],
        closed: list[Tensor],
        saved: Saved,
        d_outputs: list[Tensor],
        d_state: list[Tensor],
        d_reset: list[Tensor] | None,
    ) -> tuple[list[Tensor | None], list[Tensor], list[Tensor | None]]:
        """Cotangents of inputs `(N, ...)`, of the first state, and of the closed-over tensors.

        d_outputs are folded; d_state is sorted and overwritten; d_reset, zeros `(B, ...)`, receives
        what leaves for the reset state.
        """
        trace, runner = self.plan.trace, self._runner("backward")
        constants: Environment = dict(zip(trace.closed_nodes, closed, strict=True))
        prepared = runner.prepare(constants)
        by_row: Environment = dict(zip(trace.inputs, inputs, strict=True))
        by_row.update(saved.values)
        cotangents = zip(trace.cot_outputs, d_outputs, strict=True)
        by_row.update((node, value) for node, value in cotangents if node is not None)
        to_overwrite: Environment = {}
        if saved.is_last_use:
            to_overwrite = saved.buffers
            saved.values, saved.buffers, saved.versions = {}, {}, []
        buffers = [_matrix(leaf) for leaf in d_state]
        resets = None
        if arguments.reset is not None and d_reset is not None:
            mask = layout.fold(arguments.reset)
            resets = Resets(mask, [_matrix(leaf) for leaf in d_reset], "after")
        found = Gradients(layout.total, trace)
        width = sum(width_of(node) for node in runner.temporaries if node not in to_overwrite)
        backwards = not arguments.reverse
        chunks = self._chunks(width, BACKWARD_CHUNK_BYTES, layout, backwards) or [(0, 0)]
        room = max(rows.stop - rows.start for rows in (layout.row_range(*c) for c in chunks))
        for begin, end in chunks:
            rows = layout.row_range(begin, end)
            env = constants | {node: rows_of(value, rows) for node, value in by_row.items()}
            if (begin, end) == chunks[-1]:
                by_row.clear()  # so that memory comes back as soon as a value has served
            runner.run(
                prepared, layout.schedule(begin, end, backwards), env, buffers,
                resets and _cut(resets, rows), partial(_over, to_overwrite, rows, room, self.dtype),
            )  # fmt: skip
            found.add(env, rows)
        first = [_shaped(b, leaf) for b, leaf in zip(buffers, d_state, strict=True)]
        return found.of(trace.d_inputs), first, found.of(trace.d_closed)

    def _chunks(
        self, width: int, most: int, layout: Folded, backwards: bool
    ) -> list[tuple[int, int]]:
        """Ranges of time steps in running order, such that `width` numbers for each row of a range
        take at most about `most` bytes."""
        steps, per_step = layout.steps, width * layout.rows * self.dtype.itemsize
        pieces = min(max(1, -(-steps * per_step // most)), steps)
        # Equal ones, so that each finds room where the one before was.
        bounds = [steps * i // pieces for i in range(pieces + 1)] if pieces else []
        found = list(pairwise(bounds))
        return found[::-1] if backwards else found

    def _nothing(
        self, runner: "_PassRunner", constants: Environment, inputs: list[Tensor]
    ) -> Environment:
        """No time step at all: the parts still tell the shapes of outputs, from zero rows."""
        env = dict(constants)
        env.update(zip(self.plan.trace.inputs, inputs, strict=True))
        prepared = runner.prepare(constants)
        runner.before.run(prepared, env, 0)
        for node in runner.loop.loop.outputs:
            env[node] = _as_node(torch.empty(0, width_of(node), dtype=self.dtype), node)
        runner.after.run(prepared, env, 0)
        return env


class _LoopRunner:
    """A row program as a kernel that takes its arguments from an environment."""

    def __init__(self, loop: Loop, compile_program: Callable[[RowProgram], Kernel]) -> None:
        self.loop = loop
        self._kernel = compile_program(loop.program)
        dtype = loop.program.dtype
        self._constant_vectors = {
            number: torch.full(shape, node, dtype=dtype)
            for number, (node, shape) in enumerate(loop.vectors)
            if isinstance(node, float)
        }

    def prepare(self, env: Environment) -> Prepared:
        """Vectors and packed weights."""
        loop = self.loop
        vectors = [
            _vector(env[node], shape, loop.program.dtype)
            if isinstance(node, fx.Node)
            else self._constant_vectors[number]
            for number, (node, shape) in enumerate(loop.vectors)
        ]
        return vectors, self._kernel.pack([env[node] for node in loop.weights])

    def run(
        self, prepared: Prepared, schedule: Schedule, env: Environment, state: list[Tensor],
        resets: Resets | None, place: Place,
    ) -> None:  # fmt: skip
        """Run the loop; results are added to env. place gives the memory of each output."""
        loop, dtype = self.loop, self.loop.program.dtype
        streams = []
        for node in loop.streams:
            value = _matrix(env[node])
            streams.append(value if value.dtype == dtype else value.to(dtype))
        written = [place(node) for node in loop.outputs]
        vectors, weights = prepared
        self._kernel(
            schedule, inputs=streams, vectors=vectors, weights=weights, state=state,
            outputs=written, resets=resets,
        )  # fmt: skip
        for node, buffer in zip(loop.outputs, written, strict=True):
            env[node] = _as_node(buffer, node)


class _PartRunner:
    """Straight-line code; sections that are row programs run as loops of a single step."""

    def __init__(self, part: Part, compile_program: Callable[[RowProgram], Kernel]) -> None:
        self._sections = [
            _LoopRunner(section, compile_program) if isinstance(section, Loop) else section
            for section in part.sections
        ]

    def run(self, prepared: PreparedLoops, env: Environment, rows: int) -> None:
        for section in self._sections:
            if isinstance(section, TorchCode):
                values = section.function(rows, *[env[node] for node in section.inputs])
                env.update(zip(section.targets, values, strict=True))
            else:
                if section not in prepared:
                    prepared[section] = section.prepare(env)
                place = partial(_taken, rows, section.loop.program.dtype)
                section.run(prepared[section], single_step(rows), env, [], None, place)


class _PassRunner:
    def __init__(self, parts: Pass, compile_program: Callable[[RowProgram], Kernel]) -> None:
        self.stream_width = sum(width_of(n) for n in parts.loop.streams if n.op != "placeholder")
        self.temporaries = [*parts.before.targets, *parts.loop.outputs]
        self._shared = _PartRunner(parts.shared, compile_program)
        self.before = _PartRunner(parts.before, compile_program)
        self.loop = _LoopRunner(parts.loop, compile_program)
        self.after = _PartRunner(parts.after, compile_program)
        self._done_with = parts.done_with

    def prepare(self, constants: Environment) -> PreparedLoops:
        """What the loop needs of the values that all rows share, once a call."""
        env = dict(constants)
        self._shared.run({}, env, 0)
        return {self.loop: self.loop.prepare(env)}

    def run(
        self, prepared: PreparedLoops, schedule: Schedule, env: Environment,
        state: list[Tensor], resets: Resets | None, place: Place,
    ) -> None:  # fmt: skip
        """What comes before, the loop and what comes after; results are added to env."""
        self.before.run(prepared, env, schedule.total)
        self.loop.run(prepared[self.loop], schedule, env, state, resets, place)
        for node in self._done_with:  # their memory may serve what comes now
            env.pop(node, None)
        self.after.run(prepared, env, schedule.total)


def _shaped(value: Tensor, like: Tensor) -> Tensor:
    return value if value.dim() == like.dim() == 2 else value.view(like.shape)


def _over(
    buffers: Environment, rows: slice, room: int, dtype: torch.dtype, node: fx.Node
) -> Tensor:
    """Where the backward loop writes a node's rows: over what it has read, or aside, in memory with
    room for the largest chunk, so that all chunks use the same."""
    known = buffers.get(node)
    if known is not None:
        return rows_of(known, rows)
    return rows_of(_taken(room, dtype, node), slice(0, rows.stop - rows.start))


def _taken(rows: int, dtype: torch.dtype, node: fx.Node) -> Tensor:
    return workspace.take((rows, width_of(node)), dtype)


def _vector(value: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """What all rows share, spread to the shape that it has within a row, as one vector."""
    if value.dtype == dtype and value.shape == shape and value.is_contiguous():
        return value.view(-1)
    if value.numel() == 1:
        value = value.reshape(())
    elif value.dim() > len(shape):
        value = value[0]
    return value.to(dtype).expand(shape).reshape(-1).contiguous()


def _matrix(value: Tensor) -> Tensor:
    """`(rows, width)` with unit stride within a row."""
    if value.dim() != 2:
        value = value[:, None] if value.dim() == 1 else value.flatten(1)
    return value if value.stride(1) == 1 or value.shape[1] == 1 else value.contiguous()


def _as_node(buffer: Tensor, node: fx.Node) -> Tensor:
    """A stream's rows in the shape and dtype of the node that they stand for."""
    shape = row_shape(node)
    value = buffer if len(shape) == 1 else buffer.view(buffer.shape[0], *shape)
    dtype = node.meta["val"].dtype
    return value if dtype == value.dtype else value != 0 if dtype == torch.bool else value.to(dtype)


def _resets(
    arguments: Arguments, layout: Folded, reset_state: list[Tensor] | None
) -> Resets | None:
    if arguments.reset is None or reset_state is None:
        return None
    values = [_matrix(leaf).contiguous() for leaf in reset_state]
    return Resets(layout.fold(arguments.reset).contiguous(), values, "before")


def _cut(resets: Resets, rows: slice) -> Resets:
    return Resets(resets.mask[rows], resets.values, resets.when)

"""A planned step, ready to run over any number of rows and steps."""

from functools import cached_property

import torch
from torch import Tensor, fx

from elman.engine.faults import failure, is_no_fault
from elman.engine.graph.nodes import is_random
from elman.engine.plan.one_pass import Pass
from elman.engine.plan.passes import PassName, Plan
from elman.engine.program.row_program import Resets
from elman.engine.run.collected import Collected, Gradients, Places, Saved, rows_of
from elman.engine.run.differentiable import Differentiable
from elman.engine.run.garbage import no_collections
from elman.engine.run.layout import Chunk, Folded
from elman.engine.run.runners import (
    Environment,
    PassRunner,
    PreparedLoops,
    Site,
    as_node,
    is_plain,
    matrix,
    no_view,
    width_of,
)
from elman.engine.run.unused import Unused


class CompiledStep:
    """One step for certain sizes and dtypes. What it needs to know for every call alike, machine
    code among it, is made when it is first needed."""

    def __init__(self, plan: Plan, site: Site) -> None:
        self.plan = plan
        self.site = site
        self.dtype = plan.forward.loop.program.dtype
        self._runners: dict[PassName, PassRunner] = {}
        self._places: dict[tuple[PassName, bool], Places] = {}

    def forward(
        self,
        layout: Folded,
        folded_inputs: list[Tensor],
        state: list[Tensor],
        closed: list[Tensor],
        reset: Tensor | None,
        reset_state: list[Tensor] | None,
        reverse: bool,
    ) -> tuple[list[Tensor], list[Tensor], Saved]:
        """Outputs `(T, B, ...)`, final state `(B, ...)`, and what the backward pass needs.

        All tensors are without gradient. folded_inputs: the leaves of the scan's input as the
        layout folds them, `(N, ...)`, N rows of all steps; one for each node of `trace.inputs`.
        state, reset_state: leaves `(B, ...)`, rows in the layout's order. closed: tensors that the
        step closes over, in the shapes that it knows. reset: `(T, B)`.
        """
        plan, trace = self.plan, self.plan.trace
        name: PassName = "joined" if plan.joins(layout.steps, layout.rows) else "forward"
        runner = self._runner_of(name)
        constants: Environment = dict(zip(trace.closed_nodes, closed, strict=True))
        prepared = runner.prepare(constants)
        buffers = [self._carried(leaf) for leaf in state]
        resets = self._resets(reset, reset_state, layout)
        # A reset would put something between an output and the state before the next step.
        places = self._places_of(name, layout.is_even and resets is None)
        found = Collected(places, plan, layout, self.dtype, self.site.take, reverse)
        width = 0 if plan.before_all_at_once else runner.stream_width
        for rows, timetable in self._chunks(width, plan.limits.chunk_bytes, layout, reverse):
            env = dict(constants)
            for node, folded in zip(trace.inputs, folded_inputs, strict=True):
                env[node] = rows_of(folded, rows)
            cut = resets and _cut(resets, rows)
            runner.run(prepared, timetable, env, buffers, cut, found.written(rows))
            found.collect(env, rows)
        if layout.total == 0:
            found.collect(self._nothing(runner, prepared, constants, folded_inputs), slice(0, 0))
        outputs = [found.output(node) for node in trace.outputs]
        final = [no_view(_shaped(b, leaf)) for b, leaf in zip(buffers, state, strict=True)]
        return outputs, final, found.saved()

    def backward(
        self,
        layout: Folded,
        folded_inputs: list[Tensor],
        closed: list[Tensor],
        saved: Saved,
        d_outputs: list[Tensor],
        d_state: list[Tensor],
        reset: Tensor | None,
        d_reset: list[Tensor] | None,
        reverse: bool,
    ) -> tuple[list[Tensor | None], list[Tensor], list[Tensor | None]]:
        """Cotangents of the folded inputs `(N, ...)`, of the first state `(B, ...)`, and of the
        closed-over tensors, in their own shapes.

        folded_inputs, closed, reset: as `forward` was given them. d_outputs: folded, `(N, ...)`.
        d_state: `(B, ...)`, rows in the layout's order; it is overwritten. d_reset: zeros
        `(B, ...)`; it receives what leaves for the reset state. Cotangents of states are of the
        loop's dtype.
        """
        trace, runner = self.plan.trace, self._runner_of("backward")
        constants: Environment = dict(zip(trace.closed_nodes, closed, strict=True))
        prepared = runner.prepare(constants)
        by_row: Environment = dict(zip(trace.inputs, folded_inputs, strict=True))
        by_row.update(saved.values)
        cotangents = zip(trace.cot_outputs, d_outputs, strict=True)
        by_row.update((node, value) for node, value in cotangents if node is not None)
        to_overwrite: Environment = {}
        if saved.is_last_use:
            to_overwrite = saved.buffers
            saved.values, saved.buffers, saved.versions = {}, {}, []
        buffers = [matrix(leaf) for leaf in d_state]
        resets = None
        if reset is not None and d_reset is not None:
            resets = Resets(layout.fold(reset), [matrix(leaf) for leaf in d_reset], "after")
        found = Gradients(layout.total, self.site.take, *self._gradients)
        width = self._temporaries - sum([b.shape[1] for b in to_overwrite.values()])
        most = self.plan.limits.backward_chunk_bytes
        chunks = self._chunks(width, most, layout, not reverse)
        chunks = chunks or layout.chunks(1, backwards=True)  # of no step: gradients are zeros
        room = max([rows.stop - rows.start for rows, _ in chunks])
        for number, (rows, timetable) in enumerate(chunks, 1):
            env = dict(constants)
            if len(chunks) == 1:
                env.update(by_row)
            else:
                env.update((node, value[rows]) for node, value in by_row.items())
            if number == len(chunks):
                by_row.clear()  # so that memory comes back as soon as a value has served
            cut = resets and _cut(resets, rows)
            runner.run(
                prepared, timetable, env, buffers, cut,
                # In no name of its own, which would keep a chunk's memory from the next one.
                [
                    self._over(to_overwrite.get(node), rows, room, node_width)
                    for node, node_width in zip(
                        runner.loop.outputs, runner.loop.widths, strict=True
                    )
                ],
            )  # fmt: skip
            found.add(env, rows)
        first = [_shaped(b, leaf) for b, leaf in zip(buffers, d_state, strict=True)]
        return found.of(trace.d_inputs), first, found.of(trace.d_closed)

    def _over(self, buffer: Tensor | None, rows: slice, room: int, width: int) -> Tensor:
        """Where the backward loop writes an output's rows, `(rows, W)`: over what it has read,
        `(N, W)`, or aside, in memory with room for the largest chunk, so that all chunks use the
        same."""
        if buffer is not None:
            return rows_of(buffer, rows)
        aside = self.site.take((room, width), self.dtype)
        return rows_of(aside, slice(0, rows.stop - rows.start))

    def _runner_of(self, name: PassName) -> PassRunner:
        found = self._runners.get(name)
        if found is None:
            found = self._runners[name] = _made(self.plan.pass_of(name), self.site)
        return found

    def _places_of(self, name: PassName, follows: bool) -> Places:
        found = self._places.get((name, follows))
        if found is None:
            outputs = self.plan.pass_of(name).loop.outputs
            found = Places(self.plan, outputs, self.dtype, follows)
            self._places[name, follows] = found
        return found

    def _carried(self, leaf: Tensor) -> Tensor:
        """A state's leaf `(B, ...)` as `(B, W)`, in memory that the loop may change; it carries
        flags as numbers."""
        # Row after row, whatever the leaf's rows share: windows of a series overlap in memory.
        rows, layout = matrix(leaf), torch.contiguous_format
        if rows.dtype is self.dtype:
            return rows.clone(memory_format=layout)  # in half the time
        return rows.to(self.dtype, copy=True, memory_format=layout)

    def _resets(
        self, reset: Tensor | None, reset_state: list[Tensor] | None, layout: Folded
    ) -> Resets | None:
        """reset `(T, B)` and leaves `(B, ...)` as the loop takes them: mask `(N,)`, values
        `(B, W)`."""
        if reset is None or reset_state is None:
            return None
        values = [matrix(leaf).to(self.dtype).contiguous() for leaf in reset_state]
        return Resets(layout.fold(reset).contiguous(), values, "before")

    def _chunks(self, width: int, most: int, layout: Folded, backwards: bool) -> tuple[Chunk, ...]:
        """Pieces of time, in running order, such that `width` numbers for each row of a piece take
        at most about `most` bytes."""
        steps, size = layout.steps, width * layout.rows * self.dtype.itemsize
        pieces = min(max(1, -(-steps * size // most)), steps)
        return layout.chunks(pieces, backwards) if pieces else ()

    @cached_property
    def is_random(self) -> bool:
        return any(is_random(node) for node in self.plan.trace.graph.nodes)

    @cached_property
    def unused(self) -> Unused:
        return Unused(self.plan.trace)

    @cached_property
    def differentiable(self) -> Differentiable:
        return Differentiable(self.plan.trace)

    @cached_property
    def _temporaries(self) -> int:
        """Width of all that the backward pass makes for each row before its loop and in it."""
        parts = self.plan.backward
        assert parts is not None
        return sum(width_of(node) for node in (*parts.before.targets, *parts.loop.outputs))

    @cached_property
    def _gradients(self) -> tuple[list[fx.Node], list[fx.Node]]:
        """Cotangents that belong to a row, and those that are summed over rows."""
        trace = self.plan.trace
        by_row = dict.fromkeys(node for node in trace.d_inputs if node is not None)
        summed = dict.fromkeys(node for node in trace.d_closed if node is not None)
        return list(by_row), list(summed)

    def _nothing(
        self, runner: PassRunner, prepared: PreparedLoops, constants: Environment,
        folded_inputs: list[Tensor],
    ) -> Environment:  # fmt: skip
        """No time step at all: the parts still tell the shapes of outputs, from zero rows."""
        env = dict(constants)
        env.update(zip(self.plan.trace.inputs, folded_inputs, strict=True))
        runner.before.run(prepared, env, 0)
        for node in runner.loop.outputs:
            value = self.site.take((0, width_of(node)), self.dtype)
            env[node] = value if is_plain(node, self.dtype) else as_node(value, node)
        runner.after.run(prepared, env, 0)
        return env


def _made(parts: Pass, site: Site) -> PassRunner:
    try:
        with no_collections():
            return PassRunner(parts, site)
    except Exception as error:  # a fault of ours must not cost the user a run
        if is_no_fault(error):
            raise
        raise failure(error) from error


def _shaped(value: Tensor, like: Tensor) -> Tensor:
    """What the loop carried, `(B, W)`, in the shape and dtype of the state's leaf, `(B, ...)`."""
    if value.dtype != like.dtype:
        value = value.to(like.dtype)
    return value if value.dim() == like.dim() == 2 else value.view(like.shape)


def _cut(resets: Resets, rows: slice) -> Resets:
    """The mask `(N,)` of a chunk's rows alone."""
    return Resets(resets.mask[rows], resets.values, resets.when)

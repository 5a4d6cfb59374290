"""Running a planned step: the parts outside the loops with torch, the loops with a kernel."""

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import torch
from torch import Tensor, fx

from elman.engine.arguments import Arguments
from elman.engine.layout import Folded
from elman.engine.lower import _row_shape
from elman.engine.plan import Loop, Part, Plan
from elman.engine.program import Kernel, Resets, RowProgram
from elman.engine.workspace import Loan

CHUNK_BYTES = 4 << 20
"""Streams that only the forward loop reads are made for so many bytes of time steps at once."""

Environment = dict[fx.Node, Tensor]


class CompiledStep:
    """One step for certain sizes and dtypes, ready to run for any number of rows and steps."""

    def __init__(self, plan: Plan, compile_program: Callable[[RowProgram], Kernel]) -> None:
        self.plan = plan
        self.dtype = plan.forward.program.dtype
        self._compile = compile_program
        self._forward = _Runner(plan.forward, compile_program)
        self._backward: _Runner | None = None
        streams = [n for n in plan.forward.streams if n.op != "placeholder"]
        self._chunk_width = sum(prod(_row_shape(node)) for node in streams)

    def forward(
        self,
        arguments: Arguments,
        layout: Folded,
        inputs: list[Tensor],
        state: list[Tensor],
        reset_state: list[Tensor] | None,
        closed: list[Tensor],
        keep: bool,
        loan: Loan,
    ) -> tuple[list[Tensor], list[Tensor], Environment]:
        """Outputs `(N, ...)`, final state, and what the backward pass needs (if `keep`).

        Intermediate values are on loan; the saved ones live as long as it does.

        All tensors are without gradient. inputs are folded; state leaves are `(B, ...)`, sorted.
        """
        plan, trace = self.plan, self.plan.trace
        constants: Environment = dict(zip(trace.closed_nodes, closed, strict=True))
        prepared = self._forward.prepare(constants)
        buffers = [_matrix(leaf).clone() for leaf in state]
        resets = _resets(arguments, layout, reset_state)
        found = _Collected(layout.total, {*trace.outputs, *plan.saved}, trace.outputs, loan)
        for begin, end in self._chunks(arguments, layout, keep):
            rows = layout.row_range(begin, end)
            count = rows.stop - rows.start
            env = dict(constants)
            for node, leaf in zip(trace.inputs, inputs, strict=True):
                env[node] = leaf[rows]
            _evaluate(plan.before, env, count)
            written = {node: found.place(node, rows, self.dtype) for node in plan.forward.outputs}
            self._forward.run(
                prepared, layout.schedule(begin, end, arguments.reverse), env, buffers,
                written, resets and _cut(resets, rows),
            )  # fmt: skip
            for node, buffer in written.items():
                env[node] = _as_node(buffer, node)
            _evaluate(plan.after, env, count)
            found.collect(env, rows)
        if not found.values and layout.total == 0:
            self._nothing(found, constants, inputs, state)
        outputs = [found.values[node] for node in trace.outputs]
        loan.keep_out(outputs)
        final = [b.view(leaf.shape) for b, leaf in zip(buffers, state, strict=True)]
        saved = {node: found.values[node] for node in plan.saved} if keep else {}
        return outputs, final, saved

    def backward(
        self,
        arguments: Arguments,
        layout: Folded,
        inputs: list[Tensor],
        closed: list[Tensor],
        saved: Environment,
        d_outputs: list[Tensor],
        d_state: list[Tensor],
        d_reset: list[Tensor] | None,
    ) -> tuple[list[Tensor | None], list[Tensor], list[Tensor | None]]:
        """Cotangents of inputs `(N, ...)`, of the first state, and of the closed-over tensors.

        d_outputs are folded; d_state is sorted and overwritten; d_reset, zeros `(B, ...)`, receives
        what leaves for the reset state.
        """
        plan, trace = self.plan, self.plan.trace
        before, loop, after = plan.backward_before, plan.backward, plan.backward_after
        assert before is not None
        assert loop is not None
        assert after is not None
        if self._backward is None:
            self._backward = _Runner(loop, self._compile)
        env: Environment = dict(zip(trace.closed_nodes, closed, strict=True))
        prepared = self._backward.prepare(env)
        env.update(zip(trace.inputs, inputs, strict=True))
        env.update(saved)
        for node, value in zip(trace.cot_outputs, d_outputs, strict=True):
            if node is not None:
                env[node] = value
        _evaluate(before, env, layout.total)
        loan = Loan()
        buffers = [_matrix(leaf) for leaf in d_state]
        resets = None
        if arguments.reset is not None and d_reset is not None:
            mask = layout.fold(arguments.reset)
            resets = Resets(mask, [_matrix(leaf) for leaf in d_reset], "after")
        written = {
            node: loan.take((layout.total, prod(_row_shape(node))), self.dtype)
            for node in loop.outputs
        }
        schedule = layout.schedule(0, layout.steps, not arguments.reverse)
        self._backward.run(prepared, schedule, env, buffers, written, resets)
        for node, buffer in written.items():
            env[node] = _as_node(buffer, node)
        _evaluate(after, env, layout.total)
        d_inputs = [None if node is None else env[node] for node in trace.d_inputs]
        d_closed = [None if node is None else env[node] for node in trace.d_closed]
        first = [b.view(leaf.shape) for b, leaf in zip(buffers, d_state, strict=True)]
        loan.keep_out([*d_inputs, *d_closed])
        return d_inputs, first, d_closed

    def _chunks(
        self, arguments: Arguments, layout: Folded, keep: bool
    ) -> Iterator[tuple[int, int]]:
        """Ranges of time steps in running order."""
        steps, per_step = layout.steps, self._chunk_width * layout.rows * self.dtype.itemsize
        size = max(steps, 1)
        if per_step and not (keep and self.plan.before_all_at_once):
            size = max(1, CHUNK_BYTES // per_step)
        starts = range(0, steps, size)
        for start in reversed(starts) if arguments.reverse else starts:
            yield start, min(start + size, steps)

    def _nothing(
        self, found: "_Collected", constants: Environment, inputs: list[Tensor], state: list[Tensor]
    ) -> None:
        """No time step at all: the parts still tell the shapes of outputs, from zero rows."""
        env = dict(constants)
        env.update(zip(self.plan.trace.inputs, inputs, strict=True))
        _evaluate(self.plan.before, env, 0)
        for node in self.plan.forward.outputs:
            env[node] = _as_node(torch.empty(0, prod(_row_shape(node)), dtype=self.dtype), node)
        _evaluate(self.plan.after, env, 0)
        found.collect(env, slice(0, 0))


class _Collected:
    """Values of all rows, put together from those of chunks."""

    def __init__(
        self, total: int, wanted: set[fx.Node], outputs: list[fx.Node], loan: Loan
    ) -> None:
        self.values: Environment = {}
        self._outputs = outputs
        self._loan = loan
        self._total = total
        self._wanted = wanted

    def place(self, node: fx.Node, rows: slice, dtype: torch.dtype) -> Tensor:
        """Where the loop writes a node's rows: into the whole value, if the whole is wanted."""
        width = prod(_row_shape(node))
        if node not in self._wanted or node.meta["val"].dtype == torch.bool:
            return self._loan.take((rows.stop - rows.start, width), dtype)
        if node not in self.values:
            shape = (self._total, *_row_shape(node))
            is_output = node in self._outputs
            self.values[node] = (
                torch.empty(shape, dtype=dtype) if is_output else self._loan.take(shape, dtype)
            )
        return self.values[node].view(self._total, width)[rows]

    def collect(self, env: Environment, rows: slice) -> None:
        whole = rows.stop - rows.start == self._total
        for node in self._wanted:
            value = env.get(node)
            if value is None or (node.op == "placeholder" and node in self.values):
                continue
            if whole and node not in self.values:
                self.values[node] = value
            elif node not in self.values:
                self.values[node] = value.new_empty((self._total, *value.shape[1:]))
                self.values[node][rows] = value
            elif (
                self.values[node].data_ptr()
                + rows.start * self.values[node].stride(0) * (value.element_size())
                != value.data_ptr()
            ):
                self.values[node][rows] = value


class _Runner:
    """A loop's program as a kernel, and its arguments from an environment."""

    def __init__(self, loop: Loop, compile_program: Callable[[RowProgram], Kernel]) -> None:
        self.kernel = compile_program(loop.program)
        self._loop = loop

    def prepare(self, constants: Environment) -> tuple[list[Tensor], Any]:
        """Vectors and packed weights, once a call."""
        loop = self._loop
        env = dict(constants)
        _evaluate(loop.shared, env, 0)
        dtype = loop.program.dtype
        vectors = [
            torch.full(shape, node, dtype=dtype)
            if isinstance(node, float)
            else env[node].to(dtype).expand(shape).reshape(-1).contiguous()
            if env[node].dim() <= len(shape)
            else env[node].to(dtype)[0].expand(shape).reshape(-1).contiguous()
            for node, shape in loop.vectors
        ]
        return vectors, self.kernel.pack([env[node] for node in loop.weights])

    def run(
        self, prepared: tuple[list[Tensor], Any], schedule: Any, env: Environment,
        state: list[Tensor], written: dict[fx.Node, Tensor], resets: Resets | None,
    ) -> None:  # fmt: skip
        dtype = self._loop.program.dtype
        streams = []
        for node in self._loop.streams:
            value = _matrix(env[node])
            streams.append(value if value.dtype == dtype else value.to(dtype))
        vectors, weights = prepared
        self.kernel(
            schedule, inputs=streams, vectors=vectors, weights=weights, state=state,
            outputs=list(written.values()), resets=resets,
        )  # fmt: skip


def _evaluate(part: Part, env: Environment, rows: int) -> None:
    if part.targets:
        values = part.function(rows, *[env[node] for node in part.inputs])
        env.update(zip(part.targets, values, strict=True))


def _matrix(value: Tensor) -> Tensor:
    """`(rows, width)` with unit stride within a row."""
    flat = value.flatten(1) if value.dim() != 2 else value
    if value.dim() == 1:
        flat = value[:, None]
    return flat if flat.stride(1) == 1 or flat.shape[1] == 1 else flat.contiguous()


def _as_node(buffer: Tensor, node: fx.Node) -> Tensor:
    """A stream's rows in the shape and dtype of the node that they stand for."""
    value = buffer.view(buffer.shape[0], *_row_shape(node))
    return value != 0 if node.meta["val"].dtype == torch.bool else value


def _resets(
    arguments: Arguments, layout: Folded, reset_state: list[Tensor] | None
) -> Resets | None:
    if arguments.reset is None or reset_state is None:
        return None
    values = [_matrix(leaf).contiguous() for leaf in reset_state]
    return Resets(layout.fold(arguments.reset).contiguous(), values, "before")


def _cut(resets: Resets, rows: slice) -> Resets:
    return Resets(resets.mask[rows], resets.values, resets.when)

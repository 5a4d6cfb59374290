"""Passes of a planned step, ready to run: loops with a kernel, the parts around them with torch."""

from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, fx, nn

from elman.engine.graph.leftovers import without_source
from elman.engine.graph.nodes import row_shape, transposed_weight
from elman.engine.machine import Machine
from elman.engine.plan.one_pass import Pass
from elman.engine.plan.parts import Loop, Part, TorchCode
from elman.engine.program.row_program import Resets, Timetable
from elman.engine.run.layout import single_step

Environment = dict[fx.Node, Tensor]


class Site(NamedTuple):
    """Where a step runs: on a machine, and one of its devices."""

    machine: Machine
    device: torch.device

    def take(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Uninitialised memory of that shape."""
        return self.machine.take(shape, dtype, self.device)


class LoopRunner:
    """A row program as a kernel that takes its arguments from an environment.

    outputs: the nodes whose values it writes. widths: theirs, in numbers a row.
    """

    def __init__(self, loop: Loop, site: Site) -> None:
        self._loop = loop
        self.outputs = loop.outputs
        self.dtype = loop.program.dtype
        self.widths = [loop.program.ops[index].width for index in loop.program.outputs]
        self._kernel = site.machine.compile(loop.program)
        # torch takes a moment for every view, so as many as can be are known to need none.
        self._plain = [is_plain(node, self.dtype) for node in loop.outputs]
        sources = [transposed_weight(node) for node in loop.weights]
        self._weights = [
            node if source is None else source
            for node, source in zip(loop.weights, sources, strict=True)
        ]
        self._transposed = frozenset(n for n, source in enumerate(sources) if source is not None)
        self._constant_vectors = {
            number: torch.full(shape, node, dtype=self.dtype, device=site.device)
            for number, (node, shape) in enumerate(loop.vectors)
            if isinstance(node, float)
        }

    def prepare(self, env: Environment) -> tuple[list[Tensor], object]:
        """Vectors, `(W,)` each, and packed weights."""
        vectors = [
            _vector(env[node], shape, self.dtype)
            if isinstance(node, fx.Node)
            else self._constant_vectors[number]
            for number, (node, shape) in enumerate(self._loop.vectors)
        ]
        weights = [env[node] for node in self._weights]
        return vectors, self._kernel.pack(weights, self._transposed)

    def run(
        self, prepared: tuple[list[Tensor], object], timetable: Timetable, env: Environment,
        state: list[Tensor], resets: Resets | None, written: list[Tensor],
    ) -> None:  # fmt: skip
        """Run the loop. Outputs are written to `written`, `(N, W)` each, and added to env as
        `(N, ...)`, sums over rows without the N.

        state: `(B, W)` each; it becomes the last one.
        """
        streams = [self._stream(env[node]) for node in self._loop.streams]
        vectors, weights = prepared
        sums = self._kernel(
            timetable, inputs=streams, vectors=vectors, weights=weights, state=state,
            outputs=written, resets=resets,
        )  # fmt: skip
        for node, value in zip(self._loop.sums, sums, strict=True):
            shape = node.meta["val"].shape
            env[node] = value if len(shape) == 1 else value.view(shape)
        for node, value, plain in zip(self.outputs, written, self._plain, strict=True):
            env[node] = value if plain else as_node(value, node)

    def _stream(self, value: Tensor) -> Tensor:
        """`(N, ...)` as a stream `(N, W)` of the program's type."""
        value = matrix(value)
        return value if value.dtype is self.dtype else value.to(self.dtype)


class TorchRunner:
    """Operations of torch, or what the machine has in their place."""

    def __init__(self, code: TorchCode, site: Site) -> None:
        faster = site.machine.operations
        for node in code.graph.nodes:
            node.target = faster.get(node.target, node.target)
        self._inputs, self._targets = code.inputs, code.targets
        self._function = without_source(fx.GraphModule(nn.Module(), code.graph)).forward

    def run(self, env: Environment, rows: int) -> None:
        """Add to env what is computed from it, `(rows, ...)` each, or without rows what all
        share."""
        values = self._function(rows, *[env[node] for node in self._inputs])
        env.update(zip(self._targets, values, strict=True))


PreparedLoops = dict[LoopRunner, tuple[list[Tensor], object]]  # those that have run in this call


class PartRunner:
    """Straight-line code; sections that are row programs run as loops of a single step."""

    def __init__(self, part: Part, site: Site) -> None:
        self._take = site.take
        self._sections = [
            LoopRunner(section, site) if isinstance(section, Loop) else TorchRunner(section, site)
            for section in part.sections
        ]

    def run(self, prepared: PreparedLoops, env: Environment, rows: int) -> None:
        """Add to env what is computed from it, `(rows, ...)` each, or without rows what all
        share."""
        for section in self._sections:
            if isinstance(section, TorchRunner):
                section.run(env, rows)
                continue
            if section not in prepared:
                prepared[section] = section.prepare(env)
            written = [self._take((rows, width), section.dtype) for width in section.widths]
            section.run(prepared[section], single_step(rows), env, [], None, written)


class PassRunner:
    """One run over time: what comes before, the loop, and what comes after."""

    def __init__(self, parts: Pass, site: Site) -> None:
        self.stream_width = sum(width_of(n) for n in parts.loop.streams if n.op != "placeholder")
        self._shared = PartRunner(parts.shared, site)
        self.before = PartRunner(parts.before, site)
        self.loop = LoopRunner(parts.loop, site)
        self.after = PartRunner(parts.after, site)
        self._done_with = parts.done_with

    def prepare(self, constants: Environment) -> PreparedLoops:
        """What the loop needs of the values that all rows share, once a call: vectors, `(W,)` each,
        and packed weights."""
        env = dict(constants)
        self._shared.run({}, env, 0)
        return {self.loop: self.loop.prepare(env)}

    def run(
        self, prepared: PreparedLoops, timetable: Timetable, env: Environment,
        state: list[Tensor], resets: Resets | None, written: list[Tensor],
    ) -> None:  # fmt: skip
        """Results, `(N, ...)` each, are added to env. state: `(B, W)` each; it becomes the last
        one. written: memory for the loop's outputs, `(N, W)` each. N counts the timetable's
        rows."""
        self.before.run(prepared, env, timetable.total)
        self.loop.run(prepared[self.loop], timetable, env, state, resets, written)
        for node in self._done_with:  # their memory may serve what comes now
            env.pop(node, None)
        self.after.run(prepared, env, timetable.total)


def width_of(node: fx.Node) -> int:
    """Numbers in a row of a node's value."""
    return prod(row_shape(node))


def is_plain(node: fx.Node, dtype: torch.dtype) -> bool:
    """Whether a loop's output, `(N, width)`, is the node's value as it stands."""
    return len(row_shape(node)) == 1 and node.meta["val"].dtype == dtype


def as_node(value: Tensor, node: fx.Node) -> Tensor:
    """A loop's output, `(N, W)`, in the shape and dtype of the node that it stands for."""
    value = value.view(value.shape[0], *row_shape(node))
    dtype = node.meta["val"].dtype
    return value if dtype == value.dtype else value != 0 if dtype == torch.bool else value.to(dtype)


def matrix(value: Tensor) -> Tensor:
    """`(N, ...)` as `(N, W)` with unit stride within a row."""
    if value.dim() != 2:
        value = value[:, None] if value.dim() == 1 else value.flatten(1)
    return value if value.stride(1) == 1 or value.shape[1] == 1 else value.contiguous()


def no_view(value: Tensor) -> Tensor:
    """The same memory, in the same shape, as a tensor of its own: what an operation of autograd
    returns as a view may not be changed in place, and a user may do so."""
    if not value._is_view():
        return value
    return value.new_empty(0).set_(
        value.untyped_storage(), value.storage_offset(), value.shape, value.stride()
    )


def _vector(value: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """What all rows share, spread to the shape that it has within a row, as one vector `(W,)`."""
    if value.dtype == dtype and value.shape == shape and value.is_contiguous():
        return value if value.dim() == 1 else value.view(-1)
    if value.numel() == 1:
        value = value.reshape(())
    elif value.dim() > len(shape):
        value = value[0]
    return value.to(dtype).expand(shape).reshape(-1).contiguous()

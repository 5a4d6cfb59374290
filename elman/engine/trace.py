"""From a step to a graph: one joint trace of a single step, forward and backward.

The step runs once on fake tensors whose number of rows is a symbol, so one graph serves B rows in
the loop and T * B rows outside of it. Nothing is computed, no random number is drawn, and the
user's module is left as it was.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor, fx
from torch._dispatch.python import enable_python_dispatcher
from torch._dynamo.source import ConstantSource
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch._subclasses.functional_tensor import dispatch_functionalize
from torch.fx.experimental.proxy_tensor import get_proxy_mode, make_fx
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv
from torch.overrides import TorchFunctionMode

from elman.engine.arguments import Arguments
from elman.engine.decompositions import decompositions
from elman.engine.fingerprint import modules_of
from elman.engine.nest import Structure, flatten
from elman.engine.reference import Step, check_state_unchanged
from elman.engine.simplify import simplify
from elman.engine.split_cat import split_cat_products
from elman.errors import StepError, UnsupportedStep

_LIBRARIES = (str(Path(torch.__file__).parent), str(Path(__file__).parent))


@dataclass
class Trace:
    """One step as a graph of ATen operations.

    Placeholders are grouped by what they stand for; results are nodes, or None where there is no
    gradient. `rows` is the symbol of the number of rows, as it appears in node metadata.

    closed:   the tensors that the step closes over, in the order of `closed_nodes`.
    d_inputs, d_state, d_closed: cotangents, one for each placeholder of the group.
    cot_outputs, cot_state: placeholders for the cotangents of outputs and next state, None where
        the value carries no gradient.
    lines:    where in the user's source a node comes from.
    """

    graph: fx.Graph
    rows: Any
    inputs: list[fx.Node]
    state: list[fx.Node]
    closed: list[Tensor]
    closed_nodes: list[fx.Node]
    outputs: list[fx.Node]
    next_state: list[fx.Node]
    output_structure: Structure
    cot_outputs: list[fx.Node | None] = field(default_factory=list)
    cot_state: list[fx.Node | None] = field(default_factory=list)
    d_inputs: list[fx.Node | None] = field(default_factory=list)
    d_state: list[fx.Node | None] = field(default_factory=list)
    d_closed: list[fx.Node | None] = field(default_factory=list)
    lines: dict[fx.Node, str] = field(default_factory=dict)


def trace(step: Step, arguments: Arguments, with_gradients: bool) -> Trace:
    """Trace one step of `scan`.

    Raises:
        StepError: the step broke its contract.
        UnsupportedStep: it can't be traced, for example because it depends on values.
    """
    with _left_as_it_was(step), _without_torchs_complaints():
        try:
            return _Tracer(step, arguments, with_gradients).run()
        except (StepError, UnsupportedStep):
            raise
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
            raise UnsupportedStep(
                f"the step can't be traced ({type(error).__name__}: {reason[:200]}); "
                f"it runs with backend='reference'"
            ) from error


class _Tracer:
    def __init__(self, step: Step, arguments: Arguments, with_gradients: bool) -> None:
        self._step = step
        self._arguments = arguments
        self._with_gradients = with_gradients
        shapes = ShapeEnv(duck_shape=False)
        self._fake = FakeTensorMode(shape_env=shapes, allow_non_fake_inputs=True)
        hint = 61  # unlike any usual size, so that no guard ties the rows to another dimension
        symbol = shapes.create_symbol(hint, ConstantSource("rows"), dynamic_dim=DimDynamic.DYNAMIC)
        self._rows = shapes.create_symintnode(symbol, hint=hint)
        self._shapes = shapes
        self._lines: dict[fx.Node, str] = {}

    def run(self) -> Trace:
        a = self._arguments
        inputs = [self._row_tensor(leaf, 2, leaf.requires_grad) for leaf in a.inputs]
        state = [self._row_tensor(leaf, 1, True) for leaf in a.state]
        finder = _Lift(self._fake)
        with torch.no_grad(), self._fake, enable_python_dispatcher(), finder:
            output, following = self._call(inputs, state)
        self._require_untouched(finder)
        leaves, structure = flatten(output, "output")
        closed = finder.found
        fakes = [finder.fakes[id(tensor)] for tensor in closed]
        cotangents = [self._like(leaf) for leaf in [*leaves, *following] if _floats(leaf)]

        def joint(inputs: list, state: list, fakes: list, cotangents: list) -> tuple:
            with _Lift(self._fake, dict(zip(map(id, closed), fakes, strict=True)), self._lines):
                output, following = self._call(inputs, state)
            leaves, _ = flatten(output, "output")
            if not self._with_gradients:
                return leaves, following, [], []
            results = [leaf for leaf in [*leaves, *following] if _floats(leaf)]
            pairs = [(r, c) for r, c in zip(results, cotangents, strict=True) if r.requires_grad]
            wanted = [t for t in [*inputs, *state, *fakes] if t.requires_grad]
            found: Any = [None] * len(wanted)
            if pairs and wanted:
                found = torch.autograd.grad(
                    [r for r, _ in pairs], wanted, [c for _, c in pairs], allow_unused=True
                )
            return leaves, following, [r.requires_grad for r in results], list(found)

        arguments = (inputs, state, fakes, cotangents)
        wanted = [t.requires_grad for t in [*inputs, *state, *fakes]]
        carries: list[bool] = []

        def traced(*arguments: Any) -> tuple:
            leaves, following, carry, found = joint(*arguments)
            carries[:] = carry
            return leaves, following, found

        with self._fake, enable_python_dispatcher(), torch.enable_grad():
            module = make_fx(
                dispatch_functionalize(traced),
                decomposition_table=decompositions(),
                tracing_mode="real",
                _allow_non_fake_inputs=True,
            )(*arguments)
        if self._shapes.guards:
            guard = self._shapes.guards[0].expr
            raise UnsupportedStep(f"the step depends on the number of rows of its batch ({guard})")
        return self._described(module.graph, closed, structure, wanted, carries, cotangents)

    def _call(self, inputs: list, state: list) -> tuple[Any, list[Tensor]]:
        a = self._arguments
        result = self._step(a.input_nest(inputs), a.state_nest(state))
        if not isinstance(result, tuple) or len(result) != 2:
            raise StepError("a step must return the pair (output, state)")
        following, structure = flatten(result[1], "the next state")
        if structure != a.state_structure:
            raise StepError("a step must return a state built like the one it was given")
        check_state_unchanged(a, state, following)
        for leaf in flatten(result[0], "output")[0]:
            if leaf.dim() < 1 or leaf.shape[0] != self._rows:
                raise StepError("every output of a step must have one entry for each row first")
        return result[0], following

    def _row_tensor(self, leaf: Tensor, skip: int, gradient: bool) -> Tensor:
        with self._fake:
            return torch.empty(
                (self._rows, *leaf.shape[skip:]), dtype=leaf.dtype, device=leaf.device,
                requires_grad=gradient and leaf.is_floating_point() and self._with_gradients,
            )  # fmt: skip

    def _like(self, leaf: Tensor) -> Tensor:
        with self._fake:
            return torch.empty(leaf.shape, dtype=leaf.dtype, device=leaf.device)

    def _require_untouched(self, finder: "_Lift") -> None:
        for tensor in finder.found:
            if finder.fakes[id(tensor)]._version != 0:
                raise UnsupportedStep(
                    "the step changes a tensor that it closes over in place; "
                    "put it into the state instead"
                )

    def _described(
        self, graph: fx.Graph, closed: list[Tensor], structure: Structure,
        wanted: list[bool], carries: list[bool], cotangents: list,
    ) -> Trace:  # fmt: skip
        placeholders = [node for node in graph.nodes if node.op == "placeholder"]
        sizes = [len(self._arguments.inputs), len(self._arguments.state), len(closed)]
        inputs, state, closed_nodes, cots = _divided(placeholders, sizes)
        simplify(graph)
        split_cat_products(graph, cots, self._lines)
        simplify(graph)  # which finds products of the same parts
        output_node = next(node for node in reversed(graph.nodes) if node.op == "output")
        results = pytree.tree_leaves(output_node.args[0])
        counts = [structure.num_leaves, len(self._arguments.state)]
        outputs, following, found = _divided(results, counts)
        # What autograd was not asked for, and what it found nothing for, are both None here.
        gradients: list[fx.Node | None] = []
        remaining = iter(found)
        gradients = [next(remaining, None) if want and found else None for want in wanted]
        d_inputs, d_state, d_closed = _divided(gradients, sizes)[:3]
        floats = [_floats(node.meta["val"]) for node in [*outputs, *following]]
        flags, supply = iter(carries), iter(cots)
        cotangent_of: list[fx.Node | None] = []
        for is_float in floats:
            node = next(supply) if is_float else None
            cotangent_of.append(node if is_float and next(flags, False) else None)
        return Trace(
            graph=graph, rows=self._rows.node.expr, inputs=inputs, state=state, closed=closed,
            closed_nodes=closed_nodes, outputs=list(outputs), next_state=list(following),
            output_structure=structure, cot_outputs=cotangent_of[: len(outputs)],
            cot_state=cotangent_of[len(outputs) :], d_inputs=d_inputs, d_state=d_state,
            d_closed=d_closed, lines=self._lines,
        )  # fmt: skip


class _Lift(TorchFunctionMode):
    """Puts a stand-in wherever the step uses a tensor that it closes over.

    Without it tracing would bake such a tensor in as a constant, and it would get no gradient. With
    `fakes` given, those stand in; otherwise new ones are made and `found` lists their originals.
    """

    def __init__(
        self,
        mode: FakeTensorMode,
        fakes: dict[int, Tensor] | None = None,
        lines: dict[fx.Node, str] | None = None,
    ) -> None:
        super().__init__()
        self._mode = mode
        self._make = fakes is None
        self.fakes: dict[int, Tensor] = fakes or {}
        self.found: list[Tensor] = []
        self._lines = lines

    def __torch_function__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        args, kwargs = pytree.tree_map(self._stand_in, (args, kwargs or {}))
        proxy_mode = get_proxy_mode() if self._lines is not None else None
        if proxy_mode is None or self._lines is None:
            return function(*args, **kwargs)
        nodes = proxy_mode.tracer.graph._root  # the list is circular: _root.prev is the last node
        last = nodes.prev
        result = function(*args, **kwargs)
        if nodes.prev is not last:
            line, node = _users_line(), last.next
            while node is not nodes:
                self._lines.setdefault(node, line)
                node = node.next
        return result

    def _stand_in(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        known = self.fakes.get(id(value))
        if known is not None:
            return known
        if not self._make or isinstance(value, FakeTensor):
            return value
        # Not under this mode, which would see the conversion's own operations.
        with torch._C.DisableTorchFunction():
            plain = value.detach()
            fake = self._mode.from_tensor(plain, static_shapes=True)
            if value.requires_grad:
                fake.requires_grad_(True)
        self.fakes[id(value)] = fake
        self.found.append(value)
        return fake


def _users_line() -> str:
    """`file.py:12` of the innermost frame that belongs neither to torch nor to the engine."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(_LIBRARIES) and not name.startswith("<"):
            return f"{Path(name).name}:{frame.f_lineno}"
        frame = frame.f_back
    return "unknown line"


def _floats(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _divided(items: list, sizes: list[int]) -> list[list]:
    """The items in groups of these sizes, and the rest."""
    groups, start = [], 0
    for size in sizes:
        groups.append(items[start : start + size])
        start += size
    return [*groups, items[start:]]


@contextmanager
def _without_torchs_complaints() -> Iterator[None]:
    """What torch logs about a step that it can't trace is said in our words, once."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def _left_as_it_was(step: Step) -> Iterator[None]:
    """Attributes that the step sets on its modules are put back; setting any is unsupported."""
    modules = modules_of(step)
    before = [(m, dict(m.__dict__), dict(m._buffers), dict(m._parameters)) for m in modules]
    try:
        yield
    finally:
        changed = None
        for module, attributes, buffers, parameters in before:
            for name, old in attributes.items():
                if module.__dict__.get(name) is not old and not name.startswith("__"):
                    changed = f"{type(module).__name__}.{name}"
            for name in module.__dict__.keys() - attributes.keys():
                changed = f"{type(module).__name__}.{name}"
            if any(module._buffers.get(name) is not old for name, old in buffers.items()):
                changed = f"a buffer of {type(module).__name__}"
            module.__dict__.clear()
            module.__dict__.update(attributes)
            module._buffers.clear()
            module._buffers.update(buffers)
            module._parameters.clear()
            module._parameters.update(parameters)
    if changed:
        raise UnsupportedStep(
            f"the step sets {changed} while it runs, which a compiled loop would do only once; "
            f"put what changes from step to step into the state"
        )

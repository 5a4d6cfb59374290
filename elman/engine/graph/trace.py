"""From a step to a graph: one joint trace of a single step, forward and backward.

The step runs once on fake tensors whose number of rows is a symbol, so one graph serves B rows in
the loop and T * B rows outside of it. Nothing is computed, no random number is drawn, and the
user's module is left as it was.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor, fx
from torch._dispatch.python import enable_python_dispatcher
from torch._dynamo.source import ConstantSource
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensorMode
from torch._subclasses.functional_tensor import dispatch_functionalize
from torch.autograd.function import BackwardCFunction
from torch.fx.experimental.proxy_tensor import get_proxy_mode, make_fx
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv

from elman.engine.arguments import Arguments
from elman.engine.graph import untraceable
from elman.engine.graph.decompositions import decompositions
from elman.engine.graph.leftovers import forget_sizes, without_source
from elman.engine.graph.recording import Recording, name_of_call
from elman.engine.graph.rehearsal import Rehearsal, call, without_callers_hooks
from elman.engine.graph.simplify import simplify
from elman.engine.graph.split_cat import split_cat_products
from elman.engine.memory import name_of
from elman.engine.reference import Step
from elman.engine.step.outside import Outside
from elman.engine.step.snapshot import Snapshot
from elman.errors import ArgumentError, StepError, UnsupportedStep
from elman.nest import Structure

_LIBRARIES = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]))


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
    calls:    the function of torch that the user called there.
    one_row:  what the step does in another way for a single row, or None.
    calls_back: whether the backward pass runs code of the user's, which sees what holds then.
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
    calls: dict[fx.Node, str] = field(default_factory=dict)
    one_row: str | None = None
    calls_back: bool = False


def trace(step: Step, arguments: Arguments, with_gradients: bool) -> Trace:
    """Trace one step of `scan`.

    Raises:
        StepError: the step broke its contract.
        UnsupportedStep: it can't be traced, for example because it depends on values.
    """
    # Not in inference mode: its tensors don't tell whether they were changed.
    has_grad_mode = torch.is_grad_enabled()
    try:
        snapshot = Snapshot(step)
        with (
            snapshot.left_as_it_was(),
            _without_torchs_complaints(),
            torch.inference_mode(False),
            torch.set_grad_enabled(has_grad_mode),  # which inference mode decides along
            torch.autograd.set_detect_anomaly(False),  # it would read values, which are fake
        ):
            rehearsal = Rehearsal(step, arguments, with_gradients, snapshot)
            return _Tracer(step, arguments, with_gradients, snapshot, rehearsal).run()
    except (ArgumentError, StepError, UnsupportedStep):
        raise
    except Exception as error:
        raise UnsupportedStep(untraceable.reason(error)) from error
    finally:
        forget_sizes()


class _Tracer:
    def __init__(
        self, step: Step, arguments: Arguments, with_gradients: bool, snapshot: Snapshot,
        rehearsal: Rehearsal,
    ) -> None:  # fmt: skip
        self._step = step
        self._snapshot, self._rehearsal = snapshot, rehearsal
        self._arguments = arguments
        self._with_gradients = with_gradients
        shapes = ShapeEnv(duck_shape=False)
        self._fake = FakeTensorMode(shape_env=shapes, allow_non_fake_inputs=True)
        self._fake.cache_enabled = False  # torch would keep what no other trace can use
        hint, source = untraceable.HINT, ConstantSource("rows")
        symbol = shapes.create_symbol(hint, source, dynamic_dim=DimDynamic.DYNAMIC)
        rows = shapes.create_symintnode(symbol, hint=hint)
        assert isinstance(rows, torch.SymInt)
        self._rows = rows
        self._shapes = shapes
        self._lines: dict[fx.Node, str] = {}
        self._seen: _Seen
        self._recorded: _Lift

    def run(self) -> Trace:
        try:
            graph = self._graph(functionalized=False)
        except (ArgumentError, StepError, UnsupportedStep):
            raise
        except Exception as error:
            raise UnsupportedStep(untraceable.reason(error, self._per_row())) from error
        _require_no_literals(graph, self._lines)
        recorded = self._recorded
        if any(_writes_in_place(node) for node in graph.nodes):
            # Making every operation one that only gives values takes a fifth of the time of
            # tracing, so it is done for those steps alone that need it.
            graph = self._graph(functionalized=True)
        if self._shapes.guards:
            guard, line = self._shapes.guards[0], self._recorded.first_guard
            raise UnsupportedStep(untraceable.reason_of_guard(guard, line, self._per_row()))
        self._rehearsal.require_same(recorded)
        return self._described(graph)

    def _graph(self, functionalized: bool) -> fx.Graph:
        a = self._arguments
        self._lines.clear()
        inputs = [self._row_tensor(leaf, 2, leaf.requires_grad) for leaf in a.inputs]
        state = [self._row_tensor(leaf, 1, True) for leaf in a.state]

        def joint(
            inputs: list[Tensor], state: list[Tensor]
        ) -> tuple[Any, ...]:  # make_fx wants a function
            return self._joint(inputs, state)

        with self._fake, enable_python_dispatcher(), without_callers_hooks(_as_it_is, _as_it_is):
            module = make_fx(
                dispatch_functionalize(joint) if functionalized else joint,
                decomposition_table=decompositions(),
                tracing_mode="real",
                _allow_non_fake_inputs=True,
            )(inputs, state)
        return without_source(module).graph

    def _joint(self, inputs: list[Tensor], state: list[Tensor]) -> tuple[Any, ...]:
        """The step forward and backward, on leaves `(B, ...)` of one time step.

        Which tensors the step closes over, and what its results look like, shows only now. So what
        stands for them and for the cotangents is made here; the graph gets it from outside later.
        """
        device = self._arguments.device.type
        lift = self._recorded = _Lift(self._snapshot.reaches, device, self._lines, self._shapes)
        leaves, structure, following = call(
            self._step, self._arguments, inputs, state, self._rows, lift, nullcontext()
        )
        results = [leaf for leaf in [*leaves, *following] if _floats(leaf)]
        cotangents = [torch.empty(r.shape, dtype=r.dtype, device=r.device) for r in results]
        # Without gradients, too, a view of a parameter may say that it requires one.
        carries = [r.requires_grad and self._with_gradients for r in results]
        given = zip(results, cotangents, carries, strict=True)
        pairs = [(result, cotangent) for result, cotangent, carry in given if carry]
        wanted = [t.requires_grad for t in [*inputs, *state, *lift.stand_ins]]
        sources = [t for t in [*inputs, *state, *lift.stand_ins] if t.requires_grad]
        found: Any = [None] * len(sources)
        calls_back = lift.has_hooks or self._has_functions_of_users(pairs, sources)
        if pairs and sources:
            watched = Outside((), trusted=("torch", "sympy")).refused()
            with watched if calls_back else nullcontext():
                found = torch.autograd.grad(
                    [r for r, _ in pairs], sources, [c for _, c in pairs], allow_unused=True
                )
        self._seen = _Seen(lift.found, structure, wanted, carries, calls_back)
        return leaves, following, list(found), lift.stand_ins, cotangents

    def _has_functions_of_users(
        self, pairs: list[tuple[Tensor, Tensor]], sources: list[Tensor]
    ) -> bool:
        """Whether a `torch.autograd.Function` lies on the way of the gradients.

        Raises:
            UnsupportedStep: the way leads to a tensor that no stand-in stands for, because it was
                given to what is no operation of torch.
        """
        has_any, known = False, {id(source) for source in sources}
        for node in _behind(result for result, _ in pairs):
            has_any |= isinstance(node, BackwardCFunction)
            leaf = getattr(node, "variable", None)
            if leaf is not None and id(leaf) not in known:
                raise UnsupportedStep(
                    f"{name_of(self._step, leaf)} goes into a torch.autograd.Function as it is, "
                    f"where it can't be followed; give the function a view of it (w.view_as(w))"
                )
        return has_any

    def _per_row(self) -> untraceable.PerRow | None:
        """The latest tensor that the step closes over with as many entries as there are rows."""
        rows, places = self._arguments.rows, self._snapshot.tensors
        for tensor in reversed(self._recorded.found):
            if rows > 1 and tensor.dim() > 0 and tensor.shape[0] == rows:
                place = places.get(id(tensor))
                return untraceable.PerRow(str(place or "a tensor"), tuple(tensor.shape))
        return None

    def _row_tensor(self, leaf: Tensor, skip: int, gradient: bool) -> Tensor:
        """A fake tensor `(B, ...)`, B a symbol, for a leaf whose first `skip` sizes are T and B, or
        B."""
        with self._fake:
            return torch.empty(
                (self._rows, *leaf.shape[skip:]), dtype=leaf.dtype, device=leaf.device,
                requires_grad=gradient and leaf.is_floating_point() and self._with_gradients,
            )  # fmt: skip

    def _described(self, graph: fx.Graph) -> Trace:
        a, seen = self._arguments, self._seen
        output_node = next(node for node in reversed(graph.nodes) if node.op == "output")
        counts = [seen.output_structure.num_leaves, len(a.state), sum(seen.wanted)]
        *results, made = _divided(pytree.tree_leaves(output_node.args[0]), counts)
        output_node.args = (tuple(results),)
        placeholders = [node for node in graph.nodes if node.op == "placeholder"]
        inputs, state, _ = _divided(placeholders, [len(a.inputs), len(a.state)])
        closed, cots = _divided(made, [len(seen.closed)])
        closed_nodes, cots = _given(graph, closed, "closed"), _given(graph, cots, "cotangent")
        simplify(graph)
        split_cat_products(graph, cots, self._lines)
        simplify(graph)  # which finds products of the same parts
        outputs, following, found = output_node.args[0]
        # What autograd was not asked for, and what it found nothing for, are both None here.
        remaining = iter(found)
        gradients = [next(remaining) if want else None for want in seen.wanted]
        d_inputs, d_state, d_closed = _divided(gradients, [len(inputs), len(state)])
        flags, supply = iter(seen.carries), iter(cots)
        cotangent_of: list[fx.Node | None] = []
        for result in [*outputs, *following]:
            node = next(supply) if _floats(result.meta["val"]) else None
            cotangent_of.append(node if node is not None and next(flags) else None)
        return Trace(
            graph=graph, rows=self._rows.node.expr, inputs=inputs, state=state, closed=seen.closed,
            closed_nodes=closed_nodes, outputs=list(outputs), next_state=list(following),
            output_structure=seen.output_structure, cot_outputs=cotangent_of[: len(outputs)],
            cot_state=cotangent_of[len(outputs) :], d_inputs=d_inputs, d_state=d_state,
            d_closed=d_closed, lines=self._lines, calls=self._recorded.made_by,
            one_row=self._rehearsal.one_row,
            calls_back=seen.calls_back,
        )  # fmt: skip


@dataclass
class _Seen:
    """What a run of the step showed beside its graph.

    closed: tensors that it closes over. wanted: which of the inputs, the state and those have a
    gradient. carries: which floating-point results have one. calls_back: see `Trace`.
    """

    closed: list[Tensor]
    output_structure: Structure
    wanted: list[bool]
    carries: list[bool]
    calls_back: bool


class _Lift(Recording):
    """Notes, too, where in the user's source the nodes of the graph come from, and the first
    condition on the number of rows."""

    warns = False  # once is enough, and sizes are symbols now

    def __init__(
        self, is_reachable: Callable[[Any], bool], device: str, lines: dict[fx.Node, str],
        shapes: ShapeEnv,
    ) -> None:  # fmt: skip
        super().__init__(is_reachable, device)
        self.first_guard: tuple[str, str] | None = None
        self.made_by: dict[fx.Node, str] = {}
        self._lines, self._shapes = lines, shapes

    def run(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], line: str) -> Any:
        proxy_mode = get_proxy_mode()
        if proxy_mode is None:
            return function(*args, **kwargs)
        nodes = proxy_mode.tracer.graph._root  # the list is circular: _root.prev is the last node
        last, had_guards = nodes.prev, bool(self._shapes.guards)
        result = function(*args, **kwargs)
        if not had_guards and self._shapes.guards:
            self.first_guard = name_of_call(function), line
        node = last.next
        while node is not nodes:
            self._lines.setdefault(node, line)
            self.made_by.setdefault(node, name_of_call(function))
            node = node.next
        return result


def _behind(results: Iterable[Tensor]) -> Iterator[Any]:
    """Every operation that autograd would go back through."""
    stack: list[Any] = [result.grad_fn for result in results]
    seen: set[Any] = {None}
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            yield node
            stack += [source for source, _ in node.next_functions]


def _as_it_is(value: Any) -> Any:
    return value


def _require_no_literals(graph: fx.Graph, lines: dict[fx.Node, str]) -> None:
    for node in graph.nodes:
        if node.op == "get_attr":
            users = [lines[user] for user in node.users if user in lines]
            where = users[0] if users else "a line that can't be seen, perhaps of torch.jit.script"
            raise UnsupportedStep(
                f"the step makes a tensor from numbers, used at {where}; "
                f"make it once, outside the step"
            )


def _writes_in_place(node: fx.Node) -> bool:
    return isinstance(node.target, OpOverload) and node.target._schema.is_mutable


def _given(graph: fx.Graph, nodes: list[fx.Node], name: str) -> list[fx.Node]:
    """Placeholders in place of nodes, after those that the graph has."""
    first = next(node for node in graph.nodes if node.op != "placeholder")
    placeholders = []
    with graph.inserting_before(first):
        for number, node in enumerate(nodes):
            placeholder = graph.placeholder(f"{name}_{number}")
            placeholder.meta = node.meta
            node.replace_all_uses_with(placeholder)
            placeholders.append(placeholder)
    return placeholders


def _floats(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _divided(items: list[Any], sizes: list[int]) -> list[list[Any]]:
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

"""The gradients of a compiled scan through the plain loop.

So they can be differentiated again, or be many at once; and it takes over where the compiled
backward pass can't go on.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
import torch.utils._pytree as pytree
from torch import Tensor, fx
from torch.overrides import TorchFunctionMode

from elman.engine import memory, reference
from elman.engine.arguments import Arguments
from elman.engine.graph.trace import Trace
from elman.engine.run.compiled import CompiledStep
from elman.errors import StepError, UnsupportedStep
from elman.nest import flatten

Find = Callable[[reference.Step, Arguments], tuple[CompiledStep, list[Tensor]]]
"""The compiled step for some arguments, and the tensors that the step closes over now."""


def replayed_gradients(
    step: reference.Step,
    given: Arguments,
    closed: list[Tensor],
    gradients: Sequence[Tensor | None],
    create_graph: bool,
) -> list[Tensor | None]:
    """Gradients of inputs, state, reset state and closed-over tensors, each in the shape of its
    tensor; None where there is none.

    gradients: of all outputs, `(T, B, ...)`, and of the final state, `(B, ...)`.
    """
    with torch.enable_grad():
        given = replace(
            given,
            inputs=_aliases(given.inputs),
            state=_aliases(given.state),
            reset_state=given.reset_state and _aliases(given.reset_state),
        )
        swapped = _aliases(closed)
        with _Swap(closed, swapped):
            output, final = reference.run(step, given)
    results = [*flatten(output, "output")[0], *flatten(final, "state")[0]]
    pairs = [
        (result, gradient) for result, gradient in zip(results, gradients, strict=True)
        if gradient is not None and result.requires_grad
    ]  # fmt: skip
    tensors = [*given.inputs, *given.state, *(given.reset_state or ()), *swapped]
    wanted = [tensor for tensor in tensors if tensor.requires_grad]
    if not pairs or not wanted:
        return [None] * len(tensors)
    found = torch.autograd.grad(
        [r for r, _ in pairs], wanted, [g for _, g in pairs],
        create_graph=create_graph, allow_unused=True,
    )  # fmt: skip
    supply = iter(found)
    return [next(supply) if tensor.requires_grad else None for tensor in tensors]


def _aliases(leaves: list[Tensor]) -> list[Tensor]:
    """Views of the same shape, that these gradients are taken for in place of the leaves. A hook of
    the user's on a tensor must not run for inner gradients; and an input may itself be made of a
    tensor that the step closes over, whose gradient on that way comes later."""
    return [leaf.view_as(leaf) if leaf.requires_grad else leaf for leaf in leaves]


class _Swap(TorchFunctionMode):
    """Puts a tensor in place of another wherever a function of torch is given it."""

    def __init__(self, old: list[Tensor], new: list[Tensor]) -> None:
        super().__init__()
        self._new = {id(tensor): instead for tensor, instead in zip(old, new, strict=True)}

    def __torch_function__(
        self,
        function: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        swap = lambda value: self._new.get(id(value), value)  # noqa: E731
        args, kwargs = pytree.tree_map(swap, (args, kwargs or {}))
        return function(*args, **kwargs)


def require_same_step(
    step: reference.Step, then: CompiledStep, closed: list[Tensor], arguments: Arguments, find: Find
) -> None:
    """Raise `StepError` if the step is no longer what it was in the forward pass.

    The plain loop, and hooks on gradients, can run only as they are now. closed: what the step
    closed over then, tensors of any shape.
    """
    try:
        with torch.enable_grad():
            now, closed_now = find(step, arguments)
    except UnsupportedStep as error:
        raise _changed(f"it can't be compiled any more: {error}") from None
    if now is not then:
        as_it_was = _Program(then.plan.trace, closed)
        as_it_is = _Program(now.plan.trace, closed_now)
        for before, after in _differences(as_it_was, as_it_is):
            raise _changed(f"{before} is now {after}")
    for old, new in zip(closed, closed_now, strict=True):
        if old is not new and not (old.dim() == 0 and torch.equal(old, new)):
            name = memory.name_of(step, new)
            if old.dim() == new.dim() == 0:
                raise _changed(f"{name} was {old.item()} and is {new.item()}")
            raise _changed(f"{name} is another tensor now")


class _Program(NamedTuple):
    """A trace, and the tensors that the step closed over; some of them stand for floats."""

    trace: Trace
    closed: list[Tensor]

    def operations(self) -> list[fx.Node]:
        return [node for node in self.trace.graph.nodes if node.op != "placeholder"]

    def described(self, node: fx.Node) -> str:
        nodes = self.trace.closed_nodes

        def said(argument: Any) -> str:
            is_closed_over = isinstance(argument, fx.Node) and argument in nodes
            tensor = self.closed[nodes.index(argument)] if is_closed_over else None
            return str(tensor.item() if tensor is not None and tensor.dim() == 0 else argument)

        name = getattr(node.target, "__name__", str(node.target))
        where = self.trace.lines.get(node, "the backward pass of the step")
        return f"{name}({', '.join(map(said, node.args))}) at {where}"


def _differences(then: _Program, now: _Program) -> Iterator[tuple[str, str]]:
    """What differs between two programs, in words."""
    before, after = then.operations(), now.operations()
    for old, new in zip(before, after, strict=False):
        if (old.target, str(old.args), str(old.kwargs)) != (
            new.target, str(new.args), str(new.kwargs),
        ):  # fmt: skip
            yield then.described(old), now.described(new)
    if len(before) != len(after):
        yield f"a step of {len(before)} operations", f"one of {len(after)}"


def _changed(what: str) -> StepError:
    return StepError(
        f"these gradients need the step as it was in the forward pass, but {what}; "
        f"change the step after the backward pass"
    )

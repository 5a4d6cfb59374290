"""A compiled scan as an operation of autograd."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from elman.engine import reference
from elman.engine.arguments import Arguments
from elman.engine.collected import Saved
from elman.engine.compiled import CompiledStep
from elman.engine.layout import Folded, layout_of
from elman.engine.nest import Nest, flatten, rebuild
from elman.engine.nodes import row_shape
from elman.errors import UnsupportedStep


def run(
    step: reference.Step, compiled: CompiledStep, arguments: Arguments, closed: list[Tensor]
) -> tuple[Nest, Nest]:
    """Run a compiled step, differentiable if gradients are wanted.

    closed: the tensors that the step closes over now, in the order of its trace.
    """
    trace = compiled.plan.trace
    call = _Call(step, compiled, arguments)
    given = (arguments.inputs, arguments.state, arguments.reset_state, closed)
    if compiled.plan.backward is not None:
        tensors = (*given[0], *given[1], *(given[2] or ()), *closed)
        results = list(_Scan.apply(call, *tensors))
    elif torch.is_grad_enabled():  # else the context, too, would take its time of a short call
        with torch.no_grad():
            results, _ = call.forward(*given)
    else:
        results, _ = call.forward(*given)
    count = len(trace.outputs)
    output = rebuild(results[:count], trace.output_structure)
    return output, arguments.state_nest(results[count:])


class _Call:
    """One call of `scan`: what its forward and backward pass share."""

    def __init__(self, step: reference.Step, compiled: CompiledStep, arguments: Arguments) -> None:
        self.step = step
        self.compiled = compiled
        self.arguments = arguments
        self.layout: Folded = layout_of(arguments)
        self._generator: Tensor | None = None  # its state before the forward pass, if that draws

    def parts(self, tensors: Sequence[Any]) -> tuple[list, list, list | None, list]:
        """Inputs, state, reset state and closed-over tensors (or what belongs to each)."""
        a, start = self.arguments, 0
        sizes = [len(a.inputs), len(a.state), len(a.reset_state or ())]
        groups = []
        for size in sizes:
            groups.append(list(tensors[start : start + size]))
            start += size
        reset_state = groups[2] if a.reset_state is not None else None
        return groups[0], groups[1], reset_state, list(tensors[start:])

    def forward(
        self, inputs: list[Tensor], state: list[Tensor], reset_state: list[Tensor] | None,
        closed: list[Tensor],
    ) -> tuple[list[Tensor], Saved]:  # fmt: skip
        layout = self.layout
        if self.compiled.is_random and self.compiled.plan.backward is not None:
            self._generator = torch.get_rng_state()
        outputs, final, saved = self.compiled.forward(
            self.arguments,
            layout,
            [layout.fold(leaf) for leaf in inputs],
            [layout.sort(leaf) for leaf in state],
            reset_state and [layout.sort(leaf) for leaf in reset_state],
            closed,
        )
        return [*outputs, *[layout.unsort(leaf) for leaf in final]], saved

    def saved_again(self, tensors: Sequence[Tensor]) -> Saved:
        """What the forward pass saved, bit for bit, after the user has changed an output in place.
        Outputs and saved values share memory, and a copy would cost those who change nothing."""
        if self._generator is None:
            return self.forward(*self.parts(tensors))[1]
        with torch.random.fork_rng(devices=()):
            torch.set_rng_state(self._generator)
            return self.forward(*self.parts(tensors))[1]

    def backward(
        self, tensors: Sequence[Tensor], saved: Saved, gradients: tuple[Tensor | None, ...]
    ) -> list[Tensor | None]:
        inputs, state, reset_state, closed = self.parts(tensors)
        layout, count = self.layout, len(self.compiled.plan.trace.outputs)
        dtype = self.compiled.dtype
        zeros = lambda leaf: torch.zeros(leaf.shape, dtype=dtype)  # noqa: E731
        d_reset = reset_state and [zeros(leaf) for leaf in reset_state]
        d_inputs, d_state, d_closed = self.compiled.backward(
            self.arguments,
            layout,
            [layout.fold(leaf) for leaf in inputs],
            closed,
            saved,
            self._of_outputs(gradients[:count]),
            [
                zeros(leaf) if gradient is None else layout.sort(gradient).clone()
                for leaf, gradient in zip(state, gradients[count:], strict=True)
            ],
            d_reset,
        )
        return [
            *(None if leaf is None else layout.unfold(leaf) for leaf in d_inputs),
            *(layout.unsort(leaf) for leaf in d_state),
            *(layout.unsort(leaf) for leaf in d_reset or ()),
            *d_closed,
        ]

    def _of_outputs(self, gradients: tuple[Tensor | None, ...]) -> list[Tensor]:
        """Folded; zeros where nothing came."""
        nodes, total = self.compiled.plan.trace.outputs, self.layout.total
        return [
            torch.zeros(total, *row_shape(node), dtype=node.meta["val"].dtype)
            if gradient is None else self.layout.fold(gradient)
            for node, gradient in zip(nodes, gradients, strict=True)
        ]  # fmt: skip

    def reference_gradients(
        self, tensors: Sequence[Tensor], gradients: tuple[Tensor | None, ...],
        create_graph: bool = True,
    ) -> list[Tensor | None]:  # fmt: skip
        """The same gradients through the plain loop, so that they can be differentiated again, or
        be many at once."""
        if self.compiled.is_random:
            raise UnsupportedStep(
                "second derivatives, and batches of gradients, of a step that draws random numbers "
                "would need the same draws again; run it with backend='reference'"
            )
        inputs, state, reset_state, _ = self.parts(tensors)
        given = replace(self.arguments, inputs=inputs, state=state, reset_state=reset_state)
        output, final = reference.run(self.step, given)
        results = [*flatten(output, "output")[0], *flatten(final, "state")[0]]
        pairs = [
            (result, gradient) for result, gradient in zip(results, gradients, strict=True)
            if gradient is not None and result.requires_grad
        ]  # fmt: skip
        wanted = [tensor for tensor in tensors if tensor.requires_grad]
        found = torch.autograd.grad(
            [r for r, _ in pairs], wanted, [g for _, g in pairs],
            create_graph=create_graph, allow_unused=True,
        )  # fmt: skip
        supply = iter(found)
        return [next(supply) if tensor.requires_grad else None for tensor in tensors]


def _handed_over(ctx: Any, tensors: Sequence[Tensor]) -> Saved:
    """What the forward pass saved; for good, if there will be no other backward pass."""
    if ctx.saved.were_changed():
        ctx.saved = ctx.call.saved_again(tensors)
    saved = ctx.saved
    if torch._C._autograd._get_current_graph_task_keep_graph():
        return replace(saved, is_last_use=False)
    ctx.saved = None
    return saved


class _Scan(Function):
    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        results, saved = call.forward(*call.parts(tensors))
        ctx.call, ctx.saved = call, saved
        ctx.save_for_backward(*tensors, call.arguments.reset)  # torch refuses if one was changed
        ctx.set_materialize_grads(False)
        trace = call.compiled.plan.trace
        carries = (*trace.cot_outputs, *trace.cot_state)
        constant = [r for r, node in zip(results, carries, strict=True) if node is None]
        if constant:
            ctx.mark_non_differentiable(*constant)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        *tensors, _ = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph=True
            return None, *ctx.call.reference_gradients(tensors, gradients)
        if any(g is not None and torch._C._functorch.is_legacy_batchedtensor(g) for g in gradients):
            with torch.enable_grad():
                return None, *ctx.call.reference_gradients(tensors, gradients, create_graph=False)
        found = ctx.call.backward(tensors, _handed_over(ctx, tensors), gradients)
        needed = ctx.needs_input_grad[1:]
        return None, *(g if need else None for g, need in zip(found, needed, strict=True))

"""A compiled scan as an operation of autograd."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from elman.engine import memory, reference
from elman.engine.arguments import Arguments
from elman.engine.faults import failure, is_no_fault, name_of
from elman.engine.graph.nodes import row_shape
from elman.engine.run.collected import Saved
from elman.engine.run.compiled import CompiledStep
from elman.engine.run.layout import Folded, layout_of
from elman.engine.run.replay import Find, replayed_gradients, require_same_step
from elman.engine.run.unused import Reached, holds_nan
from elman.engine.source import warn
from elman.errors import StepError, UnsupportedStep
from elman.nest import Nest, rebuild


def run(step: reference.Step, arguments: Arguments, find: Find) -> tuple[Nest, Nest]:
    """Compile a step, or find it compiled, and run it; differentiable if gradients are wanted.

    Raises:
        UnsupportedStep: it can't be compiled, or that failed.
    """
    compiled, closed = find(step, arguments)
    memory.require_kept(step, closed)
    trace = compiled.plan.trace
    call = _Call(step, compiled, arguments, closed, find)
    given = (arguments.inputs, arguments.state, arguments.reset_state, closed)
    if compiled.plan.backward is not None:
        tensors = (*given[0], *given[1], *(given[2] or ()), *closed)
        results = _differentiably(call, tensors)
    elif torch.is_grad_enabled():  # else the context, too, would take its time of a short call
        with torch.no_grad():
            results, _ = call.forward(*given)
    else:
        results, _ = call.forward(*given)
    count = len(trace.outputs)
    output = rebuild(results[:count], trace.output_structure)
    return output, arguments.state_nest(results[count:])


def _differentiably(call: "_Call", tensors: tuple[Tensor, ...]) -> list[Tensor]:
    """All outputs, `(T, B, ...)`, and the final state, `(B, ...)`, with a gradient."""
    try:
        return list(_Scan.apply(call, *tensors))  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        if "Inference tensors" not in str(error):
            raise
    raise UnsupportedStep(
        "a tensor made in inference mode can't be saved for the backward pass; make it outside, or "
        "clone it; it runs with backend='reference'"
    )


class _Call:
    """One call of `scan`: what its forward and backward pass share."""

    def __init__(
        self, step: reference.Step, compiled: CompiledStep, arguments: Arguments,
        closed: list[Tensor], find: Find,
    ) -> None:  # fmt: skip
        self.step = step
        self.compiled = compiled
        self.arguments = arguments
        self.closed = closed
        self._find = find
        self.layout: Folded = layout_of(arguments)
        self._generator: Tensor | None = None  # its state before the forward pass, if that draws

    def parts(
        self, tensors: Sequence[Any]
    ) -> tuple[list[Any], list[Any], list[Any] | None, list[Any]]:
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
        """Outputs `(T, B, ...)` and the final state `(B, ...)` in one list, and what the backward
        pass needs. The leaves are in the shapes in which `Arguments` holds them."""
        layout, arguments = self.layout, self.arguments
        if self.compiled.is_random and self.compiled.plan.backward is not None:
            self._generator = torch.get_rng_state()
        try:
            outputs, final, saved = self.compiled.forward(
                layout,
                folded_inputs=[layout.fold(leaf) for leaf in inputs],
                state=[layout.sort(leaf) for leaf in state],
                closed=closed,
                reset=arguments.reset,
                reset_state=reset_state and [layout.sort(leaf) for leaf in reset_state],
                reverse=arguments.reverse,
            )
        except Exception as error:
            if is_no_fault(error):
                raise
            raise failure(error) from error
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
        self, tensors: Sequence[Tensor], saved: Saved, gradients: Sequence[Tensor | None]
    ) -> list[Tensor | None]:
        """Gradients of all that `parts` tells apart, one after another, each in the shape of its
        tensor.

        gradients: of the outputs, `(T, B, ...)`, and of the final state, `(B, ...)`.
        """
        inputs, state, reset_state, closed = self.parts(tensors)
        layout, count = self.layout, len(self.compiled.plan.trace.outputs)
        dtype = self.compiled.dtype

        def zeros(leaf: Tensor) -> Tensor:
            return torch.zeros_like(leaf, dtype=dtype, memory_format=torch.contiguous_format)

        d_reset = reset_state and [zeros(leaf) for leaf in reset_state]
        d_inputs, d_state, d_closed = self.compiled.backward(
            layout,
            folded_inputs=[layout.fold(leaf) for leaf in inputs],
            closed=closed,
            saved=saved,
            d_outputs=self._of_outputs(gradients[:count]),
            d_state=[
                zeros(leaf)
                if gradient is None
                else layout.sort(gradient).clone(memory_format=torch.contiguous_format)
                for leaf, gradient in zip(state, gradients[count:], strict=True)
            ],
            reset=self.arguments.reset,
            d_reset=d_reset,
            reverse=self.arguments.reverse,
        )
        reached = self._reached(gradients)
        # Of rows without any step a gradient comes through as it is.
        ways = [w or self.passes_through(count + i) for i, w in enumerate(reached.state)]
        return [
            *(
                layout.unfold(leaf) if leaf is not None and is_reached else None
                for leaf, is_reached in zip(d_inputs, reached.inputs, strict=True)
            ),
            *(
                layout.unsort(leaf) if way else None
                for leaf, way in zip(d_state, ways, strict=True)
            ),
            *(
                layout.unsort(leaf) if way else None
                for leaf, way in zip(d_reset or (), ways if d_reset else (), strict=True)
            ),
            *(
                leaf if is_reached else None
                for leaf, is_reached in zip(d_closed, reached.closed, strict=True)
            ),
        ]

    def _reached(self, gradients: Sequence[Tensor | None]) -> Reached:
        return self.compiled.unused.reached(tuple([g is not None for g in gradients]))

    def _of_outputs(self, gradients: Sequence[Tensor | None]) -> list[Tensor]:
        """Folded, `(N, ...)`; zeros where nothing came."""
        nodes, total = self.compiled.plan.trace.outputs, self.layout.total
        return [
            torch.zeros(
                total, *row_shape(node), dtype=node.meta["val"].dtype, device=self.arguments.device
            )
            if gradient is None else self.layout.fold(gradient)
            for node, gradient in zip(nodes, gradients, strict=True)
        ]  # fmt: skip

    def replay(
        self, tensors: Sequence[Tensor], gradients: Sequence[Tensor | None], create_graph: bool
    ) -> list[Tensor | None]:
        """The same gradients through the plain loop; shapes are those of `backward`.

        Raises:
            UnsupportedStep: the step draws random numbers.
            StepError: the step has changed since the forward pass.
        """
        if self.compiled.is_random:
            raise UnsupportedStep(
                f"{name_of(self.step)} draws random numbers, and second derivatives, batches of "
                f"gradients, or a plain loop for its backward pass would need the same draws "
                f"again; run it with backend='reference'"
            )
        self.require_same_step()
        inputs, state, reset_state, _ = self.parts(tensors)
        given = replace(self.arguments, inputs=inputs, state=state, reset_state=reset_state)
        return replayed_gradients(self.step, given, self.closed, gradients, create_graph)

    def require_same_step(self) -> None:
        require_same_step(self.step, self.compiled, self.closed, self.arguments, self._find)

    def gradients(
        self, tensors: Sequence[Tensor], saved: Saved, gradients: Sequence[Tensor | None]
    ) -> list[Tensor | None]:
        """Compiled, or through the plain loop where that fails; shapes are those of `backward`."""
        try:
            with memory.own_allocations():
                found = self.backward(tensors, saved, gradients)
        except Exception as error:
            if is_no_fault(error):
                raise
            found = self.replay(tensors, gradients, create_graph=False)
            warn(
                f"elman.scan ran the backward pass of {name_of(self.step)} as a plain Python loop: "
                f"{failure(error)}"
            )
            return found
        if not self._reached(gradients).may_make_nan or self.compiled.is_random:
            return found
        if any(map(holds_nan, found)):
            with suppress(StepError):  # it is another step by now
                return self.replay(tensors, gradients, create_graph=False)
        return found

    def carries(self, tensors: Sequence[Tensor]) -> list[bool]:
        """Which results have a gradient."""
        inputs, state, reset_state, closed = [
            tuple([leaf.requires_grad for leaf in group or ()]) for group in self.parts(tensors)
        ]
        if reset_state:
            state = tuple([a or b for a, b in zip(state, reset_state, strict=True)])
        return self.compiled.differentiable.results(inputs, state, closed)

    def passes_through(self, index: int) -> bool:
        """Whether some of a result may be a first state as it came: of rows without any step."""
        arguments, count = self.arguments, len(self.compiled.plan.trace.outputs)
        if index < count or not arguments.state[index - count].requires_grad:
            return False
        return arguments.steps == 0 or 0 in (arguments.lengths or ())


class _Scan(Function):
    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Outputs, `(T, B, ...)`, and the final state, `(B, ...)`. tensors: all that `parts` tells
        apart."""
        results, saved = call.forward(*call.parts(tensors))
        ctx.call, ctx.saved, ctx.count = call, saved, len(tensors)
        kept: list[Tensor] = []
        if torch._C._autograd._top_saved_tensors_default_hooks(True) is not None:
            kept = _left_to_hooks(ctx, results)
        # The mask is saved so that torch refuses if it was changed.
        ctx.save_for_backward(*tensors, call.arguments.reset, *kept)
        ctx.set_materialize_grads(False)
        carries = call.carries(tensors)
        constant = [
            result for index, (result, carry) in enumerate(zip(results, carries, strict=True))
            if not carry and not call.passes_through(index)
        ]  # fmt: skip
        if constant:
            ctx.mark_non_differentiable(*constant)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        """Gradients of the tensors that `forward` was given, each in its shape; gradients: of its
        results."""
        call: _Call = ctx.call
        everything = ctx.saved_tensors
        tensors = everything[: ctx.count]
        given = [g for g in gradients if g is not None]
        if torch.is_grad_enabled():  # create_graph=True
            return None, *call.replay(tensors, gradients, create_graph=True)
        device = call.compiled.site.device.type
        if torch._C._len_torch_dispatch_stack() or not memory.are_plain(given, device):
            if any(memory.obstacle(g, device) != memory.NEGATED for g in given):
                return None, *call.replay(tensors, gradients, create_graph=False)
            gradients = tuple([None if g is None else g.resolve_neg() for g in gradients])
        if call.compiled.plan.trace.calls_back:
            call.require_same_step()
        saved = _handed_over(ctx, tensors, everything[ctx.count + 1 :])
        found = call.gradients(tensors, saved, gradients)
        needed = ctx.needs_input_grad[1:]
        return None, *(g if need else None for g, need in zip(found, needed, strict=True))


def _left_to_hooks(ctx: Any, results: list[Tensor]) -> list[Tensor]:
    """What the forward pass saved, `(N, ...)` each, for hooks on saved tensors, such as those of
    torch.utils.checkpoint, to keep. What lies in an output's memory, which the user may change, is
    copied: behind a hook torch does not look for changes."""
    saved: Saved = ctx.saved
    shown = {result.untyped_storage().data_ptr() for result in results}
    kept = [
        value.clone() if value.untyped_storage().data_ptr() in shown else value
        for value in saved.values.values()
    ]
    ctx.saved, ctx.nodes = None, list(saved.values)
    return kept


def _handed_over(ctx: Any, tensors: Sequence[Tensor], kept: Sequence[Tensor]) -> Saved:
    """What the forward pass saved, `(N, ...)` each; for good, if there will be no other backward
    pass."""
    if ctx.saved is None:  # a second pass without it torch has refused by now
        return Saved(dict(zip(ctx.nodes, kept, strict=True)), {}, [], is_last_use=False)
    if ctx.saved.were_changed():
        ctx.saved = ctx.call.saved_again(tensors)
    saved: Saved = ctx.saved
    if torch._C._autograd._get_current_graph_task_keep_graph():
        return replace(saved, is_last_use=False)
    ctx.saved = None
    return saved

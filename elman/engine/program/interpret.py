"""Row programs evaluated with torch operations: the oracle of every compiled backend."""

from collections.abc import Callable

import torch
from torch import Tensor

from elman.engine.graph.operations import PointwiseName, ReduceName
from elman.engine.program.row_program import (
    Carried,
    Cat,
    Constant,
    Input,
    Op,
    Pointwise,
    Product,
    Reduce,
    Resets,
    RowProgram,
    Slice,
    Timetable,
    Vector,
)  # fmt: skip

_FUNCTIONS: dict[PointwiseName, Callable[..., Tensor]] = {
    "neg": torch.neg, "abs": torch.abs, "sign": torch.sign, "reciprocal": torch.reciprocal,
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div,
    "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "pow": torch.pow,
    "minimum": torch.minimum, "maximum": torch.maximum, "floor": torch.floor, "ceil": torch.ceil,
    "round": torch.round, "trunc": torch.trunc, "remainder": torch.remainder, "fmod": torch.fmod,
    "exp": torch.exp, "expm1": torch.expm1, "log": torch.log, "log1p": torch.log1p,
    "log2": torch.log2, "exp2": torch.exp2, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    "erf": torch.erf, "sin": torch.sin, "cos": torch.cos, "eq": torch.eq, "ne": torch.ne,
    "lt": torch.lt, "le": torch.le, "gt": torch.gt, "ge": torch.ge,
    "where": lambda c, a, b: torch.where(c != 0, a, b),
    "and": lambda a, b: (a != 0) & (b != 0), "or": lambda a, b: (a != 0) | (b != 0),
    "not": lambda a: a == 0, "isnan": torch.isnan,
}  # fmt: skip

_REDUCTIONS: dict[ReduceName, Callable[[Tensor, int, bool], Tensor]] = {
    "sum": torch.sum, "amax": torch.amax, "amin": torch.amin,
}  # fmt: skip
"""Of a tensor, along an axis, which is kept or not."""


class Interpreter:
    """Implements `elman.engine.program.row_program.Kernel`.

    computed: the type in which it computes, if that is not the program's.
    """

    def __init__(self, program: RowProgram, computed: torch.dtype | None = None) -> None:
        self.program = program
        self._computed = computed or program.dtype

    def pack(self, weights: list[Tensor], transposed: frozenset[int] = frozenset()) -> list[Tensor]:
        """Weights `(K, W)`, in the type in which it computes; transposed: numbers of those that
        come as `(W, K)`."""
        given = [w.t() if number in transposed else w for number, w in enumerate(weights)]
        return [weight.to(self._computed) for weight in given]

    def __call__(
        self,
        timetable: Timetable,
        *,
        inputs: list[Tensor],
        vectors: list[Tensor],
        weights: list[Tensor],
        state: list[Tensor],
        outputs: list[Tensor],
        resets: Resets | None = None,
    ) -> list[Tensor]:
        """Run the program step by step: streams `(N, W)`, vectors `(W,)`, state `(B, W)`, weights
        as `pack` gives them. Returns the sums, `(W,)` each."""
        device, wide = timetable.offsets.device, self._computed
        vectors = [vector.to(wide) for vector in vectors]
        sums = [
            torch.zeros(self.program.ops[index].width, dtype=wide, device=device)
            for index in self.program.sums
        ]
        offsets = timetable.offsets.tolist()
        steps = list(range(len(offsets) - 1))
        for t in reversed(steps) if timetable.backwards else steps:
            span, rows = slice(offsets[t], offsets[t + 1]), offsets[t + 1] - offsets[t]
            now = [leaf[:rows] for leaf in state]
            if resets is not None and resets.when == "before":
                mask = resets.mask[span, None]
                now = [
                    torch.where(mask, value[:rows], leaf)
                    for value, leaf in zip(resets.values, now, strict=True)
                ]
            # Cloned, because outputs may lie in the memory of inputs.
            now_inputs = [leaf[span].to(wide, copy=True) for leaf in inputs]
            values = self._run(now_inputs, vectors, weights, [leaf.to(wide) for leaf in now])
            for output, index in zip(outputs, self.program.outputs, strict=True):
                output[span] = values[index]
            for total, index in zip(sums, self.program.sums, strict=True):
                total += values[index].sum(0)
            following = [values[index].clone() for index in self.program.next]
            for slot, (leaf, new) in enumerate(zip(state, following, strict=True)):
                if resets is not None and resets.when == "after":
                    mask = resets.mask[span, None]
                    resets.values[slot][:rows] += torch.where(mask, new, 0)
                    new = torch.where(mask, 0, new)
                leaf[:rows] = new
        return [total.to(self.program.dtype) for total in sums]

    def _run(
        self, inputs: list[Tensor], vectors: list[Tensor], weights: list[Tensor], now: list[Tensor]
    ) -> list[Tensor]:
        """The values of all ops in one step, `(rows, W)` each. inputs, now: `(rows, W)`. vectors:
        `(W,)`. weights: `(K, W)`."""
        values: list[Tensor] = []
        rows = now[0].shape[0] if now else inputs[0].shape[0]
        for op in self.program.ops:
            values.append(self._value(op, values, inputs, vectors, weights, now, rows))
        return values

    def _value(
        self, op: Op, values: list[Tensor], inputs: list[Tensor], vectors: list[Tensor],
        weights: list[Tensor], now: list[Tensor], rows: int,
    ) -> Tensor:  # fmt: skip
        """The value of one op, `(rows, W)`, from the earlier ones; the others as in `_run`."""
        dtype = self._computed
        match op:
            case Constant(value=value):
                return torch.full((rows, op.width), value, dtype=dtype)
            case Input(index=index):
                return inputs[index]
            case Vector(index=index):
                return vectors[index].expand(rows, op.width)
            case Carried(index=index):
                return now[index]
            case Product(left=left, index=index):
                return values[left] @ weights[index]
            case Pointwise(name=name, args=args):
                result = _FUNCTIONS[name](*[values[arg] for arg in args])
                return result.to(dtype).expand(rows, op.width)
            case Reduce(name=name, arg=arg):
                return _REDUCTIONS[name](values[arg], 1, True)
            case Slice(arg=arg, start=start):
                return values[arg][:, start : start + op.width]
            case Cat(args=args):
                return torch.cat([values[arg] for arg in args], dim=1)
        raise NotImplementedError(type(op).__name__)

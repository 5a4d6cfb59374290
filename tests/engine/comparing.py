"""Running a step through a backend and comparing everything that comes out."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import elman
from tests.engine.disturbed import disturbed

TOLERANCES = {torch.float64: 1e-11, torch.float32: 2e-5, torch.bfloat16: 0.03}
"""Largest error of a number, as a share of this number itself."""

ALLOWANCE = 16
"""How many times as far as the disturbed loop a number may be off, where it is ill-conditioned."""

TRIES = 8
"""Disturbed runs at most. An element that all of them leave in place is not ill-conditioned."""

Tensors = dict[str, Tensor]


@dataclass
class Expected:
    """What the plain loop gives in float64, and how far rounding moves it.

    again: the same run once more. alike: the plain loop in the dtype that is judged, whose own
        overflow and underflow are right by definition.
    """

    tensors: Tensors
    again: Callable[[], Tensors]
    alike: Tensors | None = None
    _disturbed: dict[torch.dtype, list[Tensors]] = field(default_factory=dict)

    def disturbed(self, dtype: torch.dtype, number: int) -> Tensors:
        runs = self._disturbed.setdefault(dtype, [])
        while len(runs) <= number:
            runs.append(disturbed(self.again, dtype, len(runs)))
        return runs[number]

    def differences(
        self, found: Tensors, dtype: torch.dtype, tolerance: float | None = None
    ) -> list[str]:
        """One line for every tensor that is not what it should be."""
        if found.keys() != self.tensors.keys():
            return [f"gives {sorted(found)} instead of {sorted(self.tensors)}"]
        share = TOLERANCES[dtype] if tolerance is None else tolerance
        lines = [self._difference(name, tensor, dtype, share) for name, tensor in found.items()]
        return [line for line in lines if line]

    def _difference(self, name: str, found: Tensor, dtype: torch.dtype, share: float) -> str:
        exact = self.tensors[name]
        alike = (self.alike or self.tensors)[name]
        if found.shape != exact.shape:
            return f"{name}: shape {tuple(found.shape)} instead of {tuple(exact.shape)}"
        if self.alike is not None and found.dtype != alike.dtype:
            return f"{name}: {found.dtype} instead of {alike.dtype}"
        limit = torch.finfo(dtype).tiny
        right = _near(found, exact, share, limit) | _near(found, alike, share, limit)
        spread = torch.zeros(exact.shape, dtype=torch.float64)
        for number in range(TRIES):
            if right.all():
                return ""
            moved = self.disturbed(dtype, number)[name]
            spread = torch.maximum(spread, _distance(moved, exact))
            right |= _distance(found, exact) <= ALLOWANCE * spread
        if right.all():
            return ""
        place = tuple((~right).nonzero()[0].tolist())
        return (
            f"{name}{list(place)}: {found[place].item()!r} instead of {exact[place].item()!r}, "
            f"where rounding moves it by {spread[place].item():.1e}; "
            f"{int((~right).sum())} of {right.numel()} are wrong"
        )


def _near(found: Tensor, expected: Tensor, share: float, least: float) -> Tensor:
    """Where found is expected, up to a share of it; exactly, if they are no floats."""
    if not expected.is_floating_point():
        return found == expected
    found, expected = found.double(), expected.double()
    close = (found - expected).abs() <= share * expected.abs() + least
    return (close & expected.isfinite()) | (found == expected) | (found.isnan() & expected.isnan())


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """Infinite where only one is NaN, or where integers and flags are not the same."""
    if not a.is_floating_point() or not b.is_floating_point():
        return torch.where(a == b, 0.0, torch.inf).double()
    difference = (a.double() - b.double()).abs()
    same = (a == b) | (a.isnan() & b.isnan())
    return torch.where(same, 0.0, difference.nan_to_num(nan=torch.inf, posinf=torch.inf))


def weighted_sum(tensors: list[Tensor]) -> Tensor | int:
    """A loss in which each number counts in its own way."""
    generator = torch.Generator().manual_seed(5)
    weights = [torch.randn(t.shape, generator=generator, dtype=torch.double) for t in tensors]
    pairs = zip(tensors, weights, strict=True)
    return sum((t * weight).sum() for t, weight in pairs if t.requires_grad)


def collected(
    result: tuple[Any, Any], wanted: Tensors, used: Callable[[int], bool] = lambda _: True
) -> Tensors:
    """Outputs, final state and gradients, by name. used: of which results the loss is made."""
    output, final = result
    named = {f"output {i}": leaf for i, leaf in enumerate(pytree.tree_leaves(output))}
    named |= {f"state {i}": leaf for i, leaf in enumerate(pytree.tree_leaves(final))}
    wanted = {name: tensor for name, tensor in wanted.items() if tensor.requires_grad}
    loss = weighted_sum([leaf for index, leaf in enumerate(named.values()) if used(index)])
    if wanted and isinstance(loss, Tensor):
        gradients = torch.autograd.grad(
            loss, list(wanted.values()), allow_unused=True, materialize_grads=True
        )
    else:  # of no step, or of nothing that was learned
        gradients = [torch.zeros_like(tensor) for tensor in wanted.values()]
    named |= dict(zip(wanted, gradients, strict=True))
    return {name: leaf.detach() for name, leaf in named.items()}


@dataclass
class Run:
    """Everything that one call and its backward pass give, by name."""

    tensors: Tensors
    dtype: torch.dtype

    @classmethod
    def of(
        cls, step: Any, input: Any, state: Any, backend: str, closed: tuple = (), **options: Any
    ) -> "Run":
        free = lambda leaf: (  # noqa: E731
            leaf.detach().clone().requires_grad_() if leaf.is_floating_point() else leaf
        )
        input, state = pytree.tree_map(free, input), pytree.tree_map(free, state)
        if options.get("reset_state") is not None:
            options["reset_state"] = pytree.tree_map(free, options["reset_state"])
        result = elman.scan(step, input, state, backend=backend, **options)
        wanted = _named("input", input) | _named("state", state)
        wanted |= _named("reset", options.get("reset_state")) | _named("closed", closed)
        if isinstance(step, nn.Module):
            wanted |= {f"d {name}": parameter for name, parameter in step.named_parameters()}
        floats = [leaf for leaf in pytree.tree_leaves((state, input)) if leaf.is_floating_point()]
        return cls(collected(result, wanted), floats[0].dtype)

    def require_equal(
        self, expected: Expected, names: Callable[[str], bool] = lambda _: True,
        tolerance: float | None = None,
    ) -> None:  # fmt: skip
        """Raise `AssertionError` where a tensor of these names is not what is expected.
        tolerance: instead of the dtype's own."""
        lines = expected.differences(self.tensors, self.dtype, tolerance)
        lines = [line for line in lines if names(line)]
        assert not lines, "\n".join(lines)

    def require_same_bits(self, other: "Run", names: Callable[[str], bool]) -> None:
        for name, found in self.tensors.items():
            if names(name):
                assert torch.equal(found, other.tensors[name]), name


def _named(kind: str, nest: Any) -> Tensors:
    return {f"d {kind} {i}": leaf for i, leaf in enumerate(pytree.tree_leaves(nest))
            if isinstance(leaf, Tensor)}  # fmt: skip


def plain_loop(step: Any, input: Any, state: Any, closed: tuple = (), **options: Any) -> Expected:
    """The plain loop in the dtype that it is given."""
    run = lambda: Run.of(step, input, state, "reference", closed, **options).tensors  # noqa: E731
    return Expected(run(), run)


def oracle(step: Any, input: Any, state: Any, closed: tuple = (), **options: Any) -> Expected:
    """The plain loop in float64. What a step closes over, but for a module's own tensors, must be
    float64 already."""
    double = lambda leaf: leaf.double() if leaf.is_floating_point() else leaf  # noqa: E731
    if options.get("reset_state") is not None:
        options["reset_state"] = pytree.tree_map(double, options["reset_state"])
    if isinstance(step, nn.Module):
        step = copy.deepcopy(step).double()
    input, state = pytree.tree_map(double, input), pytree.tree_map(double, state)
    return plain_loop(step, input, state, closed, **options)

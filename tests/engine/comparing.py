"""Running a step through a backend and comparing everything that comes out."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import elman

TOLERANCES = {torch.float64: 1e-10, torch.float32: 2e-4}
"""Largest allowed difference, as a share of the largest number of the tensor."""


@dataclass
class Run:
    """Everything that one call and its backward pass give, by name."""

    tensors: dict[str, Tensor]

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
        output, final = elman.scan(step, input, state, backend=backend, **options)
        results = {f"output {i}": leaf for i, leaf in enumerate(pytree.tree_leaves(output))}
        results |= {f"state {i}": leaf for i, leaf in enumerate(pytree.tree_leaves(final))}
        wanted = {f"d input {i}": leaf for i, leaf in enumerate(pytree.tree_leaves(input))}
        wanted |= {f"d state {i}": leaf for i, leaf in enumerate(pytree.tree_leaves(state))}
        reset = pytree.tree_leaves(options.get("reset_state"))
        wanted |= {f"d reset {i}": leaf for i, leaf in enumerate(reset) if leaf is not None}
        wanted |= {f"d closed {i}": tensor for i, tensor in enumerate(closed)}
        if isinstance(step, nn.Module):
            wanted |= {f"d {name}": p for name, p in step.named_parameters()}
        wanted = {name: t for name, t in wanted.items() if t.requires_grad}
        generator = torch.Generator().manual_seed(5)
        loss = sum(
            (leaf * torch.randn(leaf.shape, generator=generator, dtype=torch.double)).sum()
            for leaf in results.values() if leaf.requires_grad
        )  # fmt: skip
        if isinstance(loss, Tensor) and wanted:
            found = torch.autograd.grad(
                loss, list(wanted.values()), allow_unused=True, materialize_grads=True
            )
            results |= dict(zip(wanted, found, strict=True))
        return cls({name: leaf.detach() for name, leaf in results.items()})

    def require_equal(self, other: "Run", tolerance: float) -> None:
        assert self.tensors.keys() == other.tensors.keys()
        for name, found in self.tensors.items():
            expected = other.tensors[name].double()
            assert found.shape == expected.shape, name
            scale = max(expected.nan_to_num().abs().max().item() if expected.numel() else 0, 1.0)
            torch.testing.assert_close(
                found.double(), expected, rtol=0, atol=tolerance * scale, equal_nan=True,
                msg=lambda text, name=name: f"{name}: {text}",
            )  # fmt: skip

    def require_same_bits(self, other: "Run", names: Callable[[str], bool]) -> None:
        for name, found in self.tensors.items():
            if names(name):
                assert torch.equal(found, other.tensors[name]), name


def oracle(step: Any, input: Any, state: Any, **options: Any) -> Run:
    """The plain loop in float64."""
    double = lambda leaf: leaf.double() if leaf.is_floating_point() else leaf  # noqa: E731
    if options.get("reset_state") is not None:
        options["reset_state"] = pytree.tree_map(double, options["reset_state"])
    if isinstance(step, nn.Module):
        step = copy.deepcopy(step).double()
    return Run.of(
        step, pytree.tree_map(double, input),
        pytree.tree_map(double, state), "reference", **options,
    )  # fmt: skip

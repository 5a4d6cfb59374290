"""`explain`: what runs a step, or the recurrent layers of a model."""

import sys
from typing import IO, Any

import torch
from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations

from elman.errors import ArgumentError
from elman.layers.choice import compiled_is_faster, has_fused_lstm
from elman.layers.convert import REPLACEMENTS
from elman.layers.drop_in import CompiledLayer
from elman.layers.drop_in_cells import CompiledCell
from elman.layers.recurrent import Recurrent
from elman.nest import Nest

_ROWS = 32
_NEVER = 1 << 14


def explain(
    step: Any, input: Nest | None = None, state: Nest | None = None, *,
    constants: Nest | None = None, file: IO[str] | None = None,
) -> None:  # fmt: skip
    """Print what runs where: of a step, as a compiled loop, or of a model, layer by layer.

    `explain(step, input, state)` prints what `elman.scan(step, input, state)` would run and what it
    costs: the loops are written out stage by stage, each line one value of a row at a time step
    with its width in brackets and the user's line that it comes from. A step that can't be compiled
    is named with the reason. Whether a backward pass is shown follows `requires_grad` and the grad
    mode, as in `scan` itself.

    `explain(model)` lists the recurrent layers of a model, what runs each, and why.

    Args:
        step, input, state, constants: as for `elman.scan`; or a model alone.
        file: where to print; standard output when None.

    Raises:
        ArgumentError, ShapeError: the arguments do not fit together.
        StepError: the step broke its contract.

    Example:
        >>> import torch, elman
        >>> def leaky_sum(x, total):
        ...     total = 0.5 * total + x
        ...     return total, total
        >>> elman.explain(leaky_sum, torch.ones(3, 1, 4), torch.zeros(1, 4))  # doctest: +ELLIPSIS
        leaky_sum as a compiled loop over time (float32)
        ...
          forward loop
            output[4] = ...
        >>> elman.explain(torch.nn.Sequential(torch.nn.GRU(3, 5)))
        Sequential: 1 recurrent layer, 0 compiled
          0  torch.nn.GRU(3, 5)  runs by torch.nn; elman.convert(model) compiles it
    """
    if input is not None and state is not None:
        # Loaded on first use, as the compiler itself is.
        from elman.engine.explain.text import explanation

        print(explanation(step, input, state, constants), file=file or sys.stdout, end="")
        return
    if input is not None or not isinstance(step, nn.Module):
        raise ArgumentError(
            "explain takes a step with input and state, or a model alone; "
            f"got {type(step).__name__} {'without state' if input is not None else 'alone'}"
        )
    rows: list[tuple[str, str, str, bool]] = [
        (name or "(itself)", *_described(module))
        for name, module in step.named_modules()
        if isinstance(module, nn.RNNBase | nn.RNNCellBase | Recurrent)
    ]
    compiled = sum(is_compiled for *_, is_compiled in rows)
    plural = "" if len(rows) == 1 else "s"
    lines = [f"{type(step).__name__}: {len(rows)} recurrent layer{plural}, {compiled} compiled"]
    left = max((len(name) for name, *_ in rows), default=0)
    middle = max((len(what) for _, what, *_ in rows), default=0)
    lines += [f"  {name:<{left}}  {what:<{middle}}  {how}" for name, what, how, _ in rows]
    print("\n".join(lines), file=file or sys.stdout)


def _described(module: nn.Module) -> tuple[str, str, bool]:
    """What a layer is, what runs it, and whether that is a compiled loop."""
    kind = type_before_parametrizations(module)
    if isinstance(module, Recurrent):
        cell = type(module.cells[0]).__name__
        return f"elman.Recurrent({cell})", f"elman.scan, backend {module.backend!r}", True
    name = f"{kind.__name__}({module.extra_repr()})"
    if isinstance(module, CompiledLayer | CompiledCell):
        how = _why_not(module)
        return f"elman.{name}", how or _when(module), how is None
    if kind in REPLACEMENTS:
        return f"torch.nn.{name}", "runs by torch.nn; elman.convert(model) compiles it", False
    base = next(base.__name__ for base in kind.__mro__ if base in REPLACEMENTS)
    return name, f"left alone: a subclass of torch.nn.{base}, which may change what it does", False


def _why_not(module: nn.Module) -> str | None:
    weight = next(module.parameters(), torch.empty(0))
    if weight.device.type != "cpu":
        return f"runs by torch.nn: its weights are on {weight.device}, the loop compiles for a CPU"
    if weight.dtype not in (torch.float32, torch.float64):
        return f"runs by torch.nn: {weight.dtype}; the loop compiles for float32 and float64"
    if isinstance(module, CompiledCell) and "weight_ih" not in module._parameters:
        return "runs by torch.nn: its weights are not parameters, but computed from others"
    return None


def _when(module: Any) -> str:
    """From how many time steps, or rows of a cell, on the compiled code is faster and so runs."""
    cell = isinstance(module, CompiledCell)
    parts = [
        f"from {count:,} {unit} in {mode}"
        for gradients, mode in ((False, "inference"), (True, "training"))
        if (count := _first(module, gradients, cell)) < _NEVER
        for unit in [("row" if cell else "time step") + "s" * (count != 1)]
    ]
    fused = len(parts) < 2
    if fused:
        parts.append("for packed input")
    where = "" if cell else f"at {_ROWS} rows: "
    return (
        f"{where}compiled {' and '.join(parts)}; {'else' if fused else 'below'} torch.nn"
        f"{' (oneDNN)' if fused else ''}, which is faster there"
    )


def _first(module: Any, gradients: bool, cell: bool) -> int:
    """The smallest number of time steps, or of rows for a cell, for which compiled is faster."""
    gates = module.weight_ih.shape[0] if cell else module._flat_weights[0].shape[0]
    recurrent = module.hidden_size if cell else module.proj_size or module.hidden_size
    weights = gates * (module.input_size + recurrent)
    dtype = next(module.parameters()).dtype
    fused = not cell and module.mode == "LSTM" and not module.proj_size and has_fused_lstm(dtype)
    count = 1
    while count < _NEVER:
        steps, pairs = (1, count) if cell else (count, count * _ROWS)
        if compiled_is_faster(module.mode, steps, pairs, weights, gradients, fused):
            break
        count += 1
    return count

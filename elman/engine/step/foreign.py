"""Modules and functions that a trace can't look into, although they run: torch has compiled them
already, or has yet to make their parameters."""

from types import FunctionType
from typing import Any

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from elman.errors import UnsupportedStep


def require_traceable(value: Any) -> None:
    """Raise `UnsupportedStep` for a module or function of such a kind, and say what to do."""
    reason = _reason_of_module(value) if isinstance(value, nn.Module) else _reason(value)
    if reason is not None:
        raise UnsupportedStep(f"{reason}; it runs with backend='reference'")


def _reason_of_module(module: nn.Module) -> str | None:
    if isinstance(module, torch.jit.ScriptModule):
        return _scripted(module.original_name)
    if isinstance(module, torch._dynamo.OptimizedModule):
        return _compiled(type(module._orig_mod).__name__)
    if module.__dict__.get("_compiled_call_impl") is not None:  # Module.compile()
        return _compiled(type(module).__name__)
    if isinstance(module, LazyModuleMixin) and module.has_uninitialized_params():
        return f"{type(module).__name__} makes its parameters at its first call, which is this one"
    return None


def _reason(value: Any) -> str | None:
    if isinstance(value, torch.jit.ScriptFunction):
        return _scripted(value.name)
    if isinstance(value, FunctionType) and "_torchdynamo_orig_callable" in vars(value):
        return _compiled(value.__name__)
    return None


def _scripted(name: Any) -> str:
    return f"{name} is scripted by torch.jit, so it can't be traced; use it as it was before"


def _compiled(name: str) -> str:
    return f"{name} is compiled by torch.compile, so it can't be traced; use it as it was before"

"""Tensors on disk, as safetensors: plain numbers with names, never code."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from elman.artifacts.files import write_atomically
from elman.errors import RunError


def save_tensors(path: Path, tensors: dict[str, Tensor], notes: dict[str, Any]) -> None:
    """Write tensors and JSON-able notes to one file, atomically."""
    # A clone for each: safetensors refuses tensors that share memory.
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_atomically(path, save(plain, {"elman": json.dumps(notes)}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `save_tensors` wrote.

    Raises:
        RunError: the file is missing, truncated or no safetensors file.
    """
    if not path.is_file():
        raise RunError(f"{path} is missing")
    try:
        with safe_open(path, framework="pt") as file:
            notes = json.loads((file.metadata() or {}).get("elman", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, notes  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError(
            f"{path} is damaged ({error}); restore it from a copy, or train anew"
        ) from None


def fill_module(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Copy tensors into a module's parameters and buffers; all must be there and fit.

    Raises:
        RunError: names the first tensor that is missing, left over, or of another shape.
    """
    wanted = module.state_dict()
    for name in sorted(wanted.keys() ^ tensors.keys()):
        which = "lacks" if name in wanted else "has an unexpected"
        raise RunError(f"{path} does not fit its config.toml: it {which} tensor {name!r}")
    for name, tensor in tensors.items():
        want = wanted[name]
        if tensor.shape != want.shape or tensor.dtype != want.dtype:
            raise RunError(
                f"{path} does not fit its config.toml: tensor {name!r} is {tuple(tensor.shape)} of "
                f"{tensor.dtype}, but the settings make it {tuple(want.shape)} of {want.dtype}"
            )
    with torch.no_grad():
        module.load_state_dict(tensors)

"""Finding the cell that a setting names: one of elman's, or the user's own class."""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from elman.cells import CELLS
from elman.errors import ArgumentError, ElmanError, StepError
from elman.layers.initial import has_initial_state, initial_state
from elman.settings import setting

CellClass = Callable[[int, int], nn.Module]
PERCEPTRON = "mlp"


def cell_setting(default: str, also: str = "") -> Any:
    """The field of a settings class that names the cell. also: what else this task takes."""
    return setting(
        default,
        f"the recurrent cell: {', '.join(CELLS)}; {also}or your own class as file.py:Name or "
        f"package.module:Name, built as Name(input_size, hidden_size)",
    )


def is_own(name: str) -> bool:
    """Whether a name stands for the user's code, which only the user may cause to be imported."""
    return ":" in name


def describe(cell: CellClass) -> str:
    """The name under which a run records a class that was given as an object."""
    return f"{getattr(cell, '__module__', '?')}:{getattr(cell, '__qualname__', repr(cell))}"


def find_cell(name: str) -> CellClass | None:
    """The class that `name` stands for; None for the perceptron.

    This imports the user's module if the name has a colon, so call it only with a name that the
    user typed, never with one that was read from a run folder.

    Raises:
        ArgumentError: no such cell, file, module or class.
    """
    if name == PERCEPTRON:
        return None
    if name in CELLS:
        return CELLS[name]
    where, colon, class_name = name.rpartition(":")
    if not colon:
        raise ArgumentError(
            f"cell must be one of {', '.join([*CELLS, PERCEPTRON])}, or your own class as "
            f"file.py:Name or package.module:Name, got {name!r}"
        )
    module = _import_file(where) if where.endswith(".py") else _import_module(where)
    try:
        cell: CellClass = getattr(module, class_name)
        return cell
    except AttributeError:
        raise ArgumentError(f"{where} has no class {class_name!r}; check --cell {name}") from None


def try_out(cell: CellClass, input_size: int, hidden_size: int, name: str) -> None:
    """Build the cell and run one step, so that a mistake in it shows before anything is written.

    Raises:
        StepError: with the line of the user's code at which it failed.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            built: Any = cell(input_size, hidden_size)
            if not callable(built):
                raise StepError(f"it must build an nn.Module, but built a {type(built).__name__}")
            if not has_initial_state(built):
                raise StepError(
                    "it has no method initial_state(batch_size, dtype=None, device=None) that "
                    "returns the state before the first step, and no initHidden() for one row"
                )
            output, _ = built(torch.zeros(2, input_size), initial_state(built, 2))
            if not isinstance(output, torch.Tensor) or output.dim() != 2:
                raise StepError("its output must be one tensor (B, features)")
    except ElmanError as error:
        raise StepError(f"cell {name} can't be used: {error}") from None
    except Exception as error:  # noqa: BLE001 - whatever the user's own code raises
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise StepError(
            f"cell {name}({input_size}, {hidden_size}) failed when it was tried out: "
            f"{type(error).__name__}: {error} ({Path(frame.filename).name}, line {frame.lineno})"
        ) from None


def _import_file(path: str) -> ModuleType:
    if not Path(path).is_file():
        raise ArgumentError(f"no file {path}; --cell file.py:Name needs a Python file that exists")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None and spec.loader is not None  # noqa: PT018 - true for every .py file
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look the module of a class up by name while the file is being executed.
    sys.modules.setdefault(module.__name__, module)
    with _import_errors(path):
        spec.loader.exec_module(module)
    return module


def _import_module(name: str) -> ModuleType:
    with _import_errors(name):
        return importlib.import_module(name)


@contextmanager
def _import_errors(where: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - importing runs the user's own code
        raise ArgumentError(
            f"can't import {where} for --cell: {type(error).__name__}: {error}"
        ) from None

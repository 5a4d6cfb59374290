"""Loading the run that a command works on."""

from typing import TypeVar

from elman.app.training import named_cell
from elman.artifacts.load import load
from elman.errors import ArgumentError

T = TypeVar("T")


def load_as(kind: type[T], run: str, cell: str | None, device: str, otherwise: str) -> T:
    """The trained model of a run, of the kind that the command needs.

    otherwise: what follows the run's name in the error about a run of another task.
    """
    model = load(run, cell=named_cell(cell), device=device)
    if not isinstance(model, kind):
        raise ArgumentError(f"{run} {otherwise}")
    return model

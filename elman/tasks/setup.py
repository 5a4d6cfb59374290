"""How a model is built and where it runs, whatever the task."""

from dataclasses import dataclass

import torch

from elman.engine import BACKENDS
from elman.errors import ArgumentError
from elman.tasks.cell import PERCEPTRON, CellClass

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Setup:
    """cell: the class of the recurrent cell; None for the perceptron. backend: what `elman.scan`
    runs on. seed: of drawn parts, of batches, and of all that is random in training."""

    cell: CellClass | None
    device: torch.device = CPU
    backend: str = "auto"
    seed: int = 0

    @classmethod
    def of(
        cls, cell: CellClass | None, device: str = "cpu", backend: str = "auto", seed: int = 0
    ) -> "Setup":
        """The same from names.

        Raises:
            ArgumentError: no such backend, or a device that can't be used here.
        """
        if backend not in BACKENDS:
            raise ArgumentError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
        return cls(cell, _device(device), backend, seed)

    @property
    def recurrent_cell(self) -> CellClass:
        """The cell of a task that has no model without one.

        Raises:
            ArgumentError: the perceptron was chosen.
        """
        if self.cell is None:
            raise ArgumentError(
                f"--cell {PERCEPTRON} is for language models only; this task needs a recurrent "
                f"cell, such as --cell gru"
            )
        return self.cell


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ArgumentError(f"device {name!r} can't be used here: {reason}; try cpu") from None
    return device

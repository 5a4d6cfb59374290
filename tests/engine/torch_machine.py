"""A machine of torch operations, for what is tested of the engine without any other."""

import torch
from torch import Tensor

from elman.engine.arguments import Arguments
from elman.engine.machine import Limits
from elman.engine.program.interpret import Interpreter
from elman.engine.program.row_program import RowProgram

COMPUTES_IN = {
    torch.float64: torch.float64, torch.float32: torch.float32, torch.bfloat16: torch.float32,
}  # fmt: skip


class Torch:
    """A machine that stores bfloat16, too, and computes with it in float32, as a GPU would."""

    name = "torch"
    device = "cpu"
    operations: dict = {}  # noqa: RUF012

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.programs: list[RowProgram] = []

    def computes_in(self, stored: torch.dtype) -> torch.dtype | None:
        return COMPUTES_IN.get(stored)

    def compile(self, program: RowProgram) -> Interpreter:
        self.programs.append(program)
        return Interpreter(program, COMPUTES_IN[program.dtype])

    def take(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
        return torch.full(shape, float("nan"), dtype=dtype, device=device)

    def refuses(self, arguments: Arguments) -> str | None:
        return "it runs no more than nine rows" if arguments.rows > 9 else None

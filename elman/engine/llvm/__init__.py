"""The CPU: row programs as machine code, compiled in the process with LLVM."""

import torch
from torch import Tensor

from elman.engine import workspace
from elman.engine.arguments import Arguments
from elman.engine.llvm.kernel import LLVMKernel
from elman.engine.llvm.products import FASTER
from elman.engine.machine import Limits
from elman.engine.program.row_program import RowProgram

_DTYPES = (torch.float32, torch.float64)


class LLVM:
    """Implements `elman.engine.machine.Machine`."""

    name = "llvm"
    device = "cpu"
    operations = FASTER

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()

    def computes_in(self, stored: torch.dtype) -> torch.dtype | None:
        return stored if stored in _DTYPES else None

    def compile(self, program: RowProgram) -> LLVMKernel:
        return LLVMKernel(program)

    def take(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
        """A contiguous tensor of that shape, from the workspace."""
        return workspace.take(shape, dtype)

    def refuses(self, arguments: Arguments) -> str | None:
        return None

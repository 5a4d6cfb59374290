"""The CPU backend: row programs as machine code, compiled in the process with LLVM."""

from elman.engine.garbage import no_collections
from elman.engine.llvm.kernel import LLVMKernel
from elman.engine.program import Kernel, RowProgram


def compile_program(program: RowProgram) -> Kernel:
    """Machine code for a row program.

    Raises:
        elman.errors.UnsupportedStep: the processor lacks what the code needs.
    """
    with no_collections():
        return LLVMKernel(program)

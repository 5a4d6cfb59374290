"""The inner loops, compiled for processors that are not here: no spill, no call."""

import re

import llvmlite.binding as llvm
import llvmlite.ir as ir
import pytest
import torch

from elman.engine.llvm.jit import Processor, host
from elman.engine.llvm.product import emit_product, widest_tile
from elman.engine.llvm.transposed import emit_transposed_product

TARGETS = {
    "haswell": Processor("haswell", "", 32, 16, "x86_64-unknown-linux-gnu"),
    "skylake-avx512": Processor("skylake-avx512", "", 64, 32, "x86_64-unknown-linux-gnu"),
    "znver4": Processor("znver4", "", 64, 32, "x86_64-unknown-linux-gnu"),
    "apple-m1": Processor("apple-m1", "", 16, 32, "arm64-apple-macosx"),
    "neoverse-n1": Processor("neoverse-n1", "", 16, 32, "aarch64-unknown-linux-gnu"),
}


@pytest.fixture(scope="module", autouse=True)
def _all_processors():
    host()
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def assembly(text, target):
    module = llvm.parse_assembly(text)
    machine = llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=3
    )
    machine.set_asm_verbosity(True)  # so that blocks are named
    return machine.emit_assembly(module)


def inner_loops(text):
    """The loops over k of the products, by the name of their block."""
    parts = re.split(r"^(\.?L\w+):(.*)$", text, flags=re.M)
    found = []
    for label, comment, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        if "%fold" in comment:
            jump = re.search(rf"\b(j\w+|b\.\w+|cbn?z\s+\w+,)\s+{re.escape(label)}\b", body)
            assert jump, f"{label} does not jump back to itself"
            found.append(body[: jump.end()])
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", TARGETS)
def test_inner_loops_neither_spill_nor_call(name, dtype):
    target = TARGETS[name]
    element = ir.DoubleType() if dtype == torch.float64 else ir.FloatType()
    widths = range(1, widest_tile(target.registers) + 1)
    texts = [str(emit_product(element, vectors, target)) for vectors in widths]
    texts.append(str(emit_transposed_product(dtype, target)))
    count = 0
    for text in texts:
        for loop in inner_loops(assembly(text, target)):
            count += 1
            assert not re.search(r"\b(call\w*|bl)\s", loop), loop
            assert not re.search(r"Spill|Reload|\(%rsp\)|\[sp", loop), f"spill:\n{loop}"
    assert count >= 3 * len(texts)

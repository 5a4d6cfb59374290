"""Compiling a module of LLVM IR in the process, for the machine it runs on."""

import ctypes
import ctypes.util
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import llvmlite.binding as llvm

from elman.engine.llvm import openmp
from elman.engine.llvm.math import CALLS
from elman.errors import UnsupportedStep


@dataclass(frozen=True)
class Processor:
    """What emission has to know of a processor.

    vector_bytes: size of its vector registers; registers: how many it has.
    """

    cpu: str
    features: str
    vector_bytes: int
    registers: int
    triple: str

    def lanes(self, itemsize: int) -> int:
        return self.vector_bytes // itemsize

    def machine(self) -> llvm.TargetMachine:
        target = llvm.Target.from_triple(self.triple)
        return target.create_target_machine(cpu=self.cpu, features=self.features, opt=3)


@lru_cache(maxsize=1)
def host() -> Processor:
    """The processor of this machine.

    Raises:
        UnsupportedStep: it has no fused multiply-add.
    """
    _initialize()
    triple = llvm.get_process_triple()
    features = llvm.get_host_cpu_features()
    cpu = llvm.get_host_cpu_name()
    is_arm = triple.startswith(("aarch64", "arm64"))
    if not is_arm and not features.get("fma"):
        raise UnsupportedStep(
            f"the compiled loop needs fused multiply-add, which this processor ({cpu}) has not; "
            f"use backend='reference'"
        )
    return Processor(cpu, features.flatten(), *_vector_registers(is_arm, features), triple)


def _vector_registers(is_arm: bool, features: Mapping[str, bool]) -> tuple[int, int]:
    """Their size in bytes, and how many there are."""
    if is_arm:
        return 16, 32
    if features.get("avx512f") and features.get("avx512vl"):
        return 64, 32
    return 32, 16


@lru_cache(maxsize=1)
def _initialize() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    name = ctypes.util.find_library("m")
    library = ctypes.CDLL(name) if name else ctypes.CDLL(None)
    for function in CALLS:
        for symbol in (function, function + "f"):
            if hasattr(library, symbol):
                address = ctypes.cast(getattr(library, symbol), ctypes.c_void_p).value
                llvm.add_symbol(symbol, address)
    for symbol, address in openmp.functions().items():
        llvm.add_symbol(symbol, address)


class Compiled:
    """Machine code of one module; it lives as long as this object does."""

    def __init__(self, text: str) -> None:
        # No pass manager: the code generator alone gives the same speed, in less time, and llvmlite
        # leaks memory for every pass manager.
        module = llvm.parse_assembly(text)
        for function in module.functions:
            if function.is_declaration and function.name in _offers:
                _shared(function.name)
        self._engine = llvm.create_mcjit_compiler(module, host().machine())
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        address: int = self._engine.get_function_address(name)
        return address


_offers: dict[str, Callable[[], str]] = {}
_compiled: dict[str, Compiled] = {}
_lock = threading.RLock()


def offer(name: str, text: Callable[[], str]) -> None:
    """Let all modules call the function `name`, which is compiled from `text()` for the first of
    them and then kept. So the name has to say all that the code depends on."""
    _offers.setdefault(name, text)


def _shared(name: str) -> None:
    with _lock:
        if name not in _compiled:
            _compiled[name] = compiled = Compiled(_offers[name]())
            llvm.add_symbol(name, compiled.address(name))

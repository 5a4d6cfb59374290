"""What the engine's table does not show: its loops alone, compile time, tiny calls, memory."""

import ctypes
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from engine_peers import NAMESAKES, Problem, compiled_loop_peer, layer_peer, scan_peer
from side_by_side import take_turns

from elman.engine.llvm.kernel import LLVMKernel
from elman.engine.program.row_program import Product, RowProgram
from elman.engine.run import cache


def loop_speeds(name: str, size: tuple[int, int, int, int], peak: float) -> dict[str, Any]:
    """GFLOP/s of the compiled loops alone (products only are counted), forward and backward."""
    problem = Problem.make(name, *size)
    peer = scan_peer(problem)
    peer.training()
    original, calls = LLVMKernel.__call__, []

    def timed(kernel: LLVMKernel, schedule: Any, **arguments: Any) -> list[torch.Tensor]:
        start = time.perf_counter()
        sums = original(kernel, schedule, **arguments)
        if schedule.steps > 1:  # else it is code outside the loops
            calls.append((id(kernel), time.perf_counter() - start))
            work[id(kernel)] = _product_flops(kernel.program)
        return sums

    work: dict[int, int] = {}

    LLVMKernel.__call__ = timed  # type: ignore[method-assign]
    try:
        speeds: dict[str, list[float]] = {"forward": [], "backward": []}
        for _ in range(9):
            calls.clear()
            peer.training()
            kernels = list(dict.fromkeys(kernel for kernel, _ in calls))
            for direction, kernel in zip(speeds, kernels, strict=True):
                seconds = sum(t for which, t in calls if which == kernel)
                speeds[direction].append(size[0] * size[1] * work[kernel] / seconds / 1e9)
    finally:
        LLVMKernel.__call__ = original  # type: ignore[method-assign]
    medians = {direction: statistics.median(found) for direction, found in speeds.items()}
    return {
        "cell": name, "size": size, "gflops": medians,
        "of_best_product": {direction: speed / peak for direction, speed in medians.items()},
    }  # fmt: skip


def _product_flops(program: RowProgram) -> int:
    """Floating-point operations of one row's products at one step."""
    products = [op for op in program.ops if isinstance(op, Product)]
    return sum(2 * program.ops[op.left].width * op.width for op in products)


def compile_seconds(names: list[str]) -> dict[str, dict[str, float]]:
    """Seconds from a new step to its first gradient, less those of a call that compiles nothing.

    A call of the same size goes before, so that memory and libraries are warm; what it compiled is
    then forgotten.
    """
    found: dict[str, dict[str, float]] = {}
    for name in names:
        found[name] = {}
        for steps in (10, 10_000):
            peer = scan_peer(Problem.make(name, steps, 4, 16, 32))
            peer.training()
            cache._entries.clear()
            times = []
            for _ in range(3):  # the first compiles, the others do not
                start = time.perf_counter()
                peer.training()
                times.append(time.perf_counter() - start)
            found[name][str(steps)] = times[0] - min(times[1:])
    return found


def tiny_calls() -> dict[str, dict[str, float]]:
    """Microseconds of a call at B=1, T=8, I=H=32."""
    found: dict[str, dict[str, float]] = {}
    for name in NAMESAKES:
        problem = Problem.make(name, 8, 1, 32, 32)
        ours, theirs = scan_peer(problem), layer_peer(problem)
        for mode in ("inference", "training"):
            runs = {"elman": getattr(ours, mode), "torch.nn": getattr(theirs, mode)}
            times = take_turns(runs, seconds=1.0, most=2000)
            for who, values in times.items():
                found.setdefault(f"{name} {mode}", {})[who] = 1e6 * statistics.median(values)
    return found


def memory(name: str, size: tuple[int, int, int, int] = (256, 64, 256, 256)) -> dict[str, Any]:
    """Peak memory in MB above what stands before the call, each in a process of its own."""
    found: dict[str, Any] = {"cell": name, "size": size}
    for mode in ("inference", "training"):
        for who in ("elman", "torch.nn"):
            done = subprocess.run(
                [sys.executable, __file__, name, who, mode, json.dumps(size)],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            found.setdefault(mode, {})[who] = float(done.stdout)
    return found


def _peak(name: str, who: str, mode: str, size: list[int]) -> float:
    """Runs in a child. A small call first loads libraries and compiles; then the peak is reset."""
    small = Problem.make(name, 2, size[1], size[2], size[3])
    problem = Problem.make(name, *size)
    make = scan_peer if who == "elman" else layer_peer
    getattr(make(small), mode)()
    peer = make(problem)
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _status("VmRSS")
    getattr(peer, mode)()
    return (_status("VmHWM") - before) / 1024


def _status(key: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key + ":"):
            return float(line.split()[1])
    raise RuntimeError(f"no {key} in /proc/self/status; memory is measured on Linux only")


def torch_compile(steps: int = 16) -> dict[str, Any]:
    """The unrolled loop of an LSTM through torch.compile, at a small T."""
    size = (steps, 32, 64, 128)
    problem = Problem.make("lstm", *size)
    start = time.perf_counter()
    peer = compiled_loop_peer(problem)
    try:
        peer.training()
    except Exception as error:  # noqa: BLE001 - it needs a C++ compiler, which may be missing
        return {"size": size, "error": str(error).splitlines()[0]}
    seconds = time.perf_counter() - start
    times = take_turns({"elman": scan_peer(problem).training, "torch.compile": peer.training})
    return {
        "size": size, "compile_seconds": seconds,
        "ms": {who: 1e3 * statistics.median(t) for who, t in times.items()},
    }  # fmt: skip


if __name__ == "__main__":
    name, who, mode, size = sys.argv[1:]
    torch.manual_seed(0)
    print(_peak(name, who, mode, json.loads(size)))

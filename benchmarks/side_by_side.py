"""Timing that survives a noisy machine: peers take turns, and what counts is the ratio."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch


def take_turns(
    peers: dict[str, Callable[[], Any]], seconds: float = 1.5, most: int = 25
) -> dict[str, list[float]]:
    """Times in seconds of each peer, by round.

    In every round each peer runs twice, and the second run counts: the first one finds caches and
    memory as another peer left them, which is not how a loop of its own would find them. There are
    at least 3 rounds, and no more once `seconds` have passed.
    """
    for run in peers.values():
        run()  # compiles, on the first time
    times: dict[str, list[float]] = {name: [] for name in peers}
    begin = time.perf_counter()
    for done in range(most):
        if done >= 3 and time.perf_counter() - begin > seconds:
            break
        for name, run in peers.items():
            run()
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return times


def ratio(slower: list[float], faster: list[float]) -> float:
    """Median over rounds of how many times as long the first one took."""
    return statistics.median(a / b for a, b in zip(slower, faster, strict=True))


def best_product(size: int = 2048) -> float:
    """FLOP/s of the machine's best float32 matrix product: oneDNN, size cubed, the best of many."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    linear = torch.ops.mkldnn._linear_pointwise.default
    times = take_turns({"linear": lambda: linear(a, b, None, "none", [], "")}, seconds=3, most=60)
    return 2 * size**3 / min(times["linear"])


def machine() -> dict[str, Any]:
    """What was measured on."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            lines = [line for line in file if line.startswith("model name")]
        processor = lines[0].split(":")[1].strip()
    except (OSError, IndexError):
        processor = platform.processor()
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    return {
        "processor": processor,
        "vector_extensions": torch.backends.cpu.get_cpu_capability(),
        "cores_usable": cores,
        "torch_threads": torch.get_num_threads(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        **{name: _version(name) for name in ("torch", "llvmlite", "jax")},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"

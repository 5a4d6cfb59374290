"""Long use: neither memory nor the time of a call grows."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

COMMON = """
import time
import torch
import elman
torch.set_num_threads(1)

def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20

x, h = torch.randn(3, 2, 4), torch.zeros(2, 4)
"""
COMPILE = (
    COMMON
    + """
from elman.engine.run import cache

plan, made = cache.plan, []
cache.plan = lambda *given: made.append(1) or plan(*given)

def step_of(name):
    def step(x, h):
        h = torch.tanh(x + float(name) * h)
        return h, h
    return step

def use(number):
    with torch.no_grad():
        elman.scan(step_of(str(number)), x, h, backend="llvm")
    assert len(made) == number + 1
"""
)
CALL = (
    COMMON
    + """
cell = elman.cells.CELLS["gru"](4, 4)

def use(number):
    input = x[:, : 1 + number % 2].clone().requires_grad_()
    output, _ = elman.scan(cell, input, h[: 1 + number % 2], backend="llvm")
    if number % 4 == 0:
        output.sum().backward()
        cell.zero_grad()
"""
)
MEASURE = """
def measured(times, start):
    began = time.process_time()
    for number in range(start, start + times):
        use(number)
    return time.process_time() - began

count, parts = {count}, 5
measured(count // parts, 0)
records = []
for part in range(1, parts):
    seconds = measured(count // parts, part * count // parts)
    records.append((seconds, memory()))
    print(f"{{seconds:.2f}} s, {{memory():.0f}} MiB", flush=True)
first, last = records[0], records[-1]
assert last[1] - first[1] < {mebibytes}, records
assert min(records[-1][0], records[-2][0]) < 1.5 * first[0], records
"""


def soak(program: str, count: int, mebibytes: int) -> None:
    """Raise unless the last parts of `count` uses cost what the second cost; the first warms up."""
    source = program + MEASURE.format(count=count, mebibytes=mebibytes)
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_ten_thousand_compilations():
    soak(COMPILE, 10_000, 20)


@pytest.mark.slow
def test_a_hundred_thousand_calls():
    soak(CALL, 100_000, 5)


def test_the_measure_can_fail():
    leak = COMMON + "kept = []\ndef use(number): kept.append(torch.ones(1 << 18))\n"
    with pytest.raises(AssertionError, match="MiB"):
        soak(leak, 100, 5)
    slower = COMMON + "def use(number):\n    for _ in range(number * 300): pass\n"
    with pytest.raises(AssertionError, match="MiB"):
        soak(slower, 500, 50)

"""Random steps give what the plain loop gives; a step that fails prints its own source.

More of them, or others: `python -m tests.engine.fuzz --steps 10000 --seed 0 --workers 2`.
"""

import sys

import pytest

from elman.engine import BACKENDS
from tests.engine.fuzz import runner
from tests.engine.fuzz.cases import Case, draw
from tests.engine.fuzz.check import Verdict, check


def require_right(seeds, workers=1):
    summary = runner.Summary()
    for verdict in runner.verdicts(seeds, workers):
        summary.add(verdict)
    shown = [f"seed {v.seed} {v.kind}: {v.text}\n{draw(v.seed).source}" for v in summary.failures]
    assert not shown, f"{summary}\n" + "\n".join(shown[:3])
    assert summary.kinds["compiled"] > len(seeds) / 3, summary  # falling back is not passing


@pytest.mark.parametrize("start", range(0, 100, 25))
def test_some_random_steps(start):
    require_right(range(start, start + 25))


@pytest.mark.slow
def test_many_random_steps():
    require_right(range(10_000), workers=2)


def test_a_seed_determines_its_case():
    assert draw(7) == draw(7)
    assert draw(7).source != draw(8).source


OTHER_IN_FLOAT32 = """
import torch

def case(dtype):
    step = lambda x, h: (x + (1 + torch.finfo(dtype).eps * 500) * h, h)
    arguments = (torch.ones(2, 1, 3, dtype=dtype), torch.ones(1, 3, dtype=dtype))
    return dict(step=step, arguments=arguments, options={}, closed=[], used=[],
                change=lambda: None, grad=True)
"""


def test_a_wrong_result_is_seen(monkeypatch):
    case = Case(0, "float32", "as it is", OTHER_IN_FLOAT32)
    assert check(case).kind == "compiled"  # it is what the plain loop gives in float32
    run_llvm = lambda step, arguments: (arguments.inputs[0] * 1.001, arguments.state[0])  # noqa: E731
    monkeypatch.setitem(BACKENDS, "llvm", run_llvm)
    verdict = check(case)
    assert verdict.kind == "wrong"
    assert "output 0" in verdict.text


DIES = "os.kill(os.getpid(), signal.SIGSEGV)"
HANGS = "time.sleep(100)"
LEAVES = "sys.exit(3)"


@pytest.mark.parametrize(
    ("program", "kind", "text"),
    [
        (DIES, "dead", "SIGSEGV"),
        (HANGS, "hung", "no answer within 2 s"),
        (LEAVES, "dead", "exit 3"),
    ],
)
def test_a_case_that_ends_its_process_is_named_and_the_others_go_on(
    program, kind, text, monkeypatch
):
    monkeypatch.setattr(runner, "SECONDS", 2.0)
    begin = "import os, signal, sys, time; print('ready', flush=True); sys.stdin.readline(); "
    found = list(runner.verdicts([3, 4], command=[sys.executable, "-c", begin + program]))
    assert found == [Verdict(3, kind, text), Verdict(4, kind, text)]

"""Many cases, in processes of their own: one that dies or hangs is named, and the others go on.

A worker reads seeds from its standard input and writes one line of JSON for each.
"""

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import IO

from tests.engine.fuzz.check import Verdict

SECONDS = 120.0
"""After so long without an answer a case counts as hung; it takes half a second on a quiet core."""

RENEWED = 500
"""Cases after which a worker is replaced, so that no case can lean on much that came before."""


def serve() -> None:
    """The worker's side."""
    import torch

    from tests.engine.fuzz.cases import draw
    from tests.engine.fuzz.check import check

    torch.set_num_threads(int(os.environ.get("FUZZ_THREADS", "1")))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a case prints is no answer
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        try:
            verdict = check(draw(int(line)))
        except Exception as error:  # noqa: BLE001, the case itself is at fault
            verdict = Verdict(int(line), "invalid", f"{type(error).__name__}: {error}")
        print(json.dumps(asdict(verdict)), file=answers, flush=True)


_COMMAND = (sys.executable, "-m", "tests.engine.fuzz", "--serve")


class _Worker:
    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        self._answers: queue.Queue[str] = queue.Queue()
        self.count = 0
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,))
        self._reader.start()
        self._answers.get()  # it is ready; loading torch on a busy machine takes what it takes

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._answers.put(line)
        self._answers.put("")  # the end

    def ask(self, seed: int) -> Verdict:
        self.count += 1
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{seed}\n")
            self._process.stdin.flush()
            answer = self._answers.get(timeout=SECONDS)
        except queue.Empty:
            return Verdict(seed, "hung", f"no answer within {SECONDS:.0f} s")
        except BrokenPipeError:
            answer = ""
        if answer:
            return Verdict(**json.loads(answer))
        code = self._process.wait()
        name = signal.Signals(-code).name if code < 0 else f"exit {code}"
        return Verdict(seed, "dead", name)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # of what was not read any more
            self._process.stdin.close()


def verdicts(
    seeds: Iterable[int], workers: int = 1, command: Sequence[str] = _COMMAND
) -> Iterator[Verdict]:
    """The verdict on each seed, in the order in which they come."""
    waiting, results = queue.Queue[int](), queue.Queue[Verdict]()
    seeds = list(seeds)
    for seed in seeds:
        waiting.put(seed)
    for _ in range(workers):
        threading.Thread(target=_work, args=(command, waiting, results), daemon=True).start()
    for _ in seeds:
        yield results.get()


def _work(command: Sequence[str], waiting: queue.Queue[int], results: queue.Queue[Verdict]) -> None:
    worker = None
    while True:
        try:
            seed = waiting.get_nowait()
        except queue.Empty:
            break
        worker = worker or _Worker(command)
        verdict = worker.ask(seed)
        results.put(verdict)
        if verdict.kind in ("dead", "hung") or worker.count >= RENEWED:
            worker.end()
            worker = None
    if worker:
        worker.end()


@dataclass
class Summary:
    """How many cases ended how, and why those that fell back did."""

    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    failures: list[Verdict] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        self.kinds[verdict.kind] += 1
        if verdict.kind == "fell back":
            self.reasons[_without_names(verdict.text)] += 1
        elif verdict.kind != "compiled":
            self.failures.append(verdict)

    def __str__(self) -> str:
        kinds = ("compiled", "fell back", "wrong", "dead", "hung", "invalid")
        lines = [", ".join(f"{self.kinds[kind]} {kind}" for kind in kinds)]
        lines += [f"{count:6} fell back: {reason}" for reason, count in self.reasons.most_common()]
        return "\n".join(lines)


def _without_names(reason: str) -> str:
    """Without what differs from one case to the next."""
    reason = re.sub(r"\S*seed_\d+\.py:\d+(, in \w+)?( \(.*?\))?", "FILE:LINE", reason)
    return re.sub(r"\d+", "N", reason)[:160]

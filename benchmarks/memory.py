"""Peak memory of training on a large text: python benchmarks/memory.py [--megabytes 100]

Writes a text of that size (random words, so that no data is needed), trains a few steps on it with
the command line in a process of its own, and prints the peak resident memory beside that of the
same training on 1 MB.
"""

import argparse
import platform
import random
import subprocess
import sys
import tempfile
from pathlib import Path

WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "that",
    "it",
    "is",
    "was",
    "he",
    "for",
    "as",
    "with",
    "his",
    "on",
    "be",
    "at",
    "by",
    "had",
    "not",
    "are",
    "but",
]


def write_text(path: Path, megabytes: int) -> None:
    draw = random.Random(0)
    line = lambda: " ".join(draw.choices(WORDS, k=12)) + "\n"  # noqa: E731
    block = "".join(line() for _ in range(20_000))[: 1 << 20]
    with open(path, "w", encoding="utf-8") as file:
        for _ in range(megabytes):
            file.write(block)


def peak_of_training(text: Path, run: Path) -> float:
    """Peak resident memory in MB of a child that trains 20 steps; the child reports it itself."""
    code = (
        "import resource, sys; from elman.app.main import run; code = run(sys.argv[1:]); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024); sys.exit(code)"
    )
    options = ["--steps=20", "--valid-fraction=0.001", "--hidden-size=64"]
    done = subprocess.run(
        [sys.executable, "-c", code, "train", "language", str(text), "--run", str(run), *options],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=100)
    size = parser.parse_args().megabytes
    print(f"{platform.machine()}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        for megabytes in (1, size):
            text = Path(folder) / f"{megabytes}.txt"
            write_text(text, megabytes)
            peak = peak_of_training(text, Path(folder) / f"run-{megabytes}")
            print(f"{megabytes:>5} MB of text: peak resident memory {peak:,.0f} MB")


if __name__ == "__main__":
    main()

"""Shared by all tests: small data to train on, and no surprise from the machine."""

from pathlib import Path

import numpy as np
import pytest
import torch

TEXT = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age "
    "of foolishness, it was the epoch of belief, it was the epoch of incredulity.\n"
) * 12


@pytest.fixture(autouse=True)
def _two_threads_and_a_seed():
    torch.set_num_threads(2)
    torch.manual_seed(0)


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def words(label: str, count: int, letters: str, seed: int) -> list[str]:
    """Distinct strings of 2 to 9 of some letters."""
    rng = np.random.default_rng(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(rng.choice(list(letters), rng.integers(2, 10)))] = None
    return list(found)


@pytest.fixture
def names_folder(tmp_path: Path) -> Path:
    """Three languages that share some letters, 40, 30 and 20 names."""
    folder = tmp_path / "names"
    folder.mkdir()
    for number, (label, letters) in enumerate({"Ab": "abcd", "Cd": "cdef", "Éf": "efgé"}.items()):
        lines = words(label, 40 - 10 * number, letters, number)
        (folder / f"{label}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def signals_file(tmp_path: Path) -> Path:
    """Two labels, two channels, lengths 3 to 8: label "up" rises in channel 1."""
    rng = np.random.default_rng(0)
    lines = ["# made up", "@problemName toy", "@classLabel true up down", "@data"]
    for number in range(60):
        label = ("up", "down")[number % 2]
        steps = rng.integers(3, 9)
        slope = np.arange(steps) * (1 if label == "up" else -1) * 100.0
        noise = rng.normal(size=steps)
        channels = [",".join(f"{v:.3f}" for v in values) for values in (slope, noise)]
        lines.append(":".join([*channels, label]))
    path = tmp_path / "toy.ts"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path

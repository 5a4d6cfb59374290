"""The folder order is the import order, and the public names are on purpose."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import elman

ROOT = Path(elman.__file__).parent
ORDER = [
    {"version", "errors", "paths", "settings", "pictures"},
    {"cells", "engine"},
    {"layers"},
    {"tasks"},
    {"artifacts"},
    {"train"},
    {"app"},
]
RANK = {name: rank for rank, level in enumerate(ORDER) for name in level}


def imported_parts(path: Path) -> set[str]:
    """Second parts of all `elman.X` names that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "elman":
                names = [f"elman.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("elman.")}
    return found


@pytest.mark.parametrize(
    "path",
    [p for p in sorted(ROOT.rglob("*.py")) if p.parent != ROOT],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_imports_run_one_way(path):
    own = path.relative_to(ROOT).parts[0]
    for other in imported_parts(path) - {own}:
        assert RANK[other] < RANK[own], f"{own} must not import {other}"


def test_every_folder_has_its_place():
    folders = {p.parent.relative_to(ROOT).parts[0] for p in ROOT.glob("*/*.py")}
    assert folders <= RANK.keys()


def test_public_names():
    assert sorted(elman.__all__) == [
        "GRU", "LSTM", "RNN", "Recurrent", "__version__", "cells", "convert", "errors", "explain",
        "fit", "load", "resume", "revert", "scan",
    ]  # fmt: skip


def test_importing_elman_leaves_slow_libraries_alone():
    slow = "('matplotlib', 'llvmlite', 'rich', 'typer', 'polars', 'elman.tasks')"
    code = f"import sys, elman; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

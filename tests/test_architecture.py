"""The folder order is the import order, and the public names are on purpose."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import elman
from elman.tasks import TASKS

ROOT = Path(elman.__file__).parent
ORDER = [
    {"version", "errors", "paths", "settings", "nest", "pictures"},
    {"cells", "engine"},
    {"layers"},
    {"tasks"},
    {"artifacts"},
    {"train"},
    {"app"},
]
RANK = {name: rank for rank, level in enumerate(ORDER) for name in level}


def imported_parts(path: Path, package: str = "elman") -> set[str]:
    """The X of all `package.X` that a file imports."""
    found, depth = set(), package.count(".") + 1
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == package:
                names = [f"{package}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[depth] for name in names if name.startswith(f"{package}.")}
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


ENGINE = [
    {"arguments", "constants", "faults", "source", "workspace"},
    {"memory", "packed", "checkpointing", "reference"},
    {"step"},
    {"graph"},
    {"program"},
    {"machine"},
    {"plan", "llvm"},
    {"run"},
    {"backends"},
    {"explain", "scan"},
]
"""The engine's rooms, and the files beside them. Only `backends` knows a machine."""
MACHINES = {"llvm"}
ENGINE_RANK = {name: rank for rank, level in enumerate(ENGINE) for name in level}


@pytest.mark.parametrize(
    "path",
    [p for p in sorted((ROOT / "engine").rglob("*.py")) if p != ROOT / "engine" / "__init__.py"],
    ids=lambda p: str(p.relative_to(ROOT / "engine")),
)
def test_the_engines_imports_run_one_way(path):
    own = path.relative_to(ROOT / "engine").with_suffix("").parts[0]
    for other in imported_parts(path, "elman.engine") - {own}:
        assert ENGINE_RANK[other] < ENGINE_RANK[own], f"{own} must not import {other}"
        assert other not in MACHINES or own == "backends", f"{own} must not know {other}"


TASK = ["settings", "targets", "data", "model", "use", "task", "kind"]
"""The rooms of every task, in the order of their imports; only classification has targets."""
ABOVE_TASKS = {"base", "cell", "setup", "shared"}
ROOMS = [
    pytest.param(task, path, id=str(path.relative_to(ROOT / "tasks")))
    for task in TASKS
    for path in sorted((ROOT / "tasks" / task).rglob("*.py"))
    if path.name != "__init__.py" or path.parent.name != task
]


@pytest.mark.parametrize(("task", "path"), ROOMS)
def test_the_rooms_of_a_task(task, path):
    own = path.relative_to(ROOT / "tasks" / task).with_suffix("").parts[0]
    for other in imported_parts(path, f"elman.tasks.{task}") - {own}:
        assert TASK.index(other) < TASK.index(own), f"{own} must not import {other}"
    others = imported_parts(path, "elman.tasks") - {task} - ABOVE_TASKS
    assert not others, f"{task} must not know {others}"


def test_what_tasks_share_knows_no_task():
    for path in sorted((ROOT / "tasks" / "shared").rglob("*.py")):
        assert not imported_parts(path, "elman.tasks") & TASKS.keys(), path


def test_every_folder_has_its_place():
    folders = {p.parent.relative_to(ROOT).parts[0] for p in ROOT.glob("*/*.py")}
    assert folders <= RANK.keys()


def test_no_source_is_ignored_by_git():
    """A room named `data` once was, so that no new clone could run."""
    listed = ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "elman", "tests"]
    done = subprocess.run(listed, cwd=ROOT.parent, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    assert not [name for name in done.stdout.split() if "__pycache__" not in name]


def test_public_names():
    assert sorted(elman.__all__) == [
        "GRU", "LSTM", "RNN", "Recurrent", "__version__", "cells", "convert", "cross_validate",
        "errors", "explain", "fit", "load", "resume", "revert", "scan",
    ]  # fmt: skip


def test_importing_elman_leaves_slow_libraries_alone():
    slow = "('matplotlib', 'llvmlite', 'rich', 'typer', 'polars', 'elman.tasks')"
    code = f"import sys, elman; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""The Python in the documentation runs."""

import re
from pathlib import Path

import pytest

import elman

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def python_of(path: Path) -> str:
    return "\n".join(BLOCK.findall(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_code_in_the_docs_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(python_of(path), str(path), "exec"), {})  # noqa: S102 - our own text


def test_the_concepts_hold_code():
    assert python_of(ROOT / "docs" / "concepts.md").count("assert") >= 10


def test_a_cell_of_ones_own_takes_under_forty_lines():
    code = python_of(ROOT / "docs" / "cells.md")
    lines = [line for line in code.splitlines() if line.strip()]
    assert "elman.fit" in code
    assert len(lines) < 40


def test_the_example_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = python_of(ROOT / "README.md")
    assert "minutes=1)" in code
    quick = code.replace("minutes=1)", "steps=3, hidden_size=16)")
    names = {}
    exec(compile(quick, "README.md", "exec"), names)  # noqa: S102 - our own text
    assert names["output"].shape == (20, 4, 8)
    assert "tensor" in capsys.readouterr().out
    assert elman.cells is names["elman"].cells


def test_links_lead_somewhere():
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"

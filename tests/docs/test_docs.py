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
    assert len(capsys.readouterr().out) > 100  # the text that the model wrote
    assert elman.cells is names["elman"].cells
    elman.load("runs/language-001", cell=names["Leaky"])


def test_the_ten_lines_of_the_readme_are_ten():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first = BLOCK.findall(text)[0]
    assert "## Ten lines" in text
    assert sum(bool(line.strip()) for line in first.splitlines()) == 10
    assert "elman.fit" in first
    assert max(map(len, first.splitlines())) <= 100


def test_links_lead_somewhere():
    results = (ROOT / "benchmarks" / "results").glob("*.md")
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *results]:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"

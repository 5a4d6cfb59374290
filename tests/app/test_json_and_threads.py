"""What every command has: its result as one JSON object, and a number of threads."""

import csv
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import typer

from elman.app import terminal
from elman.app.main import app
from elman.app.main import run as run_elman
from tests.app.test_classify import SMALL as SMALL_CLASSIFY
from tests.app.test_command_line import SMALL as SMALL_LANGUAGE
from tests.conftest import TEXT

SMALL_FORECAST = (
    "--hidden-size=4", "--steps=6", "--evaluate-every=3", "--look-back=12", "--horizon=4",
    "--batch-size=8", "--backend=reference",
)  # fmt: skip


def commands(group, path=()):
    """The words of every command of the program."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A small run of each task, and the data that it was made of."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    rows = [("name", "kind"), *(("ab" * n, "x") for n in range(1, 31)),
            *(("cd" * n, "y") for n in range(1, 31))]  # fmt: skip
    with open(folder / "table.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    days = np.datetime64("2020-01-01") + np.arange(120)
    values = 10 + np.sin(np.arange(120) / 3)
    lines = [f"{day},{value:.3f}" for day, value in zip(days, values, strict=True)]
    (folder / "series.csv").write_text("\n".join(["day,value", *lines]) + "\n")
    found = SimpleNamespace(folder=folder, language=folder / "l", classify=folder / "c",
                            forecast=folder / "f")  # fmt: skip
    for task in ("language", "classify", "forecast"):
        words = [*training(found, task), "--run", str(getattr(found, task))]
        assert run_elman(["train", task, *words]) == 0
    return found


def training(runs, task):
    return {
        "language": [str(runs.folder / "text.txt"), *SMALL_LANGUAGE],
        "classify": [str(runs.folder / "table.csv"), "--label-column=kind", *SMALL_CLASSIFY],
        "forecast": [str(runs.folder / "series.csv"), *SMALL_FORECAST],
    }[task]


CALLS = {
    "train language": lambda runs: [*training(runs, "language"), "--run", runs.folder / "l2"],
    "train classify": lambda runs: [*training(runs, "classify"), "--run", runs.folder / "c2"],
    "train forecast": lambda runs: [*training(runs, "forecast"), "--run", runs.folder / "f2"],
    "resume": lambda runs: [runs.language, "--steps=22"],
    "evaluate": lambda runs: [runs.classify],
    "generate": lambda runs: [runs.language, "--length=9", "--samples=2", "--prompt=it"],
    "score": lambda runs: [runs.language, runs.folder / "text.txt"],
    "infill": lambda runs: [runs.language, "it wa_ the"],
    "predict": lambda runs: [runs.classify, "abab", "cd"],
    "forecast": lambda runs: [runs.forecast],
    "demo": lambda runs: ["--minutes=0.02", "--run", runs.folder / "d"],
}
"""How each command is called here. A new command gets a row."""


def test_no_command_is_forgotten():
    assert COMMANDS.keys() == CALLS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_result_is_one_json_object(name, runs, capsys):
    arguments = [*name.split(), *map(str, CALLS[name](runs)), "--json", "--threads=1"]
    capsys.readouterr()
    assert run_elman(arguments) == 0, capsys.readouterr().err
    out, _ = capsys.readouterr()

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    assert out.count("\n") == 1
    found = json.loads(out, parse_constant=refuse)
    assert isinstance(found, dict)
    assert found
    assert torch.get_num_threads() == 2  # as before


def test_what_training_tells(runs, capsys):
    assert run_elman(["resume", str(runs.classify), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"run", "task", "steps", "seconds", "kept", "test"}
    assert found["run"] == str(runs.classify)
    assert found["kept"]["step"] <= found["steps"]
    assert found["test"] == json.loads((runs.classify / "results.json").read_text())


def test_predictions_in_one_object(runs, capsys, tmp_path):
    path = tmp_path / "many.txt"
    path.write_text("ab\n" * 5000)
    for words in (["--json"], ["--format", "json"]):
        assert run_elman(["predict", str(runs.classify), "--file", str(path), *words]) == 0
        found = json.loads(capsys.readouterr().out)["predictions"]
        assert len(found) == 5000
        assert {row["labels"][0]["label"] for row in found} <= {"x", "y"}
    assert run_elman(["predict", str(runs.classify), "ab", "--json", "--format=csv"]) == 2
    assert "choose one" in capsys.readouterr().err


def test_settings_as_json(runs, capsys):
    assert run_elman(["train", "classify", "--print-config", "--json", "--hidden-size=3"]) == 0
    assert json.loads(capsys.readouterr().out)["hidden_size"] == 3


def test_numbers_that_json_lacks(capsys):
    terminal.result_as_json({"a": [1.5, float("inf")], "b": {"c": (float("nan"), "é")}})
    assert capsys.readouterr().out == '{"a": [1.5, null], "b": {"c": [null, "é"]}}\n'


@pytest.mark.parametrize("name", COMMANDS)
def test_threads_are_checked(name, runs, capsys):
    arguments = [*name.split(), *map(str, CALLS[name](runs)), "--threads=0"]
    assert run_elman(arguments) == 2
    assert "threads" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are counted by Linux")
@pytest.mark.parametrize("command", ["predict", "train"])
def test_threads_hold_for_torch_and_for_the_compiled_loop(command, runs, tmp_path):
    """Counted by the system: OpenMP makes its threads when they are first asked for."""
    program = (
        "import os, sys\nfrom elman.app.main import run\n"
        "assert run(sys.argv[1:]) == 0\nprint(len(os.listdir('/proc/self/task')))"
    )

    def threads(count):
        words = {
            "predict": ["predict", str(runs.classify), *["abab", "cd"] * 40],
            "train": ["train", "classify", str(runs.folder / "table.csv"), "--label-column=kind",
                      "--run", str(tmp_path / str(count)), "--hidden-size=64", "--steps=3"],
        }[command]  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", program, *words, f"--threads={count}"],
            capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "2"},
        )  # fmt: skip
        return int(done.stdout.split()[-1])

    assert threads(4) - threads(1) >= 3

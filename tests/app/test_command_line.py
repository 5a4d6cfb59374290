"""The program as a user types it: results, exit codes, and one line for every mistake."""

import json
import signal
import subprocess
import sys
import time

import pytest

import elman
from elman.app.main import run as run_elman

SMALL = (
    "--hidden-size=8", "--batch-size=4", "--sequence-length=16", "--steps=20", "--evaluate-every=10"
)  # fmt: skip


class Program:
    """Runs a command line in this process and catches what it prints."""

    def __init__(self, capsys):
        self._capsys = capsys

    def __call__(self, *arguments, code=0):
        self._capsys.readouterr()
        got = run_elman([str(argument) for argument in arguments])
        out, err = self._capsys.readouterr()
        assert got == code, err
        return out, err

    def fails(self, code, *arguments):
        """The one line that a mistake gets."""
        out, err = self(*arguments, code=code)
        lines = [line for line in err.splitlines() if not line.startswith("seed: ")]
        assert out == ""
        assert len(lines) == 1, err
        assert lines[0].startswith("error: ")
        return lines[0]


@pytest.fixture
def program(capsys):
    return Program(capsys)


@pytest.fixture
def trained(tmp_path, text_file, program):
    program("train", "language", text_file, "--run", tmp_path / "run", *SMALL)
    return tmp_path / "run"


def test_version_and_help(program):
    assert program("--version")[0] == f"elman {elman.__version__}\n"
    out, _ = program("train", "language", "--help")
    for flag in ("--cell", "--hidden-size", "--minutes", "--valid-fraction", "--print-config"):
        assert flag in out
    assert "Examples" in out
    for command in ("resume", "evaluate", "generate", "demo"):
        assert "Usage" in program(command, "--help")[0]


def test_training_prints_results_to_stdout_and_the_rest_to_stderr(program, tmp_path, text_file):
    out, err = program("train", "language", text_file, "--run", tmp_path / "run", *SMALL)
    assert out.startswith("best validation loss")
    assert out.count("\n") == 1
    assert "step      10" in err
    assert "\x1b" not in err  # plain lines where there is no terminal
    assert f"next: elman generate {tmp_path / 'run'}" in err


def test_runs_count_up(program, tmp_path, text_file, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        program("train", "language", text_file, *SMALL)
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["language-001", "language-002"]


def test_a_settings_file_and_flags(program, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('cell = "gru"\nhidden_size = 12\nsteps = 7\n')
    out, _ = program("train", "language", "--config", path, "--hidden-size", 16, "--print-config")
    assert 'cell = "gru"' in out
    assert "hidden_size = 16" in out
    assert "steps = 7" in out
    path.write_text(out)
    assert program("train", "language", "--config", path, "--print-config")[0] == out


def test_the_configuration_of_a_run_serves_as_settings(program, trained):
    out, _ = program("train", "language", "--config", trained / "config.toml", "--print-config")
    assert "hidden_size = 8" in out
    assert "[run]" not in out


def test_evaluate_both_ways(program, trained, text_file):
    out, _ = program("evaluate", trained)
    assert "per character" in out
    assert "state carried through the text" in out
    assert "windows of 256" in out
    result = json.loads(program("evaluate", trained, text_file, "--json", "--window", 8)[0])
    model = elman.load(trained).evaluate(text_file.read_text(), window=8)
    assert result == model.to_json()
    assert result["windows"]["window"] == 8


def test_generate(program, trained):
    out, err = program("generate", trained, "--prompt", "it was", "--length", 30, "--seed", 3)
    assert out.startswith("it was")
    assert len(out) == len("it was") + 30 + 1
    assert err == ""
    again, _ = program("generate", trained, "--prompt", "it was", "--length", 30, "--seed", 3)
    assert again == out
    _, err = program("generate", trained, "--length", 3)
    assert err.startswith("seed: ")
    drawn = err.split()[1]
    out, _ = program("generate", trained, "--samples", 2, "--length", 5, "--seed", drawn)
    assert out.count("--- sample") == 2
    greedy = {
        program("generate", trained, "--temperature", 0, "--length", 9, "--seed", seed)[0]
        for seed in (1, 2)
    }
    assert len(greedy) == 1
    out, _ = program(
        "generate", trained, "--prompt", "it §was", "--unknown", "skip", "--length", 0, "--seed", 1
    )
    assert out == "it §was\n"


def test_resume_says_when_a_run_is_finished(program, trained):
    _, err = program("resume", trained)
    assert "the run is finished" in err
    out, err = program("resume", trained, "--steps", 30)
    assert "going on from step 20" in err
    assert "best validation loss" in out


def test_wrong_usage_ends_with_2(program, tmp_path, text_file, trained):
    fails = program.fails
    assert "No such option" in fails(2, "train", "language", "--hiden-size", 3)
    assert "No such command" in fails(2, "frobnicate")
    assert "at least 1" in fails(2, "train", "language", text_file, "--hidden-size", 0)
    assert "exists already" in fails(2, "train", "language", text_file, "--run", trained)
    assert "--unknown skip" in fails(2, "generate", trained, "--prompt", "§")
    assert "temperature" in fails(2, "generate", trained, "--temperature", "-1")
    assert "valid" in fails(2, "generate", trained, "--length", "many")
    path = tmp_path / "bad.toml"
    path.write_text("hiden_size = 3")
    assert "did you mean 'hidden_size'" in fails(2, "train", "language", "--config", path)
    path.write_text("hidden_size = 'x'")
    assert "bad.toml: hidden_size" in fails(2, "train", "language", "--config", path)
    path.write_text("hidden_size = ")
    assert "not valid TOML" in fails(2, "train", "language", "--config", path)


def test_bad_data_and_bad_runs_end_with_1(program, tmp_path, trained):
    fails = program.fails
    run = tmp_path / "new"
    assert "no file or folder" in fails(1, "train", "language", tmp_path / "no.txt", "--run", run)
    empty = tmp_path / "empty.txt"
    empty.touch()
    assert "is empty" in fails(1, "train", "language", empty, "--run", run)
    binary = tmp_path / "picture.png"
    binary.write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    assert "but is a PNG picture" in fails(1, "train", "language", binary, "--run", run)
    short = tmp_path / "short.txt"
    short.write_text("too short")
    assert "one window needs 65" in fails(1, "train", "language", short, "--run", run)
    assert "no run folder" in fails(1, "generate", tmp_path / "nowhere")
    assert "not a run folder" in fails(1, "evaluate", tmp_path)
    assert "settings file" in fails(1, "train", "language", "--config", tmp_path / "no.toml")
    assert not run.exists()
    (trained / "model.safetensors").write_bytes(b"")
    assert "damaged" in fails(1, "generate", trained)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(tmp_path, text_file, number, code):
    run = tmp_path / "run"
    arguments = ["train", "language", str(text_file), "--run", str(run), *SMALL, "--steps=100000"]
    with subprocess.Popen(
        [sys.executable, "-m", "elman", *arguments], stderr=subprocess.PIPE, text=True
    ) as child:
        while not (run / "metrics.jsonl").exists():
            time.sleep(0.01)
        child.send_signal(number)
        _, err = child.communicate(timeout=30)
    assert child.returncode == code
    assert f"go on with `elman resume {run}`" in err.splitlines()[-1]
    assert (run / "checkpoint.safetensors").exists()
    assert "Traceback" not in err


def test_standard_input_and_a_closed_pipe(tmp_path, trained):
    text = "a stream of words and words " * 40
    arguments = [sys.executable, "-m", "elman", "train", "language", "-", "--run"]
    done = subprocess.run(
        [*arguments, str(tmp_path / "stdin"), *SMALL], input=text, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    head = f"{sys.executable} -m elman generate {trained} --length 3000 --seed 1 | head -c 10"
    done = subprocess.run(head, shell=True, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert len(done.stdout) == 10

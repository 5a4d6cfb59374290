"""A training process that is killed at any moment and resumed equals one that never was."""

import subprocess
import sys
import time

import pytest

from elman.artifacts import open_run
from elman.artifacts.weights import load_tensors
from tests.train.test_fit import comparable

OPTIONS = (
    "--steps=60", "--evaluate-every=9", "--save-every=7", "--dropout=0.1", "--hidden-size=48",
    "--batch-size=8", "--sequence-length=24", "--threads=1",
)  # fmt: skip


def command(*arguments) -> list[str]:
    return [sys.executable, "-m", "elman", *map(str, arguments)]


def first_step_is_near(run):
    return run.exists()


def first_metrics_are_there(run):
    return (run / "metrics.jsonl").exists()


def checkpoint_is_there(run):
    return (run / "checkpoint.safetensors").exists()


def much_is_done(run):
    return first_metrics_are_there(run) and len(open_run(run).read_metrics()) >= 4


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unharmed")
    text = folder / "text.txt"
    text.write_text("how much wood would a woodchuck chuck if a woodchuck could chuck wood? " * 60)
    subprocess.run(
        command("train", "language", text, "--run", folder / "run", *OPTIONS),
        check=True, capture_output=True,
    )  # fmt: skip
    return text, folder / "run"


@pytest.mark.parametrize(
    "moment", [first_step_is_near, first_metrics_are_there, checkpoint_is_there, much_is_done]
)
def test_killed_and_resumed_equals_unharmed(tmp_path, unharmed, moment):
    text, whole = unharmed
    run = tmp_path / "run"
    arguments = command("train", "language", text, "--run", run, *OPTIONS)
    with subprocess.Popen(arguments, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as child:
        while child.poll() is None and not moment(run):
            time.sleep(0.001)
        child.kill()
    for _ in range(2):  # resumed, killed once more at once, and resumed to the end
        with subprocess.Popen(command("resume", run), stderr=subprocess.DEVNULL) as child:
            time.sleep(1.2)
            child.kill()
    subprocess.run(command("resume", run), check=True, capture_output=True)
    assert comparable(run) == comparable(whole)
    ours, _ = load_tensors(run / "checkpoint.safetensors")
    theirs, _ = load_tensors(whole / "checkpoint.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(ours[name].equal(theirs[name]) for name in ours)

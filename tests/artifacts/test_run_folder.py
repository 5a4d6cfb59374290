"""The run folder: atomic, checked, and never trusted."""

import json
import os

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from elman.artifacts import RunConfig, create_run, next_free, open_run
from elman.artifacts.checkpoint import Progress, load_checkpoint, save_checkpoint
from elman.artifacts.files import write_atomically
from elman.artifacts.weights import fill_module, load_tensors, save_tensors
from elman.errors import ArgumentError, RunError

CONFIG = RunConfig("language", {"cell": "lstm", "clip": 0.1}, {"tokens": 3}, {"step": 0})


def fill(folder):
    folder.write_config(CONFIG)


def test_a_configuration_survives_the_disk(tmp_path):
    folder = create_run(tmp_path / "a" / "run", False, fill)
    assert open_run(folder.path).read_config() == CONFIG


def test_a_failure_while_filling_leaves_nothing(tmp_path):
    def fail(folder):
        fill(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        create_run(tmp_path / "run", False, fail)
    assert list(tmp_path.iterdir()) == []


def test_force_replaces_runs_only(tmp_path):
    create_run(tmp_path / "run", False, fill)
    with pytest.raises(ArgumentError, match=r"exists already.*elman resume.*--force"):
        create_run(tmp_path / "run", False, fill)
    (tmp_path / "run" / "old").touch()
    create_run(tmp_path / "run", True, fill)
    assert not (tmp_path / "run" / "old").exists()
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "config.toml").write_text("mine = 1")
    with pytest.raises(ArgumentError, match="not written by elman"):
        create_run(precious, True, fill)
    assert (precious / "config.toml").read_text() == "mine = 1"
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "run")
    with pytest.raises(ArgumentError, match="not written by elman"):
        create_run(link, True, fill)


def test_a_failed_replacement_keeps_the_old_run(tmp_path):
    create_run(tmp_path / "run", False, fill)

    def fail(folder):
        raise RunError("no")

    with pytest.raises(RunError):
        create_run(tmp_path / "run", True, fail)
    assert open_run(tmp_path / "run").read_config() == CONFIG


def test_numbers_count_up(tmp_path):
    parent = str(tmp_path / "runs")
    assert next_free("language", parent).name == "language-001"
    for name in ("language-001", "language-007", "language-x", "classify-050"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert next_free("language", parent).name == "language-008"


def test_a_writer_that_fails_leaves_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "not a run folder"),
        ("mine = 1", "not a run folder"),
        ("= 1", "not valid TOML"),
        ("[run]\nformat = 'x'", "not a run folder"),
        ("[run]\nformat = 99\nelman = '7.0'", "format 99.*update elman.*7.0"),
        ("[run]\nformat = 1\ntask = 'language'", "incomplete"),
    ],
)
def test_what_is_no_run(tmp_path, content, words):
    if content is not None:
        (tmp_path / "config.toml").write_text(content)
    with pytest.raises(RunError, match=words):
        open_run(tmp_path).read_config()


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(RunError, match="no run folder"):
        open_run(tmp_path / "nowhere")


def test_truncated_and_foreign_weights(tmp_path):
    path = tmp_path / "model.safetensors"
    module = nn.Linear(2, 3)
    with pytest.raises(RunError, match="missing"):
        load_tensors(path)
    save_tensors(path, module.state_dict(), {"step": 5})
    tensors, notes = load_tensors(path)
    assert notes == {"step": 5}
    fill_module(module, tensors, path)
    for size in (0, 7, 40, path.stat().st_size - 1):
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(RunError, match="damaged"):
            load_tensors(path)
        save_tensors(path, module.state_dict(), {"step": 5})
    for wrong, words in (
        ({"weight": torch.zeros(3, 2)}, "lacks tensor 'bias'"),
        ({"weight": torch.zeros(3, 2), "bias": torch.zeros(4)}, r"'bias' is \(4,\)"),
        (
            {"weight": torch.zeros(3, 2), "bias": torch.zeros(3, dtype=torch.half)},
            "float16.*float32",
        ),
        ({**module.state_dict(), "extra": torch.zeros(1)}, "unexpected tensor 'extra'"),
    ):
        save_file(wrong, path)
        with pytest.raises(RunError, match=words):
            fill_module(module, load_tensors(path)[0], path)


def test_a_checkpoint_restores_everything(tmp_path):
    folder = create_run(tmp_path / "run", False, fill)
    model, other = nn.Linear(2, 3), nn.Linear(2, 3)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    carry = (torch.randn(2, 3), {"m": torch.randn(1)})
    saved = Progress(step=4, seen=8, seconds=1.5, best=0.25, best_step=3)
    save_checkpoint(folder, saved, model, optimizer, carry)
    fresh = torch.optim.AdamW(other.parameters())
    empty = (torch.zeros(2, 3), {"m": torch.zeros(1)})
    progress, found = load_checkpoint(folder, other, fresh, empty)
    assert progress == saved
    assert torch.equal(found[0], carry[0])
    assert torch.equal(found[1]["m"], carry[1]["m"])
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )
    for slots, expected in zip(fresh.state.values(), optimizer.state.values(), strict=True):
        assert all(torch.equal(slots[key], expected[key]) for key in expected)
    with pytest.raises(RunError, match="carried state"):
        load_checkpoint(folder, other, fresh, torch.zeros(2, 3))


def test_metrics_that_are_not_json(tmp_path):
    folder = create_run(tmp_path / "run", False, fill)
    folder.write_metrics([{"step": 1}, {"step": 2}])
    assert folder.read_metrics() == [{"step": 1}, {"step": 2}]
    lines = (folder.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == folder.read_metrics()
    (folder.path / "metrics.jsonl").write_text("{")
    with pytest.raises(RunError, match="not JSON"):
        folder.read_metrics()

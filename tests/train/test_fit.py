"""`fit` and `resume`: what they leave behind, and what they refuse."""

import json
import signal
import threading

import pytest
import torch
from torch import nn

import elman
from elman.artifacts import open_run
from elman.cells import CELLS, LSTMCell
from elman.errors import ArgumentError, DataError, Interrupted, RunError, TrainingError
from elman.tasks.cell import PERCEPTRON
from elman.train.listener import Listener

SMALL = {"hidden_size": 8, "batch_size": 4, "sequence_length": 16, "evaluate_every": 10}


class Own(LSTMCell):
    """A class of the user's own."""


def train(text_file, run, **changes):
    return elman.fit("language", text_file, run, **{**SMALL, "steps": 30, **changes})


def comparable(run):
    """Everything of a run that must not depend on time."""
    times = ("seconds", "characters_per_second", "bytes_per_second")
    metrics = [
        {key: value for key, value in record.items() if key not in times}
        for record in open_run(run).read_metrics()
    ]
    return metrics, (run / "model.safetensors").read_bytes()


@pytest.mark.parametrize("cell", [*CELLS, PERCEPTRON])
def test_every_cell_learns_and_two_runs_are_equal(tmp_path, text_file, cell):
    for run in ("a", "b"):
        train(text_file, tmp_path / run, cell=cell, steps=40, learning_rate=0.02)
    assert comparable(tmp_path / "a") == comparable(tmp_path / "b")
    losses = [record["valid_loss"] for record in open_run(tmp_path / "a").read_metrics()]
    assert losses[-1] < losses[0]


def test_the_run_folder_holds_what_it_promises(tmp_path, text_file):
    model = train(text_file, tmp_path / "run", level="byte", dropout=0.1, embedding_size=4)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "checkpoint.safetensors", "config.toml", "curves.png", "data", "metrics.jsonl",
        "model.safetensors", "vocabulary.json",
    ]  # fmt: skip
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["step"] for record in records] == [10, 20, 30]
    assert records[0].keys() == {
        "step", "seen_bytes", "train_loss", "valid_loss", "bits_per_byte", "perplexity",
        "nats_per_character", "bytes_per_second", "learning_rate", "seconds",
    }  # fmt: skip
    assert records[1]["seen_bytes"] == 20 * 4 * 16
    assert model.evaluate().carried.unit == "byte"
    assert len(model.score("times")) == 5


def test_the_best_model_is_kept_not_the_last(tmp_path, text_file):
    class Spoil(Listener):
        def started(self, task, schedule, progress):
            self.task = task

        def evaluated(self, record):
            if record["step"] == 20:
                with torch.no_grad():
                    for parameter in self.task.model.parameters():
                        parameter.zero_()

    run = tmp_path / "run"
    elman.fit("language", text_file, run, listener=Spoil(), **SMALL, steps=30, learning_rate=0.02)
    losses = [record["valid_loss"] for record in open_run(run).read_metrics()]
    assert losses[2] > losses[1]
    trained = elman.load(run)
    assert any(p.abs().sum() > 0 for p in trained.model.parameters())


@pytest.mark.parametrize("sampling", ["streams", "windows"])
def test_interrupted_and_resumed_equals_never_interrupted(tmp_path, text_file, sampling):
    class Stop(Listener):
        def stepped(self, progress, loss):
            if progress.step == 13:
                signal.raise_signal(signal.SIGTERM)

    options = {"sampling": sampling, "dropout": 0.2, "layers": 2, "save_every": 100}
    train(text_file, tmp_path / "whole", **options)
    with pytest.raises(Interrupted, match=r"step 13 and saved.*elman resume") as caught:
        train(text_file, tmp_path / "parts", listener=Stop(), **options)
    assert caught.value.exit_code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    text_file.unlink()  # the run keeps its text
    elman.resume(tmp_path / "parts")
    assert comparable(tmp_path / "whole") == comparable(tmp_path / "parts")


def test_resume_drops_metrics_newer_than_its_checkpoint(tmp_path, text_file):
    train(text_file, tmp_path / "whole", save_every=15)
    train(text_file, tmp_path / "run", save_every=15, steps=15)
    folder = open_run(tmp_path / "run")
    config = folder.read_config()
    config.settings["steps"] = 30
    folder.write_config(config)  # as if killed at step 20: metrics newer than the checkpoint of 15
    folder.write_metrics([*folder.read_metrics()[:1], {"step": 20, "valid_loss": 0.0}])
    elman.resume(tmp_path / "run")
    assert [record["step"] for record in folder.read_metrics()] == [10, 20, 30]


def test_a_finished_run_stays_as_it_is_and_a_larger_budget_goes_on(tmp_path, text_file):
    run = tmp_path / "run"
    train(text_file, run, learning_rate=0.02)
    before = comparable(run)
    elman.resume(run)
    elman.resume(run, steps=30)
    assert comparable(run) == before
    elman.resume(run, steps=50)
    records = open_run(run).read_metrics()
    assert [record["step"] for record in records] == [10, 20, 30, 40, 50]
    assert open_run(run).read_config().schedule["step"] == 30
    assert records[-1]["valid_loss"] < records[2]["valid_loss"]


def test_patience_that_ended_a_run_can_be_changed(tmp_path, text_file):
    class Ends(Listener):
        def ended(self, progress, why):
            ends.append((progress.step, progress.kept_step, why))

    run, ends = tmp_path / "run", []
    options = {"steps": 100, "evaluate_every": 5, "patience": 2, "learning_rate": 1e-30}
    train(text_file, run, listener=Ends(), **options)
    (step, kept, why), *_ = ends
    assert step == 50  # not in the first half of the budget
    assert kept <= step
    assert "no better in 2 evaluations" in why
    elman.resume(run, listener=Ends())
    assert len(ends) == 1
    elman.resume(run, patience=0, listener=Ends())
    assert ends[1][0] == 100
    assert ends[1][2] == "its budget is used up"
    assert open_run(run).read_config().schedule["step"] == 0  # the same schedule goes on
    with pytest.raises(ArgumentError, match="patience must be at least 0"):
        elman.resume(run, patience=-1)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_which_weights_are_kept(tmp_path, text_file, keep):
    class Note(Listener):
        def started(self, task, schedule, progress):
            self.task = task

        def evaluated(self, record):
            weight = next(self.task.model.parameters())
            seen[record["step"]] = (record["valid_loss"], weight.detach().clone())
            if record["step"] == 20:
                weight.data.mul_(30)  # so that step 30 is worse

    seen: dict = {}
    trained = train(text_file, tmp_path / "run", listener=Note(), keep=keep, learning_rate=1e-5)
    best = min(seen, key=lambda step: seen[step][0])
    assert best != 30
    expected = seen[best if keep == "best" else 30][1]
    assert torch.equal(next(trained.model.parameters()), expected)


def test_a_budget_of_minutes_and_of_epochs(tmp_path, text_file):
    train(text_file, tmp_path / "clock", steps=None, minutes=0.005)
    last = open_run(tmp_path / "clock").read_metrics()[-1]
    assert 0.2 <= last["seconds"] < 3.0
    resumed = elman.resume(tmp_path / "clock")  # which finds it finished
    assert resumed.evaluate().carried.nats > 0
    assert open_run(tmp_path / "clock").read_metrics()[-1] == last
    train(text_file, tmp_path / "epochs", steps=None, epochs=0.5)
    record = open_run(tmp_path / "epochs").read_metrics()[-1]
    assert record["seen_characters"] == pytest.approx(0.5 * 0.9 * 2024, rel=0.1)


def test_training_in_a_thread(tmp_path, text_file):
    done = []
    thread = threading.Thread(target=lambda: done.append(train(text_file, tmp_path / "run")))
    thread.start()
    thread.join()
    assert done


def test_a_loss_that_is_not_finite_stops_and_keeps_the_best(tmp_path, text_file):
    class Break(Listener):
        def started(self, task, schedule, progress):
            self.task = task

        def evaluated(self, record):
            next(self.task.model.parameters()).data.fill_(float("nan"))

    with pytest.raises(TrainingError, match=r"step 11: the loss is nan.*--learning-rate"):
        train(text_file, tmp_path / "run", listener=Break())
    trained = elman.load(tmp_path / "run")
    assert all(torch.isfinite(p).all() for p in trained.model.parameters())


def test_an_own_class_is_named_again_never_imported(tmp_path, text_file):
    model = train(text_file, tmp_path / "run", cell=Own)
    assert isinstance(model.model.recurrent.cells[0], Own)
    recorded = open_run(tmp_path / "run").read_config().settings["cell"]
    assert recorded.endswith("test_fit:Own")
    for use in (elman.load, elman.resume):
        with pytest.raises(ArgumentError, match=r"cell of your own.*:Own.*cell=Name"):
            use(tmp_path / "run")
    assert elman.load(tmp_path / "run", cell=Own).score("it was").isfinite().all()


def test_a_run_copied_without_its_data_can_still_be_used(tmp_path, text_file):
    train(text_file, tmp_path / "run")
    (tmp_path / "run" / "data" / "tokens.bin").unlink()
    trained = elman.load(tmp_path / "run")
    assert len(trained.generate("it", 5)) == 5
    with pytest.raises(ArgumentError, match="no text of its own"):
        trained.evaluate()
    with pytest.raises(RunError, match=r"tokens.bin is missing"):
        elman.resume(tmp_path / "run")


def test_training_leaves_threads_and_random_state_alone(tmp_path, text_file):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train(text_file, tmp_path / "run", threads=1)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == 2


class NoStep(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"hiden_size": 8}, ArgumentError, "did you mean 'hidden_size'"),
        ({"hidden_size": 0}, ArgumentError, "at least 1"),
        ({"cell": "lstn"}, ArgumentError, "one of rnn"),
        ({"cell": NoStep}, elman.errors.StepError, "initial_state"),
        ({"backend": "fast"}, ArgumentError, "one of"),
        ({"device": "nowhere"}, ArgumentError, "'nowhere' can't be used"),
        ({"sequence_length": 5000}, DataError, "5001"),
        ({"run": "/dev/null/run"}, RunError, "can't write the run folder.*--run"),
    ],
)
def test_what_fit_refuses_leaves_nothing_behind(tmp_path, text_file, changes, error, words):
    run = changes.pop("run", tmp_path / "run")
    with pytest.raises(error, match=words):
        train(text_file, run, **changes)
    assert [p.name for p in tmp_path.iterdir()] == ["text.txt"]


def test_unknown_tasks_and_budgets(tmp_path, text_file):
    with pytest.raises(ArgumentError, match="task must be one of language"):
        elman.fit("langage", text_file, tmp_path / "run")
    train(text_file, tmp_path / "run")
    with pytest.raises(ArgumentError, match="unknown setting 'step'"):
        elman.resume(tmp_path / "run", step=9)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda run: (run / "model.safetensors").unlink(), "no model yet.*elman resume"),
        (lambda run: (run / "model.safetensors").write_bytes(b"x" * 99), "damaged"),
        (lambda run: (run / "vocabulary.json").write_text("{"), "not valid JSON"),
        (lambda run: (run / "vocabulary.json").write_text("{}"), "a vocabulary must"),
    ],
)
def test_a_damaged_run_is_named(tmp_path, text_file, spoil, words):
    train(text_file, tmp_path / "run")
    spoil(tmp_path / "run")
    with pytest.raises(RunError, match=words):
        elman.load(tmp_path / "run")


def test_weights_that_do_not_fit_their_configuration(tmp_path, text_file):
    train(text_file, tmp_path / "run")
    folder = open_run(tmp_path / "run")
    config = folder.read_config()
    config.settings["hidden_size"] = 9
    folder.write_config(config)
    for use in (elman.load, elman.resume):
        with pytest.raises(RunError, match=r"does not fit its config.toml.*8\).*9\)"):
            use(tmp_path / "run")
    config.settings["hidden_size"] = -1
    folder.write_config(config)
    with pytest.raises(ArgumentError, match=r"config\.toml: hidden_size must be at least 1"):
        elman.load(tmp_path / "run")

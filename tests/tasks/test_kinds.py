"""What holds for every task: one row of `TASKS` each."""

import dataclasses
import inspect

import pytest
import torch

import elman
from elman.artifacts import open_run
from elman.artifacts.load import read_run
from elman.artifacts.run_folder import RunFolder
from elman.errors import ArgumentError, Interrupted
from elman.settings import names
from elman.tasks import TASKS
from elman.tasks.language.use import generate
from elman.tasks.language.use.generate import Sampling
from elman.tasks.language.use.trained import TrainedLanguage
from elman.train.listener import Listener
from tests.tasks.forecast.tables import daily

SMALL = {
    "language": {"hidden_size": 8, "batch_size": 4, "sequence_length": 16},
    "classify": {"hidden_size": 8, "batch_size": 8, "embedding_size": 16},
    "forecast": {"hidden_size": 8, "batch_size": 8, "look_back": 12, "horizon": 4},
}


@pytest.fixture
def data(tmp_path, text_file):
    names_of = tmp_path / "names"
    names_of.mkdir()
    for label, ending in (("a", "ova"), ("b", "ski")):
        lines = [f"{chr(97 + i % 26)}{chr(97 + i // 26)}{ending}" for i in range(60)]
        (names_of / f"{label}.txt").write_text("\n".join(lines))
    table = daily(tmp_path / "t.csv")
    return {"language": text_file, "classify": names_of, "forecast": table}


@pytest.mark.parametrize("task", TASKS)
def test_residual_norm_and_learned_state_train_resume_and_load(tmp_path, data, task):
    """All three at once: as parts of the model, and in what a run keeps."""

    class Stop(Listener):
        def stepped(self, progress, loss):
            if progress.step == 5:
                raise KeyboardInterrupt

    options = {
        **SMALL[task], "layers": 2, "residual": True, "layer_norm": True, "learned_state": True,
        "steps": 8, "evaluate_every": 4, "save_every": 4,
    }  # fmt: skip
    trained = elman.fit(task, data[task], tmp_path / "whole", **options)
    weights = trained.model.state_dict()
    assert any("norms" in name for name in weights)
    first = [value for name, value in weights.items() if "first_state" in name]
    assert first
    assert all(value.abs().sum() > 0 for value in first)  # which begin as zeros
    with pytest.raises((Interrupted, KeyboardInterrupt)):
        elman.fit(task, data[task], tmp_path / "parts", listener=Stop(), **options)
    resumed = elman.resume(tmp_path / "parts")
    loaded = elman.load(tmp_path / "whole")
    for name, value in weights.items():
        assert torch.equal(value, resumed.model.state_dict()[name])
        assert torch.equal(value, loaded.model.state_dict()[name])


@pytest.mark.parametrize("task", TASKS)
def test_a_run_is_read_once(tmp_path, data, task, monkeypatch):
    elman.fit(task, data[task], tmp_path / "run", steps=3, **SMALL[task])
    reads = []
    for reader in ("read_config", "read_vocabulary"):
        original = getattr(RunFolder, reader)

        def counted(folder, original=original, reader=reader):
            reads.append(reader)
            return original(folder)

        monkeypatch.setattr(RunFolder, reader, counted)
    restore = TASKS[task].restore
    monkeypatch.setattr(
        type(TASKS[task]), "restore", lambda _, saved: reads.append("restore") or restore(saved)
    )
    elman.resume(tmp_path / "run", steps=5)
    assert sorted(reads) == ["read_config", "read_vocabulary", "restore"]
    assert open_run(tmp_path / "run").read_config().settings["steps"] == 5


@pytest.mark.parametrize(("name", "kind"), TASKS.items())
def test_the_options_of_evaluate_are_those_of_its_method(tmp_path, data, name, kind):
    model = elman.fit(name, data[name], tmp_path / "run", steps=2, **SMALL[name])
    parameters = inspect.signature(model.evaluate).parameters
    declared = {field.name: field.default for field in dataclasses.fields(kind.evaluation)}
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        with pytest.raises(ArgumentError, match="unknown setting 'abacus'"):
            model.evaluate(data[name], abacus=1)
        return
    for option, default in declared.items():
        assert option in parameters
        if option != "retrain":  # a flag of the command, a function in Python
            assert parameters[option].default == default


def test_a_setting_of_recurrent_layers_is_refused_by_the_perceptron(tmp_path, text_file):
    for name in ("residual", "layer_norm", "learned_state"):
        with pytest.raises(ArgumentError, match=rf"--{name.replace('_', '-')} is for recurrent"):
            elman.fit("language", text_file, tmp_path / "run", cell="mlp", **{name: True})
    assert not (tmp_path / "run").exists()


def test_a_residual_that_can_not_be_is_refused_before_anything_is_written(tmp_path, text_file):
    with pytest.raises(ArgumentError, match="as wide as its input"):
        elman.fit("language", text_file, tmp_path / "run", residual=True)
    assert not (tmp_path / "run").exists()


def test_sampling_has_one_set_of_defaults():
    signature = inspect.signature(TrainedLanguage.generate).parameters
    for name in names(Sampling):
        assert signature[name].default == getattr(Sampling(), name)
    assert signature["length"].default == generate.LENGTH


def test_a_run_names_its_source_in_messages(tmp_path, text_file):
    elman.fit("language", text_file, tmp_path / "run", steps=2, **SMALL["language"])
    assert read_run(tmp_path / "run").source == f"{tmp_path / 'run'}/config.toml"

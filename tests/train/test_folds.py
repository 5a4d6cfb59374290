"""Cross-validation: every row predicted once, interrupted and resumed, and what has no folds."""

import csv
import json
import signal
import statistics

import pytest

import elman
from elman.errors import ArgumentError, Interrupted, RunError
from elman.train.folds import joined, resume_folds
from elman.train.listener import Listener

SMALL = {
    "cell": "rnn", "hidden_size": 8, "layers": 1, "embedding_size": 4, "batch_size": 8,
    "learning_rate": 0.02, "backend": "reference", "epochs": 1,
}  # fmt: skip


def validate(data, run, **changes):
    return elman.cross_validate("classify", data, run, **{"folds": 3, **SMALL, **changes})


class StopInFold(Listener):
    def __init__(self, fold):
        self.fold, self.now = fold, 0

    def fold_begun(self, number, count):
        self.now = number

    def stepped(self, progress, loss):
        if self.now == self.fold and progress.step == 3:
            signal.raise_signal(signal.SIGTERM)


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_is_predicted_once_by_its_own_fold(tmp_path, names_folder):
    found = validate(names_folder, tmp_path / "run")
    rows = rows_of(tmp_path / "run/predictions.csv")
    places = [(row["file"], row["row"]) for row in rows]
    assert len(set(places)) == len(places) == sum(found.examples)
    for number in range(1, 4):
        own = rows_of(tmp_path / f"run/fold-{number}/predictions.csv")
        assert sorted(map(str, own)) == sorted(
            str({k: v for k, v in row.items() if k != "fold"})
            for row in rows if row["fold"] == str(number)
        )  # fmt: skip
        split = rows_of(tmp_path / f"run/fold-{number}/split.csv")
        tested = {(row["file"], row["row"]) for row in split if row["part"] == "test"}
        assert tested == {(row["file"], row["row"]) for row in own}
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results == found.to_json()
    accuracies = [elman.load(tmp_path / f"run/fold-{n}").evaluate().accuracy for n in (1, 2, 3)]
    assert results["mean"]["accuracy"] == pytest.approx(statistics.mean(accuracies))
    assert results["deviation"]["accuracy"] == pytest.approx(statistics.stdev(accuracies))


def test_signals_too(tmp_path, signals_file):
    found = validate(signals_file, tmp_path / "run", folds=2)
    assert set(found.mean) == {"accuracy", "macro_f1", "log_loss", "calibration_error"}


def test_interrupted_and_resumed_equals_never_interrupted(tmp_path, names_folder):
    whole = validate(names_folder, tmp_path / "whole")
    with pytest.raises(Interrupted, match=r"fold 2 of 3.*elman resume"):
        validate(names_folder, tmp_path / "parts", listener=StopInFold(2))
    assert not (tmp_path / "parts/results.json").exists()
    found = resume_folds(tmp_path / "parts")
    assert found.folds == whole.folds
    names = ("predictions.csv", "results.json")
    assert [(tmp_path / "parts" / name).read_bytes() for name in names] == [
        (tmp_path / "whole" / name).read_bytes() for name in names
    ]


def test_the_folder_is_no_run_and_is_replaced_only_when_asked(tmp_path, names_folder):
    run = tmp_path / "run"
    validate(names_folder, run)
    with pytest.raises(RunError, match=r"3 models of a cross-validation.*fold-1"):
        elman.load(run)
    with pytest.raises(ArgumentError, match="exists already"):
        validate(names_folder, run)
    validate(names_folder, run, folds=2, force=True)
    assert not (run / "fold-3").exists()


def test_folds_of_other_data_do_not_go_together(tmp_path, names_folder):
    run = tmp_path / "run"
    validate(names_folder, run)
    (run / "fold-2/predictions.csv").write_bytes((run / "fold-1/predictions.csv").read_bytes())
    with pytest.raises(RunError, match="folds 1 and 2 both predict row"):
        joined([run / f"fold-{number}" for number in (1, 2, 3)])


def test_what_has_no_folds(tmp_path, names_folder):
    with pytest.raises(ArgumentError, match="folds are for the task classify"):
        elman.cross_validate("language", names_folder, tmp_path / "run")
    with pytest.raises(ArgumentError, match="--folds must be at least 2, got 1"):
        validate(names_folder, tmp_path / "run", folds=1)
    with pytest.raises(ArgumentError, match="standard input can be read only once"):
        validate("-", tmp_path / "run")
    assert not list(tmp_path.glob("run*"))

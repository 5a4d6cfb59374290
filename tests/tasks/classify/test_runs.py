"""Runs: resume to the bit, equal seeds, and the model in use."""

import csv
import dataclasses
import io
import json
import signal

import numpy as np
import polars as pl
import pytest
import torch

import elman
from elman.artifacts import open_run
from elman.cells import RNNCell
from elman.errors import ArgumentError, DataError, Interrupted, RunError
from elman.train.fit import start
from elman.train.listener import Listener

SMALL = {
    "cell": "rnn", "hidden_size": 8, "layers": 1, "embedding_size": 4, "batch_size": 8,
    "learning_rate": 0.02, "backend": "reference",
}  # fmt: skip


def train(data, run, **changes):
    return elman.fit("classify", data, run, **{**SMALL, "epochs": 3, **changes})


def comparable(run):
    """Everything of a run that must not depend on time."""
    metrics = [
        {k: v for k, v in record.items() if k not in ("seconds", "examples_per_second")}
        for record in open_run(run).read_metrics()
    ]
    return metrics, (run / "model.safetensors").read_bytes(), (run / "results.json").read_bytes()


@pytest.fixture(params=["text", "signals"])
def data(request, names_folder, signals_file):
    return names_folder if request.param == "text" else signals_file


class StopAt(Listener):
    def __init__(self, step):
        self.step = step

    def stepped(self, progress, loss):
        if progress.step == self.step:
            signal.raise_signal(signal.SIGTERM)


def test_interrupted_and_resumed_equals_never_interrupted(tmp_path, data):
    options = {"noise": 0.1, "dropout": 0.3, "backend": "auto"}
    train(data, tmp_path / "whole", **options)
    with pytest.raises(Interrupted, match="step 10 and saved"):
        train(data, tmp_path / "parts", listener=StopAt(10), **options)
    moved = data.rename(data.with_name("moved" + data.suffix))  # the run keeps its examples
    elman.resume(tmp_path / "parts")
    assert comparable(tmp_path / "whole") == comparable(tmp_path / "parts")
    assert moved.exists()


def test_the_seed_decides_everything(tmp_path, data):
    for run, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(data, tmp_path / run, seed=seed)
    assert comparable(tmp_path / "a") == comparable(tmp_path / "b")
    assert comparable(tmp_path / "a") != comparable(tmp_path / "c")


def test_a_loaded_model_predicts_the_same_and_resumes_as_finished(tmp_path, names_folder):
    model = train(names_folder, tmp_path / "run")
    names = ["abc", "fed", "géz", "a" * 50]
    before = comparable(tmp_path / "run")
    for again in (
        elman.load(tmp_path / "run", backend="reference"),
        elman.resume(tmp_path / "run"),
    ):
        np.testing.assert_array_equal(again.probabilities(names), model.probabilities(names))
    assert comparable(tmp_path / "run") == before


def test_sentences_are_read_as_words_and_long_ones_are_cut(tmp_path):
    rows = [(f"this number {n} is a {word}", word) for n in range(60) for word in ("good", "bad")]
    rows += [("good day " * 20_000, "good"), ("a bad " * 20_000, "bad")]
    file = tmp_path / "rows.tsv"
    file.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    model = train(file, tmp_path / "run", max_length=90, dropout=0.1, epochs=4)
    notes = " ".join(open_run(tmp_path / "run").read_config().data["notes"])
    assert "texts are read as words and their parts" in notes
    assert "2 of 122, the longest 179,999; 90 of each are read" in notes
    assert model.evaluate().accuracy == 1
    beginning, end = "good bad xyz " * 4, " so bad bad day" * 4
    whole, cut = f"{beginning}{'good ' * 50}{end}", (beginning + "good " * 50)[:45] + end[-45:]
    np.testing.assert_array_equal(model.probabilities([whole]), model.probabilities([cut]))
    assert any("1 of 1" in note for note in model.read(_written(tmp_path, whole), False).notes)
    again = elman.load(tmp_path / "run", backend="reference")
    np.testing.assert_array_equal(again.probabilities([whole]), model.probabilities([whole]))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (5.0, 300)),
        ({"level": "char"}, (20.0, 1500)),
        ({"epochs": 2}, (2, 0)),
        ({"least_steps": 7}, (5.0, 7)),
    ],
)
def test_the_budget_follows_what_is_read(tmp_path, given, expected):
    rows = [f"this number {n} is {word}\t{word}" for n in range(9) for word in ("good", "bad")]
    (tmp_path / "rows.tsv").write_text("text\tlabel\n" + "\n".join(rows))
    settings = start("classify", tmp_path / "rows.tsv", tmp_path / "run", **given)
    recorded = settings.folder.read_config().settings
    assert (recorded["epochs"], recorded["least_steps"]) == expected


def _written(folder, text):
    path = folder / "more.txt"
    path.write_text(text)
    return path


@pytest.mark.parametrize("level", ["byte", "word"])
def test_other_levels_resume_to_the_bit(tmp_path, names_folder, level):
    options = {"level": level, "dropout": 0.3, "backend": "auto"}
    train(names_folder, tmp_path / "whole", **options)
    with pytest.raises(Interrupted):
        train(names_folder, tmp_path / "parts", listener=StopAt(10), **options)
    elman.resume(tmp_path / "parts")
    assert comparable(tmp_path / "whole") == comparable(tmp_path / "parts")


def test_the_run_folder_holds_what_it_promises(tmp_path, names_folder):
    with open(names_folder / "Ab.txt", "a", encoding="utf-8") as file:
        file.write("repeated\nrepeated\n")
    model = train(names_folder, tmp_path / "run")
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "calibration.png", "checkpoint.safetensors", "config.toml", "confusion.png", "curves.png",
        "data", "errors.csv", "metrics.jsonl", "model.safetensors", "predictions.csv",
        "results.json", "split.csv", "suspicious.csv", "vocabulary.json",
    ]  # fmt: skip
    assert (tmp_path / "run" / "confusion.png").read_bytes().startswith(b"\x89PNG")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results == model.evaluate().to_json()
    data = open_run(tmp_path / "run").read_config().data
    assert data["train"] + data["valid"] + data["test"] == 91
    assert results["examples"] == data["test"]
    assert any("repeats" in note for note in data["notes"])
    record = open_run(tmp_path / "run").read_metrics()[0]
    assert record.keys() == {
        "step", "seen_examples", "train_loss", "valid_loss", "accuracy", "macro_f1",
        "calibration_error", "temperature", "examples_per_second", "learning_rate", "seconds",
    }  # fmt: skip


def test_it_learns(tmp_path, names_folder, signals_file):
    for number, data in enumerate((names_folder, signals_file)):
        evaluation = train(
            data, tmp_path / str(number), epochs=6, dropout=0.1, learning_rate=0.05
        ).evaluate()
        majority = evaluation.to_json()["majority"]
        assert evaluation.accuracy > majority["accuracy"] + 0.2
        assert evaluation.macro_f1 > majority["macro_f1"] + 0.2


def test_the_kept_model_has_the_temperature_of_its_evaluation(tmp_path, names_folder):
    model = train(names_folder, tmp_path / "run")
    records = open_run(tmp_path / "run").read_metrics()
    best = min(records, key=lambda record: record["valid_loss"])
    assert np.exp(model.model.calibrated[0]) == pytest.approx(best["temperature"], rel=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"bidirectional": False, "pool": "last"},
        {"cell": "lstm", "pool": "last", "layers": 2},
        {"embedding_size": 0, "pool": "mean", "class_weights": "balanced"},
        {"pool": "max", "label_smoothing": 0.1, "class_weights": "root", "ascii": True},
    ],
)
def test_other_settings(tmp_path, names_folder, changes):
    model = train(names_folder, tmp_path / "run", epochs=1, **changes)
    assert model.probabilities(["abc"]).sum() == pytest.approx(1.0)


def test_plain_ascii_is_kept_to_when_predicting(tmp_path, names_folder):
    model = train(names_folder, tmp_path / "run", epochs=1, ascii=True)
    same = model.probabilities(["géf", "gef"])
    np.testing.assert_allclose(same[0], same[1], rtol=1e-6)  # rows of a product may round apart


def test_predictions(tmp_path, names_folder, signals_file):
    model = train(names_folder, tmp_path / "run", epochs=1)
    assert model.labels == ("Ab", "Cd", "Éf")
    (guesses,) = model.predict([" abc "], top=9)
    assert [g.probability for g in guesses] == sorted(
        (g.probability for g in guesses), reverse=True
    )
    assert sum(g.probability for g in guesses) == pytest.approx(1.0)
    assert len(model.predict(["abc", "日本\udcff"], top=2)[1]) == 2
    assert model.predict([]) == []
    assert model.probabilities([]).shape == (0, 3)
    for examples, words in (
        (["ab", " "], "example 2: .*empty string"),
        ("ab", "a list of examples was expected, got one str"),
        (pl.DataFrame({"name": ["ab"]}), "a list of examples was expected, got DataFrame"),
        ({"ab": "Ab"}, "a list of examples was expected, got dict"),
        ([np.zeros((3, 2))], "example 1: this model classifies strings, got ndarray"),
    ):
        with pytest.raises(ArgumentError, match=words):
            model.predict(examples)
    assert model.predict(pl.Series(["abc"])) == model.predict(["abc"])
    for data, words in (
        (pl.DataFrame({"name": ["ab"]}), r"list of \(example, label\) pairs, got DataFrame"),
        (["ab"], r"\(example, label\) pairs with a str as label, got 'ab' as number 1"),
        ([("ab", "Ab"), ("ab", 1)], "as number 2"),
    ):
        with pytest.raises(ArgumentError, match=words):
            model.evaluate(data)
    with pytest.raises(ArgumentError, match="top must be at least 1"):
        model.predict(["ab"], top=0)
    model = train(signals_file, tmp_path / "signals", epochs=1)
    assert model.probabilities([np.zeros((3, 2)), [[1, 2], [3, 4]]]).shape == (2, 2)
    pair = ([[1.0, 2.0], [3.0, 4.0]], "up")
    assert model.evaluate([pair, pair]).examples == 2
    with pytest.raises(ArgumentError, match=r"example 2: numbers .* were expected"):
        model.evaluate([pair, ([["a", "b"]], "up")])
    with pytest.raises(ArgumentError, match=r"example 2: .*all values are missing"):
        model.predict([np.zeros((3, 2)), np.full((3, 2), np.nan)])


def test_evaluation_of_other_data(tmp_path, names_folder):
    model = train(names_folder, tmp_path / "run", epochs=1)
    whole = model.evaluate(names_folder)
    assert whole.examples == 90
    path = tmp_path / "other.csv"
    path.write_text("n,t\nabc,Ab\nabc,Ab\nefg,Éf\n", encoding="utf-8")
    found = model.evaluate(path, text_column="n", label_column="t")
    assert found.examples == 3
    assert not any("left out" in note for note in found.notes)
    pairs = model.evaluate([("abc", "Ab"), ("abc", "Ab"), ("efg", "Éf")])
    assert pairs.to_json()["classes"] == found.to_json()["classes"]
    with pytest.raises(DataError, match=r"labels that training never showed: Zz.*known are Ab, Cd"):
        model.evaluate([("abc", "Zz")])
    with pytest.raises(DataError, match="holds no example"):
        model.evaluate([])
    with pytest.raises(ArgumentError, match=r"reading: data_format must be one of .*got 'xls'"):
        model.evaluate(path, data_format="xls")
    with pytest.raises(ArgumentError, match="unknown setting 'txt_column'; did you mean"):
        model.evaluate(path, txt_column="n")
    with pytest.raises(ArgumentError, match="no column 'q'"):
        model.evaluate(path, text_column="q", label_column="t")


def test_signals_on_a_large_offset_are_learned_as_those_without(tmp_path, signals_file):
    header, _, rows = signals_file.read_text().partition("@data\n")
    far = "".join(
        ":".join(
            [*(",".join(repr(float(value) + 1.7e9) for value in channel.split(","))
               for channel in channels), label]
        ) + "\n"
        for *channels, label in (line.split(":") for line in rows.split())
    )  # fmt: skip
    path = tmp_path / "far.ts"
    path.write_text(f"{header}@data\n{far}")
    near = train(signals_file, tmp_path / "near", epochs=6, dropout=0.1, learning_rate=0.05)
    model = train(path, tmp_path / "far", epochs=6, dropout=0.1, learning_rate=0.05)
    assert model.evaluate().accuracy == pytest.approx(near.evaluate().accuracy, abs=0.12)
    again = elman.load(tmp_path / "far", backend="reference")
    items = model.read(path).items
    np.testing.assert_array_equal(again.probabilities(items), model.probabilities(items))
    np.testing.assert_allclose(
        model.probabilities(items), near.probabilities(near.read(signals_file).items), atol=0.05
    )


def test_own_parts(tmp_path, names_folder):
    test = tmp_path / "test"
    names_folder.rename(tmp_path / "train")
    test.mkdir()
    for label in ("Ab", "Cd"):
        lines = (tmp_path / "train" / f"{label}.txt").read_text(encoding="utf-8").splitlines()
        (test / f"{label}.txt").write_text("\n".join(lines[:3]), encoding="utf-8")
    train(tmp_path / "train", tmp_path / "run", epochs=1, test_data=str(test))
    config = open_run(tmp_path / "run").read_config()
    assert config.data["test"] == 6
    assert "test_data" not in config.settings
    assert any(note.startswith("leak: ") for note in config.data["notes"])


def test_a_test_of_the_users_own_is_scored_row_by_row(tmp_path, names_folder):
    known = (names_folder / "Ab.txt").read_text().split()[:3]
    path = tmp_path / "test.csv"
    rows = [("text", "label"), *[(known[0], "Ab")] * 50, ("", "Ab"), ("zzz", "Cd"), *[
        (known[1], "Cd")] * 5]  # fmt: skip
    path.write_text("".join(f"{text},{label}\n" for text, label in rows))
    model = train(names_folder, tmp_path / "run", epochs=1, test_data=str(path))
    for found in (model.evaluate(), model.evaluate(path)):
        assert found.examples == 56
        assert (found.seen.same_label, found.seen.other_label) == (50, 5)
        right = [model.predict([text], 1)[0][0].label == "Cd" for text in ("zzz", known[1])]
        assert found.seen.rest == pytest.approx((right[0] + 5 * right[1]) / 6)
        assert found.to_json()["seen_in_training"]["same_label"] == 50
    rows = list(csv.DictReader(io.StringIO((tmp_path / "run" / "split.csv").read_text())))
    assert {row["part"] for row in rows if row["file"] == str(path)} == {"test", ""}
    assert [row["row"] for row in rows if row["left_out"] == "empty"] == ["51"]
    assert model.evaluate(names_folder).seen.same_label >= 80  # not the validation part


def test_training_examples_are_known_again(tmp_path, data):
    model = train(data, tmp_path / "run", epochs=1)
    seen = elman.load(tmp_path / "run").evaluate(data).seen
    assert seen.same_label == open_run(tmp_path / "run").read_config().data["train"]
    assert model.evaluate().seen.same_label == 0


def test_another_program_finds_the_same_examples(tmp_path, names_folder):
    path = tmp_path / "all.csv"
    rows = [(name, file.stem) for file in sorted(names_folder.iterdir())
            for name in file.read_text().split()]  # fmt: skip
    rows = [*rows[:5], rows[0], ('a "b",\r\nc', "Ab"), *rows[5:], ("", ""), ("\rx" * 90, "Cd")]
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    model = train(path, tmp_path / "run", epochs=1)
    split = pl.read_csv(tmp_path / "run" / "split.csv", schema_overrides={"left_out": pl.String})
    assert split["row"].to_list() == list(range(1, len(rows) + 1))
    assert split.filter(pl.col("left_out").is_not_null())["row"].to_list() == [6, len(rows) - 1]
    test = [rows[row - 1] for row in split.filter(pl.col("part") == "test")["row"]]
    assert model.evaluate(test).to_json() == model.evaluate().to_json()
    said = list(csv.DictReader(io.StringIO((tmp_path / "run" / "predictions.csv").read_text())))
    assert [row["label"] for row in said] == [label for _, label in test]
    for row, (text, _) in zip(said, test, strict=True):
        (guess,) = model.predict([text], 1)[0]
        assert (row["predicted"], row["probability"]) == (guess.label, f"{guess.probability:.6f}")
        assert (
            row["example"] == " ".join(text.split())
            if len(text) < 100
            else row["example"][-3:] == "..."
        )
    wrong = list(csv.DictReader(io.StringIO((tmp_path / "run" / "errors.csv").read_text())))
    assert wrong == sorted(
        (row for row in said if row["label"] != row["predicted"]),
        key=lambda row: -float(row["probability"]),
    )


def test_a_run_of_before_that_knows_no_origins_goes_on(tmp_path, names_folder):
    train(names_folder, tmp_path / "run", epochs=1)
    folder = open_run(tmp_path / "run")
    config = folder.read_config()
    data = {name: value for name, value in config.data.items() if name != "origins_sha256"}
    folder.write_config(dataclasses.replace(config, data=data))
    (tmp_path / "run" / "data" / "origins.safetensors").unlink()
    (tmp_path / "run" / "split.csv").unlink()
    elman.resume(tmp_path / "run", epochs=2)
    assert not (tmp_path / "run" / "split.csv").exists()


def test_a_run_copied_without_its_data_can_still_be_used(tmp_path, names_folder):
    train(names_folder, tmp_path / "run", epochs=1)
    (tmp_path / "run" / "data" / "examples.safetensors").unlink()
    model = elman.load(tmp_path / "run")
    assert len(model.predict(["abc"])) == 1
    with pytest.raises(ArgumentError, match="keeps no examples of its own"):
        model.evaluate()
    with pytest.raises(RunError, match=r"examples.safetensors is missing"):
        elman.resume(tmp_path / "run")


@pytest.mark.parametrize("change", [{"notes": 3}, {"train": "x"}, {"sha256": 7}])
def test_a_changed_data_table_is_named(tmp_path, names_folder, change):
    train(names_folder, tmp_path / "run", epochs=1)
    folder = open_run(tmp_path / "run")
    config = folder.read_config()
    folder.write_config(dataclasses.replace(config, data={**config.data, **change}))
    with pytest.raises(RunError, match=r"\[data\] table must hold"):
        elman.resume(tmp_path / "run")


class Own(RNNCell):
    """A class of the user's own."""


def test_cells(tmp_path, names_folder):
    model = train(names_folder, tmp_path / "own", cell=Own, epochs=1)
    assert isinstance(model.model.recurrent.cells[0], Own)
    with pytest.raises(ArgumentError, match="mlp is for language models only"):
        train(names_folder, tmp_path / "mlp", cell="mlp")
    assert not (tmp_path / "mlp").exists()
    folder = open_run(tmp_path / "own")
    config = folder.read_config()
    folder.write_config(dataclasses.replace(config, settings={**config.settings, "cell": "mlp"}))
    with pytest.raises(ArgumentError, match="mlp is for language models only"):
        elman.load(tmp_path / "own")


def test_training_reports_what_is_worth_knowing(tmp_path, names_folder):
    class Notes(Listener):
        def started(self, task, schedule, progress):
            self.notes, self.unit = task.notes, task.unit
            self.parameters = [p.shape for p in task.model.parameters()]

    (names_folder / "Rare.txt").write_text("only\n")
    listener = Notes()
    train(names_folder, tmp_path / "run", epochs=1, listener=listener, batch_size=64)
    assert listener.unit == "example"
    assert listener.notes[0] == "4 labels; examples: 70 train, 8 valid, 13 test"
    assert any("one example only to learn from: Rare" in note for note in listener.notes)
    assert any("few examples: 16 side by side instead of 64" in note for note in listener.notes)
    assert torch.get_num_threads() == 2


@pytest.fixture
def mixed(tmp_path):
    """A table whose label a number decides, but where it is missing a category does."""
    rng = np.random.default_rng(0)
    price = rng.lognormal(3, 1, 240)
    missing = rng.random(240) < 0.3
    city = rng.choice(["Oslo", "Rome"], 240)
    high = np.where(missing, city == "Rome", price > 20)
    cells = {
        "title": [f"{i}" for i in range(240)],
        "body": ["ab"[i % 2] for i in range(240)],
        "price": [
            "" if gone else f"{value:.2f}" for value, gone in zip(price, missing, strict=True)
        ],
        "city": city.tolist(),
        "label": ["high" if one else "low" for one in high],
    }
    path = tmp_path / "mixed.csv"
    pl.DataFrame(cells).write_csv(path)
    return path


COLUMNS = {"text_column": "title,body", "number_columns": "price", "category_columns": "city"}


def test_numbers_and_categories_decide_and_are_read_alike_everywhere(tmp_path, mixed):
    model = train(mixed, tmp_path / "run", epochs=15, dropout=0.1, **COLUMNS)
    assert model.evaluate().accuracy > 0.85
    rows = pl.read_csv(mixed, infer_schema=False).to_dicts()
    read = model.read(mixed, labelled=False)
    expected = model.probabilities(read)
    loaded = elman.load(tmp_path / "run", backend="reference")
    np.testing.assert_array_equal(loaded.probabilities(rows), expected)
    typed = [{**row, "price": row["price"] and float(row["price"])} for row in rows]
    np.testing.assert_allclose(loaded.probabilities(typed), expected, atol=1e-6)
    pairs = [(row, row["label"]) for row in rows]
    assert loaded.evaluate(pairs).to_json()["accuracy"] == loaded.evaluate(mixed).accuracy
    numbers = [{**rows[0], "price": price} for price in (1.0, 1000.0)]
    assert [guess[0].label for guess in loaded.predict(numbers)] == ["low", "high"]


def test_columns_that_a_row_or_file_lacks_and_text_as_number(tmp_path, mixed):
    model = train(mixed, tmp_path / "run", epochs=1, **COLUMNS)
    with pytest.raises(ArgumentError, match="example 1: this model reads the columns title, body"):
        model.predict(["abc"])
    with pytest.raises(ArgumentError, match=r"example 1: an example must have all of .*lacks city"):
        model.predict([{"title": "a", "body": "b", "price": 1}])
    row = {"title": "a", "body": "b", "price": "much", "city": "Oslo"}
    with pytest.raises(DataError, match="row 1: 'price' must be a finite number"):
        model.predict([row])
    other = tmp_path / "other.csv"
    other.write_text("title,body,city,label\na,b,Oslo,low\n")
    with pytest.raises(ArgumentError, match=r"no column 'price' \(--number-columns\)"):
        model.evaluate(other)
    other.write_text("title,price,city,label\na,1,Oslo,low\n")
    with pytest.raises(ArgumentError, match=r"no column 'body' \(--text-column\)"):
        model.evaluate(other)


def test_rows_that_differ_only_beside_are_no_repeats(tmp_path, mixed):
    frame = pl.read_csv(mixed, infer_schema=False).with_columns(title=pl.lit("t"), body=pl.lit("b"))
    frame.write_csv(mixed)
    train(mixed, tmp_path / "run", epochs=1, **COLUMNS)
    data = open_run(tmp_path / "run").read_config().data
    unique = frame.unique().height
    assert sum(data[part] for part in ("train", "valid", "test")) == unique


def test_a_run_whose_columns_were_changed_is_refused(tmp_path, mixed):
    train(mixed, tmp_path / "run", epochs=1, **COLUMNS)
    path = tmp_path / "run/vocabulary.json"
    kept = json.loads(path.read_text())
    for inputs in (None, {**kept["inputs"], "categories": []}, {"texts": []}):
        path.write_text(json.dumps({**kept, "inputs": inputs}))
        with pytest.raises(RunError, match=r"does not fit|under inputs|must hold"):
            elman.load(tmp_path / "run", backend="reference")

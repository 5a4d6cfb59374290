"""Each kind of target from a file to a model in use, and back from its run folder."""

import csv
import io
import json

import numpy as np
import polars as pl
import pytest

import elman
from elman.artifacts import open_run
from elman.errors import ArgumentError, DataError, Interrupted
from elman.tasks.classify import Estimate, Guess
from tests.tasks.classify.test_runs import StopAt, comparable, train

LEARNS = {
    "epochs": 6, "dropout": 0.0, "learning_rate": 0.03, "hidden_size": 16, "evaluate_every": 1000
}  # fmt: skip


def texts(count, seed=0):
    """Of the letters a, b, c and x, all different."""
    rng = np.random.default_rng(seed)
    return list(dict.fromkeys(
        "".join(rng.choice(list("abcx"), rng.integers(3, 9))) for _ in range(count)
    ))  # fmt: skip


def several(text):
    return [letter for letter in "abc" if letter * 2 in text]


def size(text):
    return ("low", "mid", "high")[min(2, text.count("a") // 2)]


ANSWERS = {
    "number": lambda text: text.count("a") - 0.5 * text.count("x") + len(text) / 97,
    "labels": several,
    "ordered": lambda text: text.count("a"),
    "label": size,
}


@pytest.fixture
def table(tmp_path):
    def write(kind, count=240):
        path = tmp_path / f"{kind}.jsonl"
        rows = [{"text": text, "label": ANSWERS[kind](text)} for text in texts(count)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.mark.parametrize(
    ("kind", "told", "picture", "measure", "least"),
    [
        ("number", {}, "predicted.png", "r2", 0.6),
        ("labels", {}, "labels.png", "micro_f1", 0.7),
        ("ordered", {"target": "ordered"}, "confusion.png", "quadratic_kappa", 0.6),
    ],
)
def test_it_learns_and_is_read_again(tmp_path, table, kind, told, picture, measure, least):
    path, run = table(kind), tmp_path / "run"
    model = train(path, run, **LEARNS, **told)
    assert model.target.name == kind
    assert (run / picture).read_bytes().startswith(b"\x89PNG")
    results = json.loads((run / "results.json").read_text())
    assert results == model.evaluate().to_json()
    assert results[measure] > least
    again = elman.load(run, backend="reference")
    assert again.target == model.target
    assert again.predict(["abca", "xx"]) == model.predict(["abca", "xx"])
    assert again.predict([]) == []
    pairs = [(text, ANSWERS[kind](text)) for text in texts(50, seed=1)]
    if kind == "ordered":
        pairs = [(text, str(label)) for text, label in pairs]
    assert again.evaluate(pairs).examples == len(pairs)
    assert again.evaluate(path).seen.same_label == open_run(run).read_config().data["train"]
    said = list(csv.DictReader(io.StringIO((run / "predictions.csv").read_text())))
    assert len(said) == results["examples"]
    assert [*said[0]] == ["file", "row", "example", *model.target.test_columns]
    record = open_run(run).read_metrics()[-1]
    assert {"valid_loss", *model.target.highlights} <= record.keys()


@pytest.mark.parametrize("kind", ["number", "labels", "ordered"])
def test_interrupted_and_resumed_equals_never_interrupted(tmp_path, table, kind):
    path = table(kind, 80)
    train(path, tmp_path / "whole", target=kind)
    with pytest.raises(Interrupted):
        train(path, tmp_path / "parts", target=kind, listener=StopAt(7))
    elman.resume(tmp_path / "parts")
    assert comparable(tmp_path / "whole") == comparable(tmp_path / "parts")


def test_what_is_predicted_has_the_form_of_its_kind(tmp_path, table):
    number = train(table("number", 80), tmp_path / "number", epochs=1)
    (found,) = number.predict(["aa"])
    assert isinstance(found, Estimate)
    assert found.low <= found.value <= found.high
    with pytest.raises(ArgumentError, match="this model says numbers; use predict"):
        number.probabilities(["aa"])
    with pytest.raises(ArgumentError, match=r"pairs with a number as label, got \('aa', \[1\]\)"):
        number.evaluate([("aa", [1])])
    with pytest.raises(DataError, match=r"row 2: expected a number below .*got 'much'"):
        number.evaluate([("aa", 1.5), ("bb", "much")])
    labels = train(table("labels", 80), tmp_path / "labels", epochs=1)
    assert labels.probabilities(["aa", "b"]).shape == (2, 3)
    (found,) = labels.predict(["aa"], top=2)
    assert [type(guess) for guess in found] == [Guess, Guess]
    with pytest.raises(ArgumentError, match="with a list of str as label"):
        labels.evaluate([("aa", 1)])


def test_signals_have_numbers_as_answers(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["@problemName waves", "@targetLabel true", "@data"]
    for _ in range(80):
        size = rng.uniform(1, 3)
        wave = size * np.sin(np.arange(8) + rng.uniform(0, 6))
        lines.append(",".join(f"{value:.4f}" for value in wave) + f":{size:.5f}")
    path = tmp_path / "waves.ts"
    path.write_text("\n".join(lines))
    model = train(path, tmp_path / "run", **LEARNS)
    assert model.evaluate().r2 > 0.3
    assert model.read(path, labelled=False).labels[0] == lines[3].rpartition(":")[2]


def weighed(tmp_path, rows):
    path = tmp_path / "weights.csv"
    pl.DataFrame(rows, schema=["text", "label", "w"], orient="row").write_csv(path)
    return path


def test_what_an_example_without_weight_says_changes_nothing(tmp_path):
    rows = [(text, ("low", "high")["aa" in text], n % 5) for n, text in enumerate(texts(90))]
    parts = ["train", "train", "train", "train", "valid", "test"]
    for name, says in (("one", "low"), ("other", "high")):
        frame = pl.DataFrame(rows, schema=["text", "label", "w"], orient="row").with_columns(
            part=pl.Series([parts[n % 6] for n in range(len(rows))]),
            label=pl.when((pl.col("w") == 0) & pl.Series([n % 6 < 4 for n in range(len(rows))]))
            .then(pl.lit(says))
            .otherwise("label"),
        )
        frame.write_csv(tmp_path / f"{name}.csv")
        for run, told in ((name, {"weight_column": "w"}), (f"{name} unweighted", {})):
            train(tmp_path / f"{name}.csv", tmp_path / run, split_column="part", **told)
    same = [(tmp_path / run / "model.safetensors").read_bytes() for run in ("one", "other")]
    assert same[0] == same[1]
    free = [tmp_path / f"{run} unweighted" / "model.safetensors" for run in ("one", "other")]
    assert free[0].read_bytes() != free[1].read_bytes()


def test_equal_weights_change_nothing(tmp_path):
    path = weighed(tmp_path, [(text, ANSWERS["number"](text), 0.125) for text in texts(80)])
    for name, told in (("with", {"weight_column": "w"}), ("without", {})):
        train(path, tmp_path / name, target="number", **told)
    assert comparable(tmp_path / "with") == comparable(tmp_path / "without")


@pytest.mark.parametrize("weight", ["-1", "nan", "", "1e31", "much"])
def test_weights_that_are_none_are_refused(tmp_path, weight):
    path = tmp_path / "weights.csv"
    path.write_text(f"text,label,w\na,x,1\nb,y,{weight}\n")
    with pytest.raises(DataError, match=r"line 3: the weight \(column 'w'\) must be a number from"):
        train(path, tmp_path / "run", weight_column="w")
    with pytest.raises(ArgumentError, match=r"no column 'v' \(--weight-column\)"):
        train(path, tmp_path / "run", weight_column="v")


def test_weights_are_for_tables_and_not_all_nothing(tmp_path, names_folder):
    with pytest.raises(ArgumentError, match="--weight-column is for tables"):
        train(names_folder, tmp_path / "run", weight_column="w")
    path = weighed(tmp_path, [(text, ANSWERS["label"](text), 0) for text in texts(40)])
    with pytest.raises(DataError, match="some weight above 0"):
        train(path, tmp_path / "run", weight_column="w")

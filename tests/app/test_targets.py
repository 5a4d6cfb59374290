"""The commands of classification where a model says a number, several or ordered labels."""

import csv
import io
import json

import pytest

from tests.app.test_classify import SMALL, fails, program  # noqa: F401


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    rows = [f"{'ab' * (n % 11 + 1)}{n},{n % 11 + n / 500},{'a|b' if n % 2 else 'a'},{n % 3 + 1},{n}"
            for n in range(90)]  # fmt: skip
    path.write_text("\n".join(["text,size,tags,stars,weight", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def trained(tmp_path, table, program):  # noqa: F811
    def run(column, *options):
        folder = tmp_path / column
        told = ("--label-column", column, "--run", folder, *SMALL, *options)
        return folder, *program("train", "classify", table, *told)

    return run


def test_numbers(trained, program, fails, table):  # noqa: F811
    run, out, err = trained("size", "--coverage", 0.8)
    assert "note: the labels are 90 different numbers" in err
    assert f"predicted and true numbers: {run / 'predicted.png'}" in err
    assert "note: numbers from 0.00 to 9.96" not in err  # the range is that of the training part
    assert out.startswith("test: MAE ")
    assert "(80.0% wanted)" in out
    assert ", the median of training: MAE " in out
    out, err = program("predict", run, "abab", "ab")
    assert [line.split()[0] for line in out.splitlines()] == ["abab", "ab"]
    assert out.count(" to ") == 2
    rows = list(csv.DictReader(io.StringIO(
        program("predict", run, "--file", table, "--format", "csv", "--keep-columns", "size")[0]
    )))  # fmt: skip
    assert [*rows[0]] == ["example", "value", "low", "high", "size"]
    assert all(float(row["low"]) <= float(row["value"]) <= float(row["high"]) for row in rows)
    row = json.loads(program("predict", run, "abab", "--format", "jsonl")[0])
    assert row.keys() == {"example", "value", "low", "high"}
    empty = table.with_name("empty.txt")
    empty.write_text("ab\n\nabab\n")
    out, _ = program("predict", run, "--file", empty, "--format", "jsonl")
    assert json.loads(out.splitlines()[1]) == {
        "example": "", "value": None, "low": None, "high": None
    }  # fmt: skip
    out, _ = program("evaluate", run)
    assert out.splitlines()[0].split() == [
        "true", "number", "examples", "MAE", "mean", "error", "in", "interval"
    ]  # fmt: skip
    found = json.loads(program("evaluate", run, table, "--json")[0])
    assert found["interval"]["wanted"] == 0.8
    assert found["seen_in_training"]["same_label"] > 60
    assert "this one says a number; got 2" in fails(2, "predict", run, "ab", "--top", 2)


def test_several_labels(trained, program):  # noqa: F811
    run, out, err = trained("tags", "--target", "labels")
    assert "note: labels of an example stand between '|'" in err
    assert out.startswith("test: micro F1 ")
    out, _ = program("predict", run, "abab", "--format", "csv")
    row = next(csv.DictReader(io.StringIO(out)))
    assert len(json.loads(row["labels"])) == len(json.loads(row["probabilities"]))
    assert program("predict", run, "abab", "--top", 2)[0].count("%") == 2
    out, _ = program("evaluate", run)
    assert "a label is said from a probability of 0.50 on" in out


def test_ordered_labels(trained, program, fails, table):  # noqa: F811
    run, out, err = trained("stars", "--order", "1,2,3", "--weight-column", "weight")
    assert "note: 3 ordered labels (1 < 2 < 3)" in err
    assert "(weights from 0 to 89); measures count each once" in err
    assert ", quadratic kappa " in out
    assert ", the middle of training: accuracy " in out
    assert program("predict", run, "abab", "--format", "jsonl")[0].count('"label"') == 3
    told = ("train", "classify", table, "--label-column", "stars", "--run", table.parent / "new")
    assert "row 3: expected a label of --order (1, 2), got '3'" in fails(
        1, *told, "--order", "1,2"
    )  # fmt: skip
    assert "--order is for --target ordered, got --target number" in fails(
        2, *told, "--order", "1,2", "--target", "number"
    )  # fmt: skip

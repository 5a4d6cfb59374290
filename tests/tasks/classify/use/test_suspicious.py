"""Confident learning: against a plain loop, and on labels that were flipped on purpose."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import elman
from elman.errors import ArgumentError
from elman.tasks.classify.use.suspicious import Suspect, confident_mistakes, suspects_csv
from tests.conftest import words


def plainly(probabilities, labels):
    """As the paper says it, example by example."""
    classes = range(probabilities.shape[1])
    mean = {
        j: np.mean([p[j] for p, label in zip(probabilities, labels, strict=True) if label == j])
        for j in classes
        if j in labels
    }
    found = []
    for number, (p, label) in enumerate(zip(probabilities, labels, strict=True)):
        confident = [j for j in classes if j in mean and p[j] >= mean[j]]
        if not confident:
            continue
        best = max(confident, key=lambda j: (p[j], -j))
        margin = p[label] - max(p[j] for j in classes if j != label)
        if best != label and margin < 0:
            found.append((margin, number, best))
    return [(number, best) for _, number, best in sorted(found, key=lambda row: row[0])]


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(2, 6))
def test_equals_a_plain_loop(seed, count, classes):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(classes, 0.5), count)
    labels = rng.integers(classes, size=count)
    found = confident_mistakes(probabilities, labels)
    assert sorted(found) == sorted(plainly(probabilities, labels))
    assert found == plainly(probabilities, labels)


def test_nothing_is_wrong_where_all_agrees():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    assert confident_mistakes(probabilities, np.array([0, 1, 0])) == []


def test_a_label_that_nothing_carries_is_not_suggested():
    probabilities = np.array([[0.1, 0.0, 0.9], [0.2, 0.8, 0.0], [0.9, 0.1, 0.0]])
    assert confident_mistakes(probabilities, np.array([0, 1, 0])) == []


def test_a_table_for_other_programs():
    suspect = Suspect("a.csv", 3, "test", 'say "no", twice', "x", 0.25, "y", 0.75)
    (row,) = csv.DictReader(io.StringIO(suspects_csv([suspect]).decode()))
    assert list(row.values()) == [
        "a.csv", "3", "test", 'say "no", twice', "x", "0.250000", "y", "0.750000"
    ]  # fmt: skip


@pytest.fixture(scope="module")
def flipped(tmp_path_factory):
    """A run on three languages in which one label in ten is wrong; which rows they are."""
    folder = tmp_path_factory.mktemp("flipped")
    rng = np.random.default_rng(0)
    letters = {"Ab": "abcdx", "Fg": "fghix", "Kl": "klmnx"}
    rows = [(word, label) for i, label in enumerate(letters)
            for word in words(label, 500, letters[label], i)]  # fmt: skip
    wrong = set(rng.choice(len(rows), len(rows) // 10, replace=False).tolist())
    others = {"Ab": "Fg", "Fg": "Kl", "Kl": "Ab"}
    lines = [(text, others[label] if i in wrong else label) for i, (text, label) in enumerate(rows)]
    with open(folder / "table.csv", "w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *lines])
    model = elman.fit(
        "classify", folder / "table.csv", folder / "run", steps=120, hidden_size=24, layers=1,
        embedding_size=8, batch_size=32, dropout=0.1, test_fraction=0.3, valid_fraction=0.2,
    )  # fmt: skip
    return folder, model, {number + 1 for number in wrong}, rows


def test_flipped_labels_are_found(flipped):
    folder, _, wrong, rows = flipped
    with open(folder / "run" / "suspicious.csv", encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert {row["part"] for row in found} == {"valid", "test"}
    top = found[:50]
    assert len(top) == 50
    assert sum(int(row["row"]) in wrong for row in top) >= 45
    right = [rows[int(row["row"]) - 1][1] == row["suggested"] for row in top]
    assert sum(right) >= 45
    with open(folder / "run" / "split.csv", encoding="utf-8", newline="") as file:
        parts = {int(row["row"]): row["part"] for row in csv.DictReader(file)}
    held_out = [row for row in wrong if parts[row] != "train"]
    assert len({int(row["row"]) for row in found} & set(held_out)) >= 0.8 * len(held_out)


def test_other_data_without_what_training_showed(flipped):
    folder, model, _, rows = flipped
    letters = {"Ab": "abcdx", "Fg": "fghix", "Kl": "klmnx"}
    new = [(word, label) for label in letters for word in words(label, 30, letters[label], 99)]
    new[0] = ("fgfghfi", "Kl")
    found = model.suspects([pair for pair in new if pair not in rows])
    assert (found[0].example, found[0].label, found[0].suggested) == ("fgfghfi", "Kl", "Fg")
    assert found[0].suggested_probability > 0.5 > found[0].probability
    whole = model.suspects(folder / "table.csv")
    with open(folder / "run" / "split.csv", encoding="utf-8", newline="") as file:
        parts = {int(row["row"]): row["part"] for row in csv.DictReader(file)}
    assert {parts[suspect.row] for suspect in whole} <= {"valid", "test"}
    model._kept = None
    model.__dict__.pop("_parts", None)
    with pytest.raises(ArgumentError, match="keeps no examples"):
        model.suspects()

"""Several labels of an example: how they are read, and scikit-learn's measures."""

import ast
import json
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from elman.errors import ArgumentError, DataError, RunError
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.classify.targets import kinds
from elman.tasks.classify.targets.base import nowhere
from elman.tasks.classify.targets.one_label import Guess
from elman.tasks.classify.targets.several_labels import SeveralLabels, listed, separator_of

SETTINGS = ClassifySettings()
TARGET = SeveralLabels(("a", "b", "c"), (6, 4, 1), 10)


def read(*written):
    return [json.loads(answer) for answer in SeveralLabels.read(written, nowhere, SETTINGS)[0]]


@given(st.lists(st.text("ab,'\"\\ ;é", min_size=1).filter(lambda text: text.strip() == text)))
def test_lists_of_json_and_python_are_read(labels):
    assert listed(json.dumps(labels)) == labels
    assert listed(repr(labels)) == ast.literal_eval(repr(labels))


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("[]", []), ("{'a', 'b'}", ["a", "b"]), ("('a',)", ["a"]), ("[a, b c]", ["a", "b c"]),
        ("[1, 2]", ["1", "2"]), ("a, b", None), ("[a", None), ("", None), ("[['a']]", None),
        ('{"a": 1}', None), ("[INFO]", ["INFO"]), ("['a' 'b']", None),
    ],
)  # fmt: skip
def test_other_lists(text, labels):
    assert listed(text) == labels


def test_labels_of_an_example_are_a_set():
    assert read("b|a|b", "a", "c | b", '["c", "a"]') == [["a", "b"], ["a"], ["b", "c"], ["a", "c"]]
    assert read("a, b;c", "d") == [["a, b", "c"], ["d"]]
    assert read("[]", "['x']") == [[], ["x"]]
    with pytest.raises(DataError, match=r"example 1: a label in .* is empty"):
        read('["a", ""]')
    assert separator_of(["a", "b", "a;b", "b;a"]) == ";"
    assert separator_of(["Salem, OR", "Portland, OR"]) is None


def test_answers_are_encoded_however_they_are_written():
    encoded = TARGET.encode(['["a", "c"]', "a|c", "c; a", "a,c", "b", "[]"])
    assert encoded.tolist() == [[1, 0, 1]] * 4 + [[0, 1, 0], [0, 0, 0]]
    with pytest.raises(DataError, match=r"labels that training never showed: d; .*known are a, b"):
        TARGET.encode(['["a", "d"]'])
    assert TARGET.encode([TARGET.written({"b", "a"})]).tolist() == [[1, 1, 0]]
    assert TARGET.written(["a", 1]) is None


@st.composite
def decisions(draw):
    """`(N, K)` probabilities and right answers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.integers(1, 30)), draw(st.integers(2, 5))
    return rng.uniform(size=shape), rng.integers(0, 2, shape).astype(np.uint8)


@settings(deadline=None)
@given(decisions(), st.floats(0.1, 0.9))
def test_measures_equal_scikit_learn(data, threshold):
    probabilities, answers = data
    names = tuple(map(str, range(answers.shape[1])))
    target = SeveralLabels(names, (1,) * len(names), 2)
    said = np.concatenate([probabilities, np.full((len(answers), 1), threshold)], axis=1)
    found, masks = target.evaluation(said, answers), probabilities >= threshold
    assert found.micro_f1 == pytest.approx(
        sk.f1_score(answers, masks, average="micro", zero_division=0)
    )
    occurs = np.flatnonzero(answers.any(0))
    if len(occurs):
        assert found.macro_f1 == pytest.approx(
            sk.f1_score(answers, masks, labels=occurs, average="macro", zero_division=0)
        )
    assert found.subset_accuracy == pytest.approx(sk.accuracy_score(answers, masks))
    assert found.hamming_loss == pytest.approx(sk.hamming_loss(answers, masks))
    assert found.log_loss == pytest.approx(
        sk.log_loss(answers.ravel(), probabilities.ravel(), labels=[0, 1])
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = sk.precision_recall_fscore_support(answers, masks, zero_division=0)
    np.testing.assert_allclose(found.classes.precision, scores[0])
    np.testing.assert_allclose(found.classes.recall, scores[1])
    assert json.loads(json.dumps(found.to_json()))["examples"] == len(answers)


def test_the_baseline_says_what_most_examples_have():
    answers = np.array([[1, 0, 0], [1, 1, 0]], np.uint8)
    found = TARGET.evaluation(np.array([[0.9, 0.1, 0.1, 0.5]] * 2), answers)
    assert found.baselines == [
        "always a: micro F1 0.8000, macro F1 0.5000, all labels right 0.5000"
    ]  # fmt: skip
    assert "no better than a program that always says a" in found.remarks[0]
    rare = SeveralLabels(("a", "b"), (1, 2), 10).evaluation(np.zeros((1, 3)), answers[:1, :2])
    assert rare.always == ("b",)


def test_the_loss_is_the_cross_entropy_of_each_decision():
    rng = np.random.default_rng(0)
    outputs = torch.from_numpy(rng.normal(size=(6, 3)))
    answers = rng.integers(0, 2, (6, 3)).astype(np.uint8)
    losses = TARGET.objective(answers, SETTINGS)(outputs, torch.from_numpy(answers))
    for row, loss in enumerate(losses):
        expected = sk.log_loss(answers[row], torch.sigmoid(outputs[row]).numpy(), labels=[0, 1])
        assert loss.item() == pytest.approx(expected)
    heavy = TARGET.objective(answers, ClassifySettings(class_weights="balanced"))
    have = answers.sum(0)
    losses = heavy(torch.zeros(6, 3), torch.from_numpy(answers))  # each decision costs log 2
    weights = np.where(answers, (6 - have) / have, 1.0)
    np.testing.assert_allclose(losses, np.log(2) * weights.mean(1), rtol=1e-6)


def test_no_other_threshold_has_a_better_micro_f1():
    rng = np.random.default_rng(0)
    outputs = rng.normal(-2, 1.5, (300, 3)).astype(np.float32)
    answers = (rng.uniform(size=outputs.shape) < 1 / (1 + np.exp(-outputs))).astype(np.uint8)
    calibration = TARGET.calibrate(outputs, answers)
    said = TARGET.said(outputs, calibration)
    best = TARGET.evaluation(said, answers).micro_f1
    for threshold in np.linspace(0.05, 0.95, 91):
        said[:, -1] = threshold
        assert TARGET.evaluation(said, answers).micro_f1 <= best + 1e-12
    assert calibration[1] < 0.45  # labels are rare, and F1 wants more of them than the halves
    assert TARGET.calibrate(outputs[:99], answers[:99])[1] == 0.5  # too few to choose by


def test_predictions_are_those_above_the_threshold():
    said = np.array([[0.9, 0.2, 0.6, 0.5], [0.1, 0.2, 0.3, 0.5]])
    assert TARGET.predictions(said, None) == [[Guess("a", 0.9), Guess("c", 0.6)], []]
    assert TARGET.predictions(said, 1) == [[Guess("a", 0.9)], [Guess("c", 0.3)]]
    with pytest.raises(ArgumentError, match="top must be at least 1"):
        TARGET.predictions(said, 0)
    shown = [TARGET.shown(one, None) for one in (*TARGET.predictions(said, None), None)]
    assert [one.fields for one in shown] == [['["a", "c"]', "[0.9, 0.6]"], ["[]", "[]"], ["", ""]]
    assert [one.cells for one in shown] == [["a", " 90.0%", "c", " 60.0%"], ["(no label)"], []]
    answers = np.array([[1, 0, 1], [0, 1, 1]], np.uint8)
    assert TARGET.test_rows(said, answers)[1] == ('["b", "c"]', "[]", "[]", "2")
    assert TARGET.worst(said, answers).tolist() == [1]


def test_what_can_not_be_learnt_from_is_refused():
    for training, words in (
        (["[]", "[]"], "examples with labels, got none"),
        (['["a", "b"]'] * 3, "all examples have the same labels, a, b"),
    ):
        with pytest.raises(DataError, match=words):
            SeveralLabels.divided(training, {"validation": [], "test": []})
    with pytest.raises(DataError, match="test part has labels that the training part never shows"):
        SeveralLabels.divided(['["a"]', "[]"], {"validation": [], "test": ['["b"]']})
    notes = SeveralLabels.divided(['["a"]', '["a", "b"]', "[]"], {"test": ['["a"]']})
    assert notes == [
        "too few examples to test: b (no example in the test part; macro F1 is the mean over the "
        "other labels)",
        "one example only to learn from: b",
    ]


def test_each_part_gets_its_share_of_the_rarest_labels():
    strata = SeveralLabels.strata(['["a"]', '["a", "b"]', "[]", '["a"]', '["b", "c"]'])
    assert strata.tolist() == [2, 1, -1, 2, 0]


def test_what_is_written_is_read_again_and_nothing_else_is_believed():
    value = json.loads(json.dumps(kinds.to_json(TARGET)))
    assert kinds.from_json(value) == TARGET
    for change in ({"labels": []}, {"labels": ["a", "a", "b"]}, {"labels": "abc"}, {"counts": [1]},
                   {"counts": [11, 1, 1]}, {"counts": [True, 1, 1]}, {"examples": 0}):  # fmt: skip
        with pytest.raises(RunError, match=r"vocabulary\.json must hold under target labels"):
            kinds.from_json({**value, **change})
    assert TARGET.fits(np.ones((4, 3), np.uint8))
    for wrong in (np.ones((4, 2), np.uint8), np.full((4, 3), 2, np.uint8), np.ones((4, 3))):
        assert not TARGET.fits(wrong)

"""Dividing examples: shares, seeds, the user's own parts, and what is said about them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import DataError
from elman.tasks.classify.data.examples import Examples, cleaned, joined, overlap
from elman.tasks.classify.data.split import TEST, TRAIN, VALID, split


def examples_of(*counts: int) -> Examples:
    labels = [f"label {number}" for number, count in enumerate(counts) for _ in range(count)]
    return Examples([f"text {number}" for number in range(len(labels))], labels)


@given(st.lists(st.integers(1, 60), min_size=2, max_size=8).filter(lambda c: sum(c) >= 40),
       st.integers(0, 5))  # fmt: skip
def test_every_label_gives_its_share_and_keeps_one_to_learn_from(counts, seed):
    examples = examples_of(*counts)
    part = split(examples, 0.15, 0.1, seed).part
    labels = np.array(examples.labels)
    for label, count in zip(np.unique(labels), counts, strict=True):
        of_label = np.bincount(part[labels == label], minlength=3)
        assert of_label.sum() == count
        assert of_label[TRAIN] >= 1
        assert abs(of_label[TEST] - 0.15 * count) <= 1
        assert abs(of_label[VALID] - 0.1 * (count - of_label[TEST])) <= 1
    assert abs((part == TEST).sum() - 0.15 * sum(counts)) <= 1 + counts.count(1)


def test_the_seed_decides():
    examples = examples_of(50, 50)
    parts = [split(examples, 0.2, 0.1, seed).part for seed in (1, 1, 2)]
    assert (parts[0] == parts[1]).all()
    assert (parts[0] != parts[2]).any()


def test_own_parts_are_kept_and_completed():
    train, test = examples_of(30, 30), examples_of(5, 5)
    found = split(joined({"train": train, "test": test}), 0.5, 0.1, 0)
    assert (found.part[60:] == TEST).all()
    assert np.bincount(found.part).tolist() == [54, 6, 10]
    whole = joined({"train": train, "valid": test, "test": test})
    assert np.bincount(split(whole, 0.5, 0.5, 0).part).tolist() == [60, 10, 10]


def test_leaks_and_ambiguous_examples_are_counted():
    train = Examples(["a", "b", "c", "d", "e", "f"], ["x", "y", "x", "y", "x", "y"])
    test = Examples(["a", "b", "z"], ["x", "x", "y"])
    notes = split(joined({"train": train, "valid": test, "test": test}), 0.1, 0.1, 0).notes
    assert (
        "leak: 1 of the 3 test examples also stand in the training part, with the same label"
        in (notes)
    )
    assert any(note.startswith("ambiguous: 1 of the 3 test") for note in notes)


def test_a_label_with_one_example_is_learnt_from_and_said():
    notes = split(examples_of(40, 40, 1), 0.15, 0.1, 0).notes
    assert notes[0].startswith("too few examples to test: label 2")
    assert notes[1] == "one example only to learn from: label 2"


@pytest.mark.parametrize(
    ("examples", "words"),
    [
        (examples_of(9), "at least two labels, got 'label 0'"),
        (
            examples_of(1, 1, 1),
            "validation part is empty: 3 examples are too few.*--valid-fraction",
        ),
        (
            joined({"train": examples_of(9, 9), "test": examples_of(3, 3, 3)}),
            "test part has labels that the training part never shows: label 2",
        ),
    ],
)
def test_what_can_not_be_divided_is_refused(examples, words):
    with pytest.raises(DataError, match=words):
        split(examples, 0.15, 0.1, 0)


def test_repeats_and_empty_examples_are_dropped_and_counted():
    found, reasons = cleaned(Examples(["a", "a", "", "a", "b"], ["x", "x", "x", "y", "y"]))
    assert reasons == ["", "repeat", "empty", "", ""]
    assert found.rows == [1, 4, 5]
    assert list(zip(found.items, found.labels, strict=True)) == [
        ("a", "x"), ("a", "y"), ("b", "y")
    ]  # fmt: skip
    assert found.notes == [
        "empty examples left out: 1",
        "repeats of an example with the same label left out: 1; 3 examples remain",
    ]


def test_the_users_own_parts_keep_their_repeats():
    one = Examples(["a", "a", "b", ""], ["x", "x", "y", "y"])
    found, reasons = cleaned(joined({"train": one, "valid": one, "test": one}))
    assert found.parts == ["train", "train", *["valid"] * 3, *["test"] * 3]
    assert reasons == ["", "repeat", "", "empty", *["", "", "", "empty"] * 2]
    assert found.notes[1].startswith(
        "repeats of a training example with the same label left out: 1"
    )
    assert cleaned(one, repeats=False).reasons == ["", "", "", "empty"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"))),
       st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz"))))  # fmt: skip
def test_what_training_showed(training, others):
    found = overlap(training, others)
    assert found.shared.tolist() == [pair in training for pair in others]
    assert found.contested.tolist() == [
        pair not in training and pair[0] in [key for key, _ in training] for pair in others
    ]


def test_equal_signals_are_repeats():
    one = np.ones((3, 2), np.float32)
    found, _ = cleaned(Examples([one, one.copy(), one + 1], ["x", "x", "x"], channels=2))
    assert len(found) == 2


def test_parts_of_different_kinds_are_refused():
    signal = Examples([np.ones((3, 2), np.float32)], ["x"], channels=2)
    with pytest.raises(DataError, match="has text and the test part signals of 2 channels"):
        joined({"train": examples_of(2), "test": signal})

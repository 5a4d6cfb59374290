"""What is said about a model, as numbers and as a picture."""

import numpy as np
import pytest

from elman.tasks.classify.targets.one_label import OneLabel


def evaluation_of(labels, count=200, right=0.8):
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, len(labels), count)
    said = np.where(rng.uniform(size=count) < right, numbers, rng.integers(0, len(labels), count))
    probabilities = np.full((count, len(labels)), 0.1 / (len(labels) - 1))
    probabilities[np.arange(count), said] = 0.9
    target = OneLabel(tuple(labels), tuple(range(1, len(labels) + 1)))
    return target.evaluation(probabilities, numbers)


def test_labels_are_in_the_order_in_which_people_look_them_up():
    labels = ["10", "9", "-1", "b 10", "B 9", "a", "é", "1.5", "9" * 5000]
    found = evaluation_of(labels)
    assert [labels[number] for number in found.order] == [
        "-1", "1.5", "9", "10", "9" * 5000, "a", "B 9", "b 10", "é"
    ]  # fmt: skip


def test_labels_that_never_occur_are_left_out():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1]])
    found = OneLabel(("x", "y", "z"), (5, 9, 1)).evaluation(probabilities, np.array([0, 1]))
    assert found.order == [0, 1]
    assert found.to_json()["confusion"] == {"labels": ["x", "y"], "counts": [[1, 0], [1, 0]]}
    assert found.mistakes() == [("y", "x", 1)]
    assert found.to_json()["majority"] == {
        "label": "y", "accuracy": 0.5, "macro_f1": pytest.approx(1 / 3)
    }  # fmt: skip


@pytest.mark.parametrize("classes", [2, 9, 18, 50])
def test_the_picture_has_room_for_any_number_of_labels(classes):
    labels = [
        f"a label of some length, number {number}"[-(number % 36) - 1 :] + f" {number}"
        for number in range(classes)
    ]
    labels[-1] = "costs $5 or $x_{ 日本"
    assert evaluation_of(labels, 40 * classes).picture().png.startswith(b"\x89PNG")

"""A model that always says one label is named as such, and no other is."""

import numpy as np
import pytest

from elman.tasks.classify.targets.one_label import OneLabel

LABELS = ("x", "y", "z")


def evaluation(*counts):
    """From rows of a confusion matrix."""
    pairs = [(right, said) for right, row in enumerate(counts) for said, n in enumerate(row)
             for _ in range(n)]  # fmt: skip
    right, said = np.array(pairs).T
    target = OneLabel(LABELS[: len(counts)], tuple(sum(row) for row in counts))
    return target.evaluation(np.eye(len(counts))[said], right)


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        (([50, 0], [50, 0]), ("x", 100)),
        (([0, 5], [0, 95]), ("y", 100)),
        (([48, 2], [49, 1]), ("x", 97)),
        (([9, 0, 0], [0, 0, 0], [8, 0, 0]), ("x", 17)),
        (([95, 0], [3, 2]), None),  # few of the others, but it tells them
        (([48, 2], [40, 10]), None),
        (([0, 50], [50, 0]), None),  # wrong, but not of one mind
        (([90, 0], [0, 0]), None),  # nothing else to say
        (([5, 0, 5], [10, 0, 0], [10, 0, 0]), None),
    ],
)
def test_a_model_of_one_label(counts, found):
    evaluated = evaluation(*counts)
    assert evaluated.one_label == found
    notes = evaluated.to_json()["notes"]
    assert len(notes) == (found is not None)
    if found:
        assert f"says {found[0]!r} for {found[1]} of {np.sum(counts)} examples" in notes[0]

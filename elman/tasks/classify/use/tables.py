"""The tables that a run keeps of its test, for people and for other programs."""

from typing import TYPE_CHECKING

import numpy as np

from elman.tasks.classify.use.suspicious import SHOWN, beginning
from elman.tasks.shared.csv_rows import csv_bytes

if TYPE_CHECKING:
    from elman.tasks.classify.use.trained import Tested

_COLUMNS = ("file", "row", "example", "label", "predicted", "probability")


def tables_of(tested: "Tested") -> dict[str, bytes]:
    """By name: `predictions.csv`, each example of the test; `errors.csv`, those that the model got
    wrong, the surest first; `split.csv`, the part of every row of the sources, so that another
    program can learn and be measured on the same examples.

    None of them for a run that does not know where its examples came from.
    """
    origins = tested.kept.origins
    if origins is None:
        return {}
    texts = tested.kept.beginnings("test", 4 * SHOWN)
    predicted = tested.probabilities.argmax(1)
    names = tested.evaluation.labels
    rows = [
        (file, row, beginning(text), names[label], names[said], f"{probabilities[said]:.6f}")
        for (file, row), text, label, said, probabilities in zip(
            origins.of_part("test"), texts, tested.labels, predicted, tested.probabilities,
            strict=True,
        )
    ]  # fmt: skip
    wrong = np.flatnonzero(predicted != tested.labels)
    surest = wrong[np.argsort(-tested.probabilities.max(1)[wrong], kind="stable")]
    return {
        "predictions.csv": csv_bytes(_COLUMNS, rows),
        "errors.csv": csv_bytes(_COLUMNS, [rows[i] for i in surest]),
        "split.csv": origins.to_csv(),
    }

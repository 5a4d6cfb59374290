"""Labels that may be wrong: confident learning.

After C. Northcutt, L. Jiang and I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset
Labels", JAIR 70 (2021), arXiv 1911.00068: the off-diagonal entries of the confident joint, in the
order of the normalised margin. The probabilities have to come from a model that did not learn from
these examples: what a model has learnt by heart it does not doubt.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from elman.tasks.shared.csv_rows import csv_bytes

SHOWN = 100  # characters of an example


class Suspect(NamedTuple):
    """An example whose label may be wrong.

    file and row: where it stands, as far as that is known. part: of the run, "" for other data.
    example: its beginning. probability: of the label that it has. suggested: the label that the
    model is confident of, and the probability of that one.
    """

    file: str
    row: int
    part: str
    example: str
    label: str
    probability: float
    suggested: str
    suggested_probability: float


def confident_mistakes(probabilities: np.ndarray, labels: np.ndarray) -> list[tuple[int, int]]:
    """`(example, label that it probably has)`, the surest first.

    The model is confident of label j for an example if its p(j) is at least the mean p(j) over the
    examples that carry j; of several such labels the most probable one counts. An example is a
    mistake if that label is another than its own, and some other is more probable than its own, too
    (as in cleanlab). The margin p(own) - max p(other) orders them.

    Args:
        probabilities: `(N, K)`, of examples that the model did not learn from.
        labels: `(N,)` numbers of the labels that they carry.
    """
    count, classes = probabilities.shape
    sums, sizes = np.zeros(classes), np.bincount(labels, minlength=classes)
    own = probabilities[np.arange(count), labels]
    np.add.at(sums, labels, own)
    # Nothing is known of a label that none of them carries: no example is taken for it.
    thresholds = np.divide(sums, sizes, out=np.full(classes, np.inf), where=sizes > 0)
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    best = confident.argmax(1)
    others = probabilities.copy()
    others[np.arange(count), labels] = -1.0
    margin = own - others.max(1)
    found = np.flatnonzero((confident.max(1) >= 0) & (best != labels) & (margin < 0))
    surest = found[np.argsort(margin[found], kind="stable")]
    return [(int(i), int(best[i])) for i in surest]


def suspects_of(
    probabilities: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    places: Sequence[tuple[str, int, str, str]],
) -> list[Suspect]:
    """names: of the labels. places: file, row, part and beginning of each example. Other arguments
    are those of `confident_mistakes`."""
    return [
        Suspect(
            *places[i][:3], beginning(places[i][3]),
            names[labels[i]], float(probabilities[i, labels[i]]),
            names[better], float(probabilities[i, better]),
        )
        for i, better in confident_mistakes(probabilities, labels)
    ]  # fmt: skip


def beginning(text: str) -> str:
    """The beginning of a text, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def suspects_csv(suspects: Iterable[Suspect]) -> bytes:
    """A row for each, with a header."""
    rows = (
        [f"{field:.6f}" if isinstance(field, float) else field for field in suspect]
        for suspect in suspects
    )
    return csv_bytes(Suspect._fields, rows)

"""The tables that a run keeps of its test, for people and for other programs."""

from typing import TYPE_CHECKING

from elman.tasks.classify.use.suspicious import SHOWN, beginning
from elman.tasks.shared.csv_rows import csv_bytes

if TYPE_CHECKING:
    from elman.tasks.classify.use.trained import Tested

_COLUMNS = ("file", "row", "example")


def tables_of(tested: "Tested") -> dict[str, bytes]:
    """By name: `predictions.csv`, each example of the test; `errors.csv`, those that are worth a
    look, the worst first: of labels the wrong ones, of numbers all by the size of the error;
    `split.csv`, the part of every row of the sources, so that another program can learn and be
    measured on the same examples.

    None of them for a run that does not know where its examples came from.
    """
    origins = tested.kept.origins
    if origins is None:
        return {}
    texts = tested.kept.beginnings("test", 4 * SHOWN)
    target, said, answers = tested.target, tested.said, tested.answers
    rows = [
        (file, row, beginning(text), *cells)
        for (file, row), text, cells in zip(
            origins.of_part("test"), texts, target.test_rows(said, answers), strict=True
        )
    ]
    columns = (*_COLUMNS, *target.test_columns)
    return {
        "predictions.csv": csv_bytes(columns, rows),
        "errors.csv": csv_bytes(columns, [rows[i] for i in target.worst(said, answers)]),
        "split.csv": origins.to_csv(),
    }

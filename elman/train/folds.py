"""Cross-validation: a model for each fold of the data, tested on what it did not see.

FOLDER/fold-1, fold-2, ...   ordinary run folders, made before the first of them is trained
FOLDER/results.json          mean and deviation of each measure, and those of each fold
FOLDER/predictions.csv       what was predicted for each row, by the model that did not see it
"""

import csv
import io
import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from elman.artifacts.files import read_bytes, write_atomically
from elman.artifacts.run_folder import create_folder, fold_folders, next_free
from elman.errors import ArgumentError, Interrupted, RunError
from elman.paths import paths_of
from elman.tasks.cell import CellClass
from elman.train.fit import resume, start
from elman.train.listener import Listener

PREDICTIONS = "predictions.csv"
RESULTS = "results.json"


@dataclass(frozen=True)
class CrossValidation:
    """What models were found to do, each on its own fold.

    folder: of their runs. folds: for each its measures. mean, deviation: of each measure over the
    folds; the deviation is that of a sample, with K - 1 in the denominator. examples: how many were
    predicted in all.
    """

    folder: Path
    folds: tuple[dict[str, float], ...]
    examples: tuple[int, ...]

    @property
    def mean(self) -> dict[str, float]:
        return {name: statistics.fmean(values) for name, values in self._measures.items()}

    @property
    def deviation(self) -> dict[str, float]:
        return {name: statistics.stdev(values) for name, values in self._measures.items()}

    @property
    def _measures(self) -> dict[str, list[float]]:
        common = [name for name in self.folds[0] if all(name in fold for fold in self.folds)]
        return {name: [fold[name] for fold in self.folds] for name in common}

    def to_json(self) -> dict[str, Any]:
        return {
            "folds": len(self.folds),
            "examples": sum(self.examples),
            "mean": self.mean,
            "deviation": self.deviation,
            "each": [
                {"fold": number, "examples": examples, **measures}
                for number, (examples, measures) in enumerate(
                    zip(self.examples, self.folds, strict=True), 1
                )
            ],
        }


def cross_validate(
    task: str,
    data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    run: str | os.PathLike[str] | None = None,
    *,
    folds: int = 5,
    cell: str | CellClass | None = None,
    force: bool = False,
    listener: Listener | None = None,
    **settings: Any,
) -> CrossValidation:
    """Train a model for each fold of the data; what `elman train classify --folds` does.

    Args:
        task: "classify".
        run: folder for the runs `fold-1`, `fold-2`, ...; None counts up, `runs/classify-001`.
        folds: how many.
        data, cell, force, listener, settings: as for `elman.fit`.

    Raises:
        ArgumentError: fewer than two folds; data that can be read only once. And what `elman.fit`
            raises. After an `Interrupted`, `resume_folds(run)` goes on.

    Example:
        >>> import elman
        >>> found = elman.cross_validate("classify", "mail.csv", folds=5)  # doctest: +SKIP
        >>> found.mean["accuracy"], found.deviation["accuracy"]  # doctest: +SKIP
        (0.984, 0.004)
    """
    if task != "classify":
        raise ArgumentError(f"folds are for the task classify, got {task!r}; leave them out")
    if folds < 2:
        raise ArgumentError(f"--folds must be at least 2, got {folds}")
    if "-" in paths_of(data):
        raise ArgumentError(
            "standard input can be read only once, but each fold reads the data; write it to a "
            "file, and give its name"
        )
    begun = []

    def fill(folder: Path) -> None:
        for number in range(1, folds + 1):
            own = folder / f"fold-{number}"
            begun.append(
                start(task, data, own, cell=cell, folds=folds, fold=number, **settings)
            )  # fmt: skip

    folder = create_folder(Path(run) if run is not None else next_free(task), force, fill)
    listener = listener or Listener()
    listener.folds_created(folder)
    return resume_folds(folder, cell=begun[0].cell, listener=listener)


def resume_folds(
    run: str | os.PathLike[str],
    *,
    cell: CellClass | None = None,
    listener: Listener | None = None,
    **changes: Any,
) -> CrossValidation:
    """Go on with a cross-validation where it stopped: finished folds stay as they are.

    Args and errors are those of `elman.resume`, for each fold.
    """
    folder, listener = Path(run), listener or Listener()
    runs = fold_folders(folder)
    for number, own in enumerate(runs, 1):
        listener.fold_begun(number, len(runs))
        try:
            resume(own, cell=cell, listener=listener, **changes)
        except Interrupted as stopped:
            raise Interrupted(
                f"stopped in fold {number} of {len(runs)} and saved; go on with `elman resume "
                f"{folder}`",
                stopped.exit_code - 128,
            ) from None
    tests = [_test_of(own) for own in runs]
    found = CrossValidation(
        folder, tuple(measures for measures, _ in tests), tuple(examples for _, examples in tests)
    )
    write_atomically(folder / PREDICTIONS, joined(runs))
    text = json.dumps(found.to_json(), indent=1) + "\n"
    write_atomically(folder / RESULTS, text.encode("utf-8"))
    return found


def _test_of(run: Path) -> tuple[dict[str, float], int]:
    """The measures of a run's test, and on how many examples."""
    try:
        found = json.loads(read_bytes(run / RESULTS))
        measures = {name: value for name, value in found.items() if isinstance(value, float)}
        examples = found["examples"]
    except (ValueError, KeyError, AttributeError):
        examples = None
    if not isinstance(examples, int):
        raise RunError(f"{run / RESULTS} holds no results of a test; train the run anew")
    return measures, examples


def joined(runs: Sequence[Path]) -> bytes:
    """The predictions of all folds in the order of the sources, each with its fold.

    Raises:
        RunError: two folds predict the same row, so they do not belong together.
    """
    header: list[str] = []
    rows: list[tuple[str, int, list[str]]] = []
    for number, run in enumerate(runs, 1):
        path = run / PREDICTIONS
        table = csv.reader(io.StringIO(read_bytes(path).decode("utf-8"), newline=""))
        header = next(table, [])
        if header[:2] != ["file", "row"]:
            raise RunError(f"{path} must begin with the columns file and row; train the run anew")
        try:
            rows += [(row[0], int(row[1]), [*row[:2], str(number), *row[2:]]) for row in table]
        except (ValueError, IndexError):
            raise RunError(f"{path} holds a row without a number; train the run anew") from None
    rows.sort(key=lambda row: row[:2])
    for one, other in pairwise(rows):
        if one[:2] == other[:2]:
            raise RunError(
                f"{runs[0].parent}: folds {one[2][2]} and {other[2][2]} both predict row {one[1]} "
                f"of {one[0]}, so they come from different data; train all of them anew"
            )
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows(
        [[*header[:2], "fold", *header[2:]], *(row for _, _, row in rows)]
    )
    return lines.getvalue().encode("utf-8")

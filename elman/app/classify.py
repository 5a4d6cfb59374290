"""The commands of the classification task."""

import csv
import io
import json
import os
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

import typer

from elman.app import terminal
from elman.app.loading import load_as
from elman.app.options import (
    Device,
    OwnCell,
    Run,
    TrainOptions,
    options_of,
    takes,
    trains,
)
from elman.app.training import report_files, train_run
from elman.artifacts.load import SavedRun
from elman.artifacts.run_folder import RunFolder
from elman.errors import ArgumentError, DataError
from elman.tasks import TASKS
from elman.tasks.classify import Evaluation, Guess, TrainedClassifier
from elman.tasks.classify.data.examples import Item
from elman.tasks.classify.settings import ReadingSettings
from elman.tasks.shared.text import label_of

_ROWS = 4096  # examples that are predicted before the first of them is printed


class Format(StrEnum):
    table = "table"
    jsonl = "jsonl"
    csv = "csv"


MEASURES = (
    "accuracy, macro F1, log loss, calibration error, and a table of the labels; without DATA on "
    "the run's test part."
)


def add_commands(app: typer.Typer, train: typer.Typer) -> None:
    """Put this task's commands into the program."""
    train.command("classify")(train_classify)
    app.command("predict")(predict)


@trains(TASKS["classify"])
def train_classify(
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATA]",
            help="Folder of LABEL.txt files with one example a line; CSV, TSV, JSON lines or "
            "Parquet; a UCR/UEA .ts file; or - for standard input. Without it: names of countries "
            "and languages in 35 languages (needs Babel: pip install 'elman[demo]').",
        ),
    ],
    options: TrainOptions,
) -> None:
    """Train a model that names the label of a text or a signal.

    The examples are divided into three parts: training, validation (when to stop), and a test that
    is made once, at the end.

    Examples:

    elman train classify data/names

    elman train classify reviews.csv --text-column review --label-column stars

    elman train classify JapaneseVowels_TRAIN.ts --test-data JapaneseVowels_TEST.ts
    """
    if trained := train_run("classify", data, options):
        report(*trained)


def report(folder: RunFolder, model: TrainedClassifier) -> None:
    """The results of training, and what to do next."""
    report_files(folder.path)
    terminal.note(
        f"test: {folder.path / 'results.json'}   confusion matrix: {folder.path / 'confusion.png'}"
    )
    evaluation = model.evaluate()
    terminal.result(f"test: {_headline(evaluation)}")
    terminal.result(_majority(evaluation))
    terminal.note(f"next: elman evaluate {folder}   elman predict {folder} EXAMPLE...")


def evaluate(
    run: SavedRun, model: TrainedClassifier, data: str | None, given: dict[str, Any]
) -> Evaluation:
    """`elman evaluate` for a classification run."""
    if given and data is None:
        raise ArgumentError(
            f"--{next(iter(given)).replace('_', '-')} says how DATA is read, but no DATA was "
            f"given; name it, or leave the option out"
        )
    return model.evaluate(data, **given)


@takes(options_of(ReadingSettings))
def predict(
    run: Run,
    given: dict[str, Any],
    examples: Annotated[
        list[str] | None, typer.Argument(metavar="[EXAMPLE]...", help="Texts to classify.")
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Classify what FILE holds, or standard input for -: one text a line, or a table "
            "(.csv, .tsv, .jsonl), or signals (.ts); without such a name, rows like those of the "
            "training data are known by their look.",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, metavar="K", help="Labels to show for each.")] = 3,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.table,
    cell: OwnCell = None,
    device: Device = "cpu",
) -> None:
    """Name the label of texts or signals, with probabilities.

    Examples:

    elman predict runs/classify-001 Satoshi Dupont

    elman predict runs/classify-001 --file names.txt --top 1 --format csv

    cut -f 2 table.tsv | elman predict runs/classify-001 --file - --format jsonl
    """
    if (file is None) == (not examples):
        raise ArgumentError("name examples to classify, or a file with --file, one of the two")
    model = load_as(
        TrainedClassifier, run, cell, device,
        "is no classification run; `elman predict` names labels with one",
    )  # fmt: skip
    if file is None:
        # Arguments that are no text in the terminal's encoding hold halves of characters.
        items: list[Item] = [os.fsencode(text).decode(errors="replace") for text in examples or ()]
    else:
        items = _items_of(file, model, given)
    if format is Format.csv:
        columns = ["example", *(f"{what}_{i + 1}" for i in range(min(top, len(model.labels)))
                                for what in ("label", "probability"))]  # fmt: skip
        terminal.result(_csv_line(columns))
    for start in range(0, len(items), _ROWS):
        rows = items[start : start + _ROWS]
        names = [_name(item, number) for number, item in enumerate(rows, start + 1)]
        _print(format, names, model.predict(rows, top))


def _items_of(file: str, model: TrainedClassifier, reading: dict[str, Any]) -> list[Item]:
    """The examples of a file; empty ones are left out, and counted."""
    found = model.read(file, labelled=False, **reading)
    items = [item for item in found.items if len(item)]
    if not items:
        raise DataError(f"{label_of(file)} holds no example; at least one was expected")
    for text in found.notes:
        terminal.note(f"note: {text}")
    if len(items) < len(found):
        terminal.note(f"note: empty examples left out: {len(found) - len(items):,}")
    return items


def _print(format: Format, names: list[str], guesses: list[list[Guess]]) -> None:
    if format is Format.jsonl:
        lines: Iterable[str] = (
            json.dumps(
                {"example": name, "labels": [guess._asdict() for guess in row]}, ensure_ascii=False
            )
            for name, row in zip(names, guesses, strict=True)
        )
    elif format is Format.csv:
        lines = (
            _csv_line([name, *(cell for label, p in row for cell in (label, f"{p:.6f}"))])
            for name, row in zip(names, guesses, strict=True)
        )
    else:
        width = min(40, max(map(len, names)))
        columns = max(len(guess.label) for row in guesses for guess in row)
        lines = (
            f"{name if len(name) <= width else name[: width - 3] + '...':<{width}}  "
            + "  ".join(f"{label:<{columns}} {p:6.1%}" for label, p in row)
            for name, row in zip(names, guesses, strict=True)
        )
    terminal.result("\n".join(lines))


def _csv_line(fields: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


def _name(item: Item, number: int) -> str:
    """A text itself; a signal by its place in the file."""
    return item if isinstance(item, str) else str(number)


def _headline(found: Evaluation) -> str:
    return (
        f"accuracy {found.accuracy:.4f}, macro F1 {found.macro_f1:.4f}, log loss "
        f"{found.log_loss:.4f}, calibration error {found.calibration_error:.4f} "
        f"({found.examples:,} examples)"
    )


def _majority(found: Evaluation) -> str:
    majority = found.to_json()["majority"]
    return (
        f"always {majority['label']}: accuracy {majority['accuracy']:.4f}, macro F1 "
        f"{majority['macro_f1']:.4f}"
    )


def table(found: Evaluation) -> str:
    """A line for each label, and the measures of all."""
    classes = found.per_class
    width = max(len("label"), *(len(label) for label in found.labels))
    rows = [f"{'label':<{width}} {'precision':>9} {'recall':>7} {'F1':>7} {'examples':>9}"]
    rows += [
        f"{found.labels[i]:<{width}} {classes.precision[i]:9.3f} {classes.recall[i]:7.3f} "
        f"{classes.f1[i]:7.3f} {classes.support[i]:>9,}"
        for i in found.order
    ]
    mistakes = "; ".join(f"{right} as {said} {count:,}" for right, said, count in found.mistakes())
    return "\n".join(
        [*rows, "", _headline(found), _majority(found), f"commonest mistakes: {mistakes or 'none'}"]
    )

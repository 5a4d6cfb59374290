"""The commands of the classification task."""

import os
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from elman.app import terminal
from elman.app.folds import asks_for_folds, train_folds
from elman.app.loading import load_as
from elman.app.options import (
    AsJson,
    Device,
    OwnCell,
    Run,
    Threads,
    TrainOptions,
    options_of,
    takes,
    trains,
)
from elman.app.predictions import PRINTERS, Columns, Format, PiecesCsv
from elman.app.training import Report, train_run
from elman.artifacts.load import SavedRun
from elman.artifacts.run_folder import RunFolder
from elman.errors import ArgumentError, DataError
from elman.tasks import TASKS
from elman.tasks.classify import TrainedClassifier
from elman.tasks.classify.data.examples import Examples, Item
from elman.tasks.classify.settings import ReadingSettings
from elman.tasks.classify.targets.base import Measured
from elman.tasks.classify.use.explanation import Explanation
from elman.tasks.classify.use.explanation_picture import MOST as MOST_DRAWN
from elman.tasks.classify.use.explanation_picture import explained_signals
from elman.tasks.classify.use.suspicious import suspects_csv
from elman.tasks.shared.text import label_of

_ROWS = 4096  # examples that are predicted before the first of them is printed


MEASURES = (
    "accuracy, macro F1, log loss, calibration error, and a table of the labels (of ordered ones "
    "also distance and kappa, of several labels micro F1, of numbers MAE, RMSE, R2 and how many "
    "intervals hold); without DATA on the run's test part."
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
            help="Folder of LABEL.txt files with one example a line, of a folder for each label "
            "with one example a file, or of parts (train.csv and test.csv, train/ and test/); CSV, "
            "TSV, JSON lines or Parquet; fastText's lines, or LABEL, a tab, text; a UCR/UEA .ts "
            "file; or - for standard input. Without it: names of countries and languages in 35 "
            "languages (needs Babel: pip install 'elman[demo]').",
        ),
    ],
    options: TrainOptions,
) -> None:
    """Train a model that names the label of a text or a signal, or several, or says a number.

    The examples are divided into three parts: training, validation (when to stop), and a test that
    is made once, at the end. Repeats are dropped from parts that are drawn; a test part of your own
    is measured row by row. split.csv in the run folder says where each row went.

    Examples:

    elman train classify data/names

    elman train classify reviews.csv --text-column review --label-column stars

    elman train classify wines.csv --text-column review --label-column price --target number

    elman train classify aclImdb

    elman train classify calls.csv --group-column speaker --folds 5

    elman train classify JapaneseVowels_TRAIN.ts --test-data JapaneseVowels_TEST.ts
    """
    if asks_for_folds("classify", options):
        train_folds("classify", data, options)
    else:
        train_run("classify", data, options, report)


def report(folder: RunFolder, model: TrainedClassifier) -> Report:
    """The results of training, and what to do next."""
    test = model.evaluate()
    picture = test.picture()
    files = {picture.title: picture.name, "calibration": "calibration.png"}
    notes = [_named(folder, {"test": "results.json", **files})]
    notes += [
        _named(
            folder,
            {
                "each test example": "predictions.csv", "the worst": "errors.csv",
                "the part of each row": "split.csv", "labels that may be wrong": "suspicious.csv",
            },
        )
    ]  # fmt: skip
    lines = [f"test: {_headline(test)}", *test.baselines, *_seen(test)]
    notes += [
        *_advice(folder, test),
        f"next: elman evaluate {folder}   elman predict {folder} EXAMPLE...",
    ]
    return Report("\n".join(lines), [note for note in notes if note], test.to_json())


def _named(folder: RunFolder, files: dict[str, str]) -> str:
    """Those of the files that there are, after what they are."""
    there = {what: folder.path / name for what, name in files.items()}
    return "   ".join(f"{what}: {path}" for what, path in there.items() if path.is_file())


def evaluate(
    run: SavedRun, model: TrainedClassifier, data: str | None, given: dict[str, Any]
) -> Measured:
    """`elman evaluate` for a classification run."""
    target = given.pop("suspicious", None)
    if given and data is None:
        raise ArgumentError(
            f"--{next(iter(given)).replace('_', '-')} says how DATA is read, but no DATA was "
            f"given; name it, or leave the option out"
        )
    read = None if data is None else model.read(data, **given)
    found = model.evaluate(read)
    if target is not None:
        suspects = model.suspects(read)
        terminal.file(target, suspects_csv(suspects))
        terminal.note(f"labels that may be wrong: {len(suspects):,}, in {target}, the surest first")
    for text in _advice(run.folder, found):
        terminal.note(text)
    return found


def _advice(folder: RunFolder, found: Measured) -> list[str]:
    """What helps a model that has learnt hardly anything."""
    remarks = [f"note: {text}" for text in found.remarks]
    if not remarks:
        return []
    steps = [step for record in folder.read_metrics() if type(step := record.get("step")) is int]
    help = [f"train longer with `elman resume {folder} --steps {2 * max(steps, default=1000)}`"]
    help += found.hints
    return [*remarks, f"note: what may help: {'; '.join(help)}; or give more examples"]


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
            "--file",  # said, since typer 0.27 takes the name from a metavar that spells it alike
            metavar="FILE",
            help="Classify what FILE holds, or standard input for -: one text a line, or a table "
            "(.csv, .tsv, .jsonl), or signals (.ts); without such a name, rows like those of the "
            "training data are known by their look. Each row gets one prediction, an empty one for "
            "an empty text.",
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="K",
            help="Labels to show for each, the most probable ones [default: 3; of several labels "
            "those that the model says]",
        ),
    ] = None,
    format: Annotated[
        Format, typer.Option(help="How to print; json is one object, jsonl one for each example.")
    ] = Format.table,
    as_json: AsJson = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Also say what each character, or stretch of a signal, did to the label: how much "
            "its log-odds fall, in nats, when it is taken away; csv has a row for each of them.",
        ),
    ] = False,
    picture: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="signals: draw what --explain says of the first six, as PNG"
        ),
    ] = None,
    id_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="tables: column to begin each row with")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="tables: column with the right label to keep")
    ] = None,
    keep_columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="tables: other columns to keep, with commas between; or all"
        ),
    ] = None,
    cell: OwnCell = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Name the label of texts or signals, with probabilities; or say their number, with an
    interval.

    Examples:

    elman predict runs/classify-001 Satoshi Dupont

    elman predict runs/classify-001 --file names.txt --top 1 --format csv

    elman predict runs/classify-001 --file mail.csv --id-column id --format csv

    elman predict runs/classify-001 Satoshi --explain

    cut -f 2 table.tsv | elman predict runs/classify-001 --file - --format jsonl
    """
    if (file is None) == (not examples):
        raise ArgumentError("name examples to classify, or a file with --file, one of the two")
    if as_json and format not in (Format.table, Format.json):
        raise ArgumentError(f"--json and --format {format} were both given; choose one")
    format = Format.json if as_json else format
    columns = Columns(id_column, label_column, tuple(filter(None, (keep_columns or "").split(","))))
    if columns.names and (file is None or format is Format.table):
        raise ArgumentError(
            "--id-column, --label-column and --keep-columns are for --file, with --format csv, "
            "json or jsonl; give these, or leave the columns out"
        )
    model = load_as(
        TrainedClassifier, run, cell, device,
        "is no classification run; `elman predict` names labels with one",
    )  # fmt: skip
    if file is None:
        # Arguments that are no text in the terminal's encoding hold halves of characters.
        items: list[Item] = [os.fsencode(text).decode(errors="replace") for text in examples or ()]
        found = Examples(items, [""] * len(items))
    else:
        if label_column is not None:
            given = {**given, "label_column": label_column}
        found = _read(file, model, columns.names, given)
    if picture is not None:
        _draw(picture, explain, model, found)
    chosen = PiecesCsv if explain and format is Format.csv else PRINTERS[format]
    printer = chosen(found, columns, model.target, top)
    terminal.result(printer.head, end="")
    for start in range(0, len(found), _ROWS):
        rows = range(start, min(start + _ROWS, len(found)))
        if file is None:
            said = model.predict(items[start : start + _ROWS], top)
        else:
            said = _aligned(model, found, rows, top)
        whys = _explained(model, found, rows) if explain else [None] * len(rows)
        coloured = explain and format is Format.table
        terminal.result(printer.lines(rows, said, whys), end="", coloured=coloured)
    terminal.result(printer.tail, end="")


def _read(
    file: str, model: TrainedClassifier, keep: Sequence[str], reading: dict[str, Any]
) -> Examples:
    """The examples of a file, empty ones among them, which are counted."""
    found = model.read(file, labelled=False, keep=keep, **reading)
    empty = sum(not len(item) for item in found.items)
    if empty == len(found):
        raise DataError(f"{label_of(file)} holds no example; at least one was expected")
    for text in found.notes:
        terminal.note(f"note: {text}")
    if empty:
        terminal.note(f"note: empty examples, without a prediction: {empty:,}")
    return found


def _aligned(model: TrainedClassifier, found: Examples, rows: range, top: int | None) -> list[Any]:
    """The predictions for some rows; None for one that is empty."""
    full = [row for row in rows if len(found.items[row])]
    said = dict(zip(full, model.predict(found.take(full), top), strict=True))
    return [said.get(row) for row in rows]


def _explained(model: TrainedClassifier, found: Examples, rows: range) -> list[Explanation | None]:
    """The explanations of some rows; none for one that is empty."""
    full = [row for row in rows if len(found.items[row])]
    whys = dict(zip(full, model.explain(found.take(full)), strict=True))
    return [whys.get(row) for row in rows]


def _draw(picture: str, explain: bool, model: TrainedClassifier, found: Examples) -> None:
    """Write the picture of `--explain`."""
    signals = [item for item in found.items if not isinstance(item, str) and len(item)]
    if not explain or not signals:
        raise ArgumentError("--picture shows what --explain says of signals; give both, or neither")
    signals = signals[:MOST_DRAWN]
    terminal.file(picture, explained_signals(signals, model.explain(signals)))
    terminal.note(f"picture: {picture}")


def _headline(found: Measured) -> str:
    return f"{found.headline} ({found.examples:,} examples)"


def _seen(found: Measured) -> list[str]:
    """What training showed of the examples, and how good the model is on the others."""
    seen = found.seen
    if seen is None:
        return ["seen in training: not known, since the run no longer holds its examples"]
    if not seen.same_label and not seen.other_label:
        return []
    text = f"seen in training: {seen.same_label:,} of {found.examples:,} examples"
    if seen.other_label:
        text += f", and {seen.other_label:,} with another label"
    if seen.rest is not None and seen.same_label:
        rest = found.examples - seen.same_label
        text += f"; {seen.measure} on the other {rest:,}: {seen.rest:.4f}"
    return [text]


def table(found: Measured) -> str:
    """Lines by label or by size, and the measures of all."""
    return "\n".join(
        [
            *found.rows(),
            "",
            _headline(found),
            *found.baselines,
            *_seen(found),
            *found.closing(),
        ]
    )

"""Finding and reading labelled examples: folders, tables, signal files, standard input."""

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn

from elman.errors import ArgumentError, DataError
from elman.tasks.classify.data import builtin
from elman.tasks.classify.data.examples import Examples, joined
from elman.tasks.classify.data.folders import DOCUMENTS, read_folder
from elman.tasks.classify.data.inputs import SEPARATOR
from elman.tasks.classify.data.learned import SUFFIXES, UNKNOWN, USUAL, Learned
from elman.tasks.classify.data.lines import FORMATS, parse_lines
from elman.tasks.classify.data.signals import parse_ts
from elman.tasks.classify.data.tables import examples_of
from elman.tasks.classify.data.text_table import read_json_lines, read_parquet, read_separated
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.classify.targets.choice import choose
from elman.tasks.shared.recognise import PARQUET, head_of
from elman.tasks.shared.text import label_of, lines_of, read_text, require_there

_OPEN = "open"  # neither a name nor the user tells the format


def names(data: list[str]) -> list[str]:
    """What a run records about where its data came from. For information only, never opened."""
    return list(data) if data else [builtin.NAME]


def read(data: list[str], settings: ClassifySettings) -> Examples:
    """All labelled examples, stripped, those of each part marked if the user divided them. Empty
    ones and repeats are among them. Their answers are of one kind, `target`.

    Raises:
        DataError, ArgumentError: see `read_source`.
    """
    whole = _read_all(data, settings)
    _require_weights(whole, settings)
    kind, notes = choose(settings, whole.target, whole.labels, lambda i: place_of(whole, i))
    known = Learned(whole.format, tuple(whole.texts), tuple(sorted(set(whole.labels))))
    own = {
        part: read_source(path, replace(settings, weight_column=""), learned=known)
        for part, path in (("valid", settings.valid_data), ("test", settings.test_data))
        if path
    }
    if own and whole.parts is not None:
        raise ArgumentError(
            "give --split-column, or --test-data and --valid-data, but not both, and neither with "
            "a folder of parts: each says which part an example belongs to"
        )
    for part, found in own.items():
        if found.parts is not None:
            raise ArgumentError(
                f"--{part}-data must be one part, but names a folder that holds several; name the "
                f"file or folder of the {part} part"
            )
    _require_columns(whole, settings)
    found = joined({"train": whole, **own}) if own else whole
    found.labels, seen = kind.read(found.labels, lambda i: place_of(found, i), settings)
    found.target, found.notes = kind.name, [*found.notes, *notes, *seen]
    return found


def _require_columns(whole: Examples, settings: ClassifySettings) -> None:
    """Raise if a column is asked for that only tables have."""
    for option, column, found in (
        ("--group-column", settings.group_column, whole.groups),
        ("--time-column", settings.time_column, whole.times),
        ("--number-columns", settings.number_columns, whole.beside),
        ("--category-columns", settings.category_columns, whole.beside),
    ):
        if column and not found:
            raise ArgumentError(
                f"{option} names a column of a table, but the data is none; give a table, or leave "
                f"the option out"
            )


def _require_weights(examples: Examples, settings: ClassifySettings) -> None:
    """Raise if weights were asked for and there are none; else a note says what they do."""
    if not settings.weight_column:
        return
    if examples.weights is None:
        raise ArgumentError(
            f"--weight-column is for tables, but {examples.format or 'this'} data has no column "
            f"{settings.weight_column!r}; leave it out"
        )
    if not any(examples.weights):
        raise DataError(
            f"column {settings.weight_column!r} (--weight-column) must hold some weight above 0, "
            f"got 0 for all examples; correct it, or leave the option out"
        )
    examples.notes.append(
        f"column {settings.weight_column!r} weighs examples in the training loss (weights from "
        f"{min(examples.weights):g} to {max(examples.weights):g}); measures count each once"
    )


def place_of(examples: Examples, number: int) -> str:
    """Where an example stands in the user's data, for messages."""
    file = examples.files[number]
    return f"{label_of(file)}, row {examples.rows[number]}" if file else f"row {number + 1}"


def _read_all(data: list[str], settings: ClassifySettings) -> Examples:
    if not data:
        return builtin.country_and_language_names()
    if len(data) > 1:
        raise ArgumentError(
            f"a classifier learns from one file or folder, got {len(data)}; give the test part "
            f"with --test-data and the validation part with --valid-data"
        )
    return read_source(data[0], settings)


def read_source(
    source: str,
    settings: ClassifySettings,
    labelled: bool = True,
    learned: Learned = UNKNOWN,
    keep: Sequence[str] = (),
) -> Examples:
    """The examples of one file or folder, or of standard input ("-"), in their order.

    labelled: every example must have a label; otherwise a label is read where there is one, and
    what a name leaves open is read as what the run `learned` from if it looks like that, else as
    one example a line. keep: other columns of a table to hand on.

    Raises:
        DataError: missing, unreadable or without examples; lines that can't be read, by number.
        ArgumentError: a column that does not exist, an unknown encoding.
    """
    require_there(source)
    kind = _format_of(source, settings, labelled)
    if kind == "folder":
        again = partial(read_source, settings=settings, labelled=labelled, learned=learned)
        bare = not labelled and learned.format == DOCUMENTS
        examples = read_folder(Path(source), settings, again, bare)
        kind = examples.format
    elif kind == "parquet":
        examples = examples_of(read_parquet(source, label_of(source)), settings, labelled, keep)
    else:
        content = "".join(read_text(source, settings.encoding))
        notes: list[str] = []
        if kind == _OPEN and labelled:
            kind, notes = learned.format_with_labels(content, settings) or _unclear(source)
        elif kind == _OPEN:
            kind, notes = learned.format_of(content, settings)
        examples = _parse(content, label_of(source), kind, settings, labelled, keep)
        examples.notes = [*notes, *examples.notes]
    if not os.path.isdir(source):
        examples.files = [source] * len(examples)
    examples.format = kind
    if keep and not examples.columns:
        raise ArgumentError(
            f"{label_of(source)} is no table, so it has no column {keep[0]!r}; give a table, or "
            f"leave out the options that keep columns"
        )
    if not examples.channels:
        examples.items = [prepared(str(item), settings.ascii) for item in examples.items]
    return examples


def _parse(
    content: str, name: str, kind: str, settings: ClassifySettings, labelled: bool,
    keep: Sequence[str],
) -> Examples:  # fmt: skip
    if kind == "ts":
        return parse_ts(content, name, labelled)
    if kind in FORMATS:
        return parse_lines(content, name, kind, labelled)
    if kind == "lines":
        lines = [line.strip() for line in lines_of(content)]
        return Examples(list(lines), [""] * len(lines))
    if kind == "jsonl":
        table = read_json_lines(content, name)
    else:
        table = read_separated(content, name, USUAL[kind], settings.header)
    return examples_of(table, settings, labelled, keep)


def prepared(text: str, ascii_only: bool) -> str:
    """The text as the model reads it: stripped, in composed form (NFC), or plain ASCII; each of
    several texts for itself."""
    if SEPARATOR in text:
        parts = [prepared(part, ascii_only) for part in text.split(SEPARATOR)]
        return SEPARATOR.join(parts) if any(parts) else ""
    if not ascii_only:
        return unicodedata.normalize("NFC", text.strip())
    plain = unicodedata.normalize("NFD", text.strip())
    return "".join(c for c in plain if unicodedata.category(c) != "Mn" and ord(c) < 128).strip()


def _format_of(source: str, settings: ClassifySettings, labelled: bool) -> str:
    if source != "-" and os.path.isdir(source):
        return "folder"
    if settings.data_format == "folder":
        raise DataError(
            f"{label_of(source)} is no folder, but --data-format folder expects one; give the "
            f"folder, or another --data-format"
        )
    head = head_of(source)
    if head.startswith(PARQUET):
        return "parquet"
    if settings.data_format != "auto":
        return settings.data_format
    found = SUFFIXES.get(Path(source).suffix.lower())
    if found is not None:
        return found
    return _OPEN


def _unclear(source: str) -> NoReturn:
    raise DataError(
        f"can't tell the format of {label_of(source)} by its name, nor where its labels are; say "
        f"--data-format csv, tsv, jsonl (an object on each line), ts, fasttext, label-text or "
        f"text-label, or give a folder of LABEL.txt files"
    )

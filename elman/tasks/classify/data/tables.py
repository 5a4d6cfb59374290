"""Labelled text in tables: which columns are what."""

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from elman.errors import ArgumentError, DataError
from elman.tasks.classify.data.examples import PART_NAMES, PARTS, Examples, Moment
from elman.tasks.classify.data.inputs import joined_texts, names_in
from elman.tasks.classify.data.text_table import TextTable
from elman.tasks.classify.settings import DIVIDING, ClassifySettings
from elman.tasks.classify.targets.number import is_number
from elman.tasks.shared.table import (
    is_unnamed,
    listing,
    numbers_rows,
    shown,
)
from elman.tasks.shared.time.order import order_of

if TYPE_CHECKING:
    pass

LABEL_NAMES = ("label", "class", "category", "target", "sentiment", "y")
TEXT_NAMES = (
    "text", "name", "string", "sentence", "message", "example", "content", "review", "tweet", "x"
)  # fmt: skip
ALL = "all"
_ABSENT = ("nan", "na", "n/a", "null", "#n/a", "<na>")
"""Labels, in lower case, that programs write for a missing value."""
_HEAVIEST = 1e30  # that float32 can still calculate with


def examples_of(
    table: TextTable,
    settings: ClassifySettings,
    labelled: bool = True,
    keep: Sequence[str] = (),
) -> Examples:
    """The examples of a table.

    labelled: whether it must have a column of labels. keep: names of columns to hand on; `ALL`
    stands for all of them.

    Raises:
        DataError: labels that are missing, values that are no text, with their lines.
        ArgumentError: a column that does not exist; names those that do.
    """
    beside = _beside(table, settings)
    taken = [*beside, *(getattr(settings, name) for name in DIVIDING), settings.weight_column]
    label = _find(table, settings.label_column, LABEL_NAMES, "label", labelled, taken)
    columns = _text_columns(table, settings, label, taken)
    if labelled and label in columns:
        raise ArgumentError(f"column {label!r} can't be both the text and the label; name another")
    if label is not None and label not in columns:
        _refuse_data_as_names(table, settings, label, columns[0])
        _refuse_header_again(table, label, columns[0])
    texts = joined_texts([table.strings(column) for column in columns])
    labels = [unicodedata.normalize("NFC", value) for value in _answers(table, label)]
    for row, (value, text_there) in enumerate(zip(labels, texts, strict=True)):
        if labelled and not value and text_there:
            raise DataError(
                f"{table.place(row)}: the label (column {label!r}) is empty; fill it in, or leave "
                f"the row out"
            )
    parts = _parts(table, settings.split_column) if settings.split_column else None
    notes = [*table.notes, *_notes(table, columns, label, taken, labels)]
    found = Examples(list(texts), labels, parts, notes=notes, texts=columns)
    found.weights = (
        _weights(table, settings.weight_column) if settings.weight_column and labelled else None
    )
    found.target = "labels" if label in table.nested else ""
    found.columns = _kept(table, keep, columns)
    found.beside = {column: table.strings(column) for column in beside}
    if settings.group_column:
        found.groups = _groups(table, settings.group_column, texts)
    if settings.time_column:
        found.times = _times(table, settings.time_column)
    return found


def _answers(table: TextTable, column: str | None) -> list[str]:
    """The labels as they are written, a list as JSON."""
    if column is None or column not in table.nested:
        return table.strings(column)
    answers = [value.strip() for value in table.written(column)]
    for row, answer in enumerate(answers):
        if answer.startswith("{"):
            raise DataError(
                f"{table.place(row)}: {column!r} must be one label or a list of them, got an "
                f"object; write labels there, or name another column"
            )
    return answers


def _weights(table: TextTable, column: str) -> list[float]:
    """How much each example weighs in the loss."""
    table.require(column, "--weight-column")
    weights = []
    for row, text in enumerate(table.strings(column)):
        weight = float(text) if is_number(text) else -1.0
        if not 0 <= weight <= _HEAVIEST:
            raise DataError(
                f"{table.place(row)}: the weight (column {column!r}) must be a number from 0 to "
                f"{_HEAVIEST:.0e}, got {shown(text)}; correct it, or leave the row out"
            )
        weights.append(weight)
    return weights


def _groups(table: TextTable, column: str, texts: Sequence[str]) -> list[str]:
    """The group of each row."""
    table.require(column, "--group-column")
    groups = table.strings(column)
    for row, (group, text) in enumerate(zip(groups, texts, strict=True)):
        if text and not group:
            raise DataError(
                f"{table.place(row)}: the group (column {column!r}) is empty; fill it in, with a "
                f"name of its own for a row that belongs to no other, or leave the row out"
            )
    return groups


def _times(table: TextTable, column: str) -> list[Moment]:
    """The time of each row."""
    table.require(column, "--time-column")
    written = table.strings(column)
    return list(map(Moment, order_of(table, column).tolist(), written))


def _text_columns(
    table: TextTable, settings: ClassifySettings, label: str | None, taken: Sequence[str]
) -> list[str]:
    """The columns that are read as texts, in their order.

    Raises:
        ArgumentError: they are not there, or can't be told; or nothing is left to be one.
    """
    named = names_in(settings.text_column, table.columns)
    if len(named) < 2:
        if not named and not {*table.columns} - {label, *taken}:
            raise ArgumentError(
                f"{table.name} has no column of texts beside {listing(table.columns)}; elman reads "
                f"sequences, and numbers and categories beside them: name a --text-column, or use "
                f"a library for tables, such as scikit-learn"
            )
        name = named[0] if named else ""
        found = _find(table, name, TEXT_NAMES, "text", True, [label or "", *taken])
        assert found is not None
        named = [found]
    for column in named:
        table.require(column, "--text-column")
    both = [column for column in named if column in taken or named.count(column) > 1]
    if both:
        raise ArgumentError(
            f"column {both[0]!r} can be read in one way only, but is named twice; name it once, "
            f"as text, number, category, group or time"
        )
    return named


def _beside(table: TextTable, settings: ClassifySettings) -> list[str]:
    """The columns of numbers and of categories."""
    found: list[str] = []
    for option, names in (
        ("--number-columns", settings.number_columns),
        ("--category-columns", settings.category_columns),
    ):
        for column in names_in(names, table.columns):
            table.require(column, option)
            if column in found or column == settings.label_column:
                raise ArgumentError(
                    f"{option}: column {column!r} can be read in one way only, but is named twice"
                )
            found.append(column)
    return found


def _kept(table: TextTable, keep: Sequence[str], texts: Sequence[str]) -> dict[str, list[str]]:
    """The columns to hand on, as they are written in the file. For all of them, a single text is
    not among them: it is handed on as it is."""
    own = texts if len(texts) == 1 else []
    wanted = [
        column
        for name in keep
        for column in ([c for c in table.columns if c not in own] if name == ALL else [name])
    ]
    for name in wanted:
        table.require(name, "a column to keep")
    return {name: table.written(name) for name in dict.fromkeys(wanted)}


def _notes(
    table: TextTable,
    texts: Sequence[str],
    label: str | None,
    used: Sequence[str],
    labels: list[str],
) -> list[str]:
    notes = []
    if left := [c for c in table.columns if c not in (*texts, label, *used)]:
        taken = listing([*map(repr, texts)])
        unused = listing([*map(repr, left)])
        which = "column" if len(texts) == 1 else "columns"
        labelled = f" and labels from {label!r}" if label is not None else ""
        notes.append(f"texts are taken from {which} {taken}{labelled}; not used: {unused}")
    for name in sorted(set(labels)):
        if name.lower() in _ABSENT:
            notes.append(
                f"{name!r} is a label like all others (rows: {labels.count(name):,}); leave them "
                f"out if it stands for a missing one"
            )
    return notes


def _parts(table: TextTable, column: str) -> list[str]:
    """The part that each row says it belongs to."""
    table.require(column, "--split-column")
    parts = []
    for row, value in enumerate(table.strings(column)):
        if value.lower() not in PART_NAMES:
            raise DataError(
                f"{table.place(row)}: column {column!r} must say {', '.join(PARTS)}, got {value!r}"
            )
        parts.append(PART_NAMES[value.lower()])
    return parts


def _find(
    table: TextTable, wanted: str, usual: tuple[str, ...], what: str, required: bool,
    taken: Sequence[str] = (),
) -> str | None:  # fmt: skip
    """The column that holds the `what`: the one asked for, or one with a usual name, or the only
    one that is not taken. Numbers of rows are none of them."""
    if wanted and required:
        table.require(wanted, f"--{what}-column")
    if wanted in table.columns:
        return wanted
    free = [
        column
        for column in table.columns
        if column not in taken and not is_unnamed(column) and not _only_counts(table, column, usual)
    ]
    lower = {column.lower(): column for column in reversed(free)}
    found = next((lower[name] for name in usual if name in lower and not wanted), None)
    if found is None and what == "text" and len(free) == 1:
        found = free[0]
    if found in table.repeated:
        raise ArgumentError(
            f"{table.name} has several columns named {found!r}: say with --{what}-column which one "
            f"holds the {what}; they are called {found}, {found}.1 and so on"
        )
    if found is None and required:
        raise _unclear(table, what)
    return found


def _refuse_data_as_names(
    table: TextTable, settings: ClassifySettings, label: str, text: str
) -> None:
    """Raise if the first line is an example and names no columns: nobody named the columns, and
    what would be the name of the labels is one of the labels."""
    named = settings.label_column or settings.text_column or text.lower() in TEXT_NAMES
    if named or not table.header or label not in table.frame[label]:
        return
    numbers = [table.columns.index(column) + 1 for column in (label, text)]
    raise DataError(
        f"{table.name}: the first line should name the columns, but {label!r} is one of the "
        f"labels, too, so it seems to be an example; give --no-header --label-column {numbers[0]} "
        f"--text-column {numbers[1]}, or --label-column {label} if it does name them"
    )


def _refuse_header_again(table: TextTable, label: str, text: str) -> None:
    """Raise if a row holds the names of the columns: two files were put behind each other."""
    if not table.header:
        return
    pair = table.frame.select(text, label)
    again = ((pair[label] == label) & (pair[text] == text)).fill_null(False).arg_true()
    if len(again):
        raise DataError(
            f"{table.place(int(again[0]))}: expected an example, got the names of the columns "
            f"again ({text}, {label}), as in files that were put behind each other; remove the line"
        )


def _only_counts(table: TextTable, column: str, usual: tuple[str, ...]) -> bool:
    """Whether a column tells no more than the number of the row. One that is called text or label
    is that; `X` is what R calls a column that had no name."""
    return column.lower() not in usual[:-1] and numbers_rows(table.frame[column])


def _unclear(table: TextTable, what: str) -> ArgumentError:
    if len(table.columns) == 1:
        return ArgumentError(
            f"{table.name} has one column, {table.columns[0]}: expected one of texts and one of "
            f"labels, with a comma, semicolon, tab or vertical bar between them"
        )
    headless = ", and with --no-header if the first line names no columns" if table.header else ""
    if table.header and table.columns[0].startswith("#"):
        headless = ", or remove the first line if it is a comment"
    return ArgumentError(
        f"{table.name} has columns {listing(table.columns)}: say with --{what}-column which one "
        f"holds the {what}{headless}"
    )

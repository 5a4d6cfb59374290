"""Labelled text in tables: CSV, TSV and JSON lines, read by Polars."""

import csv
import io
import json
from typing import TYPE_CHECKING

from elman.errors import ArgumentError, DataError
from elman.tasks.classify.examples import PARTS, Examples
from elman.tasks.classify.settings import ClassifySettings

if TYPE_CHECKING:
    import polars as pl

LABEL_NAMES = ("label", "class", "category", "target", "y")
TEXT_NAMES = ("text", "name", "string", "sentence", "message", "example", "x")
_PART_NAMES = {
    "train": "train", "training": "train",
    "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid",
    "test": "test", "testing": "test",
}  # fmt: skip


def parse_table(
    content: str, name: str, data_format: str, settings: ClassifySettings, labelled: bool = True
) -> Examples:
    """The examples of a table. labelled: whether it must have a column of labels.

    Raises:
        DataError: rows that can't be read, with their line numbers; empty labels.
        ArgumentError: a column that does not exist; names those that do.
    """
    if not content.strip():
        raise DataError(f"{name} is empty; a table with a row for each example was expected")
    if data_format == "jsonl":
        frame = _json_lines(content, name)
    else:
        frame = _separated(content, name, data_format, settings.header)
    label = _find(frame.columns, settings.label_column, LABEL_NAMES, "label", name, labelled)
    text = _find(
        [c for c in frame.columns if c != label], settings.text_column, TEXT_NAMES, "text", name
    )
    if settings.split_column and settings.split_column not in frame.columns and labelled:
        raise _no_column(settings.split_column, "--split-column", frame.columns, name)
    texts = [(value or "").strip() for value in frame[text].to_list()]
    labels = [""] * len(texts)
    if label is not None:
        labels = [(value or "").strip() for value in frame[label].to_list()]
        if "" in labels:
            raise DataError(
                f"{name}, row {labels.index('') + 1}: the label (column {label!r}) is empty; fill "
                f"it in, or leave the row out"
            )
    parts = None
    if settings.split_column and labelled:
        parts = [
            _part(value, number, settings.split_column, name)
            for number, value in enumerate(frame[settings.split_column].to_list(), 1)
        ]
    return Examples(texts, labels, parts)


def _separated(content: str, name: str, data_format: str, header: bool) -> "pl.DataFrame":
    import polars as pl

    separator, quote = (",", '"') if data_format == "csv" else ("\t", None)
    try:
        frame = pl.read_csv(
            io.BytesIO(content.encode("utf-8")), separator=separator, quote_char=quote,
            has_header=header, infer_schema=False,
        )  # fmt: skip
    except pl.exceptions.PolarsError as error:
        _raise_ragged(content, name, separator, quote)
        raise DataError(f"{name} can't be read as {data_format}: {_one_line(error)}") from None
    if not header:
        frame.columns = [str(number) for number in range(1, frame.width + 1)]
    # A row that is too short is filled with nulls; a wrong number of fields is no data.
    if frame.null_count().sum_horizontal().item():
        _raise_ragged(content, name, separator, quote)
    if not frame.height:
        raise DataError(f"{name} has a header but no rows; one row for each example was expected")
    return frame


def _raise_ragged(content: str, name: str, separator: str, quote: str | None) -> None:
    """Raise if a line has another number of fields than the first one."""
    quoting = csv.QUOTE_NONE if quote is None else csv.QUOTE_MINIMAL
    reader = csv.reader(io.StringIO(content), delimiter=separator, quoting=quoting)
    wanted = None
    for fields in reader:
        if not fields:
            continue
        wanted = wanted or len(fields)
        if len(fields) != wanted:
            raise DataError(
                f"{name}, line {reader.line_num}: expected {wanted} fields as in the first line, "
                f"got {len(fields)}; quote fields that hold the separator, or leave the line out"
            )


def _json_lines(content: str, name: str) -> "pl.DataFrame":
    import polars as pl

    rows = []
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{name}, line {number}: expected JSON, got {error}") from None
        if not isinstance(row, dict):
            raise DataError(
                f"{name}, line {number}: expected a JSON object such as "
                f'{{"text": "...", "label": "..."}}, got {type(row).__name__}'
            )
        rows.append({key: _as_text(value) for key, value in row.items()})
    return pl.from_dicts(rows, infer_schema_length=None)


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _find(
    columns: list[str], wanted: str, usual: tuple[str, ...], what: str, name: str,
    required: bool = True,
) -> str | None:  # fmt: skip
    """The column that holds the `what`: the one asked for, or one with a usual name, or the only
    one there is."""
    if wanted:
        if wanted in columns:
            return wanted
        if not required:
            return None
        raise _no_column(wanted, f"--{what}-column", columns, name)
    lower = {column.lower(): column for column in reversed(columns)}
    for usual_name in usual:
        if usual_name in lower:
            return lower[usual_name]
    if not required:
        return None
    if what == "text" and len(columns) == 1:
        return columns[0]
    raise ArgumentError(
        f"{name} has columns {', '.join(columns)}: say with --{what}-column which one holds the "
        f"{what}"
    )


def _no_column(wanted: str, flag: str, columns: list[str], name: str) -> ArgumentError:
    return ArgumentError(
        f"{name} has no column {wanted!r} ({flag}); it has {', '.join(columns) or 'none'}"
    )


def _part(value: str | None, row: int, column: str, name: str) -> str:
    part = _PART_NAMES.get((value or "").strip().lower())
    if part is None:
        raise DataError(
            f"{name}, row {row}: column {column!r} must say {', '.join(PARTS)}, got {value!r}"
        )
    return part


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

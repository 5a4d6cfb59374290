"""Labelled text in tables: CSV, TSV and JSON lines, read by Polars."""

import csv
import io
import json
from typing import TYPE_CHECKING

from elman.errors import ArgumentError, DataError
from elman.tasks.classify.examples import PARTS, Examples, lines_of
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
    columns = frame.columns
    label = _find(columns, settings.label_column, LABEL_NAMES, "label", name, labelled)
    text = _find(columns, settings.text_column, TEXT_NAMES, "text", name, True, taken=label)
    texts = _strings(frame, text)
    labels = _strings(frame, label)
    if labelled and "" in labels:
        raise DataError(
            f"{name}, row {labels.index('') + 1}: the label (column {label!r}) is empty; fill it "
            f"in, or leave the row out"
        )
    parts = _parts(frame, settings.split_column, name) if settings.split_column else None
    return Examples(list(texts), labels, parts)


def _strings(frame: "pl.DataFrame", column: str | None) -> list[str]:
    """The values of a column, stripped; empty ones if there is no such column."""
    if column is None:
        return [""] * frame.height
    return [(value or "").strip() for value in frame[column].to_list()]


def _parts(frame: "pl.DataFrame", column: str, name: str) -> list[str]:
    """The part that each row says it belongs to."""
    if column not in frame.columns:
        raise _no_column(column, "--split-column", frame.columns, name)
    parts = []
    for row, value in enumerate(_strings(frame, column), 1):
        if value.lower() not in _PART_NAMES:
            raise DataError(
                f"{name}, row {row}: column {column!r} must say {', '.join(PARTS)}, got {value!r}"
            )
        parts.append(_PART_NAMES[value.lower()])
    return parts


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
    lines = io.StringIO(content, newline="")
    if quote is None:
        reader = csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(lines, delimiter=separator, quotechar=quote)
    try:
        rows = [(reader.line_num, fields) for fields in reader if fields]
    except csv.Error as error:
        raise DataError(f"{name}, line {reader.line_num} can't be read: {error}") from None
    wanted = len(rows[0][1])
    for line, fields in rows:
        if len(fields) != wanted:
            raise DataError(
                f"{name}, line {line}: expected {wanted} fields as in the first line, "
                f"got {len(fields)}; quote fields that hold the separator, or leave the line out"
            )


def _json_lines(content: str, name: str) -> "pl.DataFrame":
    import polars as pl

    rows = []
    for number, line in enumerate(lines_of(content), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{name}, line {number}: expected JSON, got {error}") from None
        if not isinstance(row, dict):
            raise DataError(
                f"{name}, line {number}: expected a JSON object such as "
                f'{{"text": "...", "label": "..."}}, got {type(row).__name__}'
            )
        rows.append({str(_as_text(key)): _as_text(value) for key, value in row.items()})
    return pl.from_dicts(rows, infer_schema_length=None)


def _as_text(value: object) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", errors="replace").decode("utf-8")  # JSON may hold half a character


def _find(
    columns: list[str], wanted: str, usual: tuple[str, ...], what: str, name: str, required: bool,
    taken: str | None = None,
) -> str | None:  # fmt: skip
    """The column that holds the `what`: the one asked for, or one with a usual name, or the only
    one that is not taken."""
    if wanted in columns:
        return wanted
    if wanted and required:
        raise _no_column(wanted, f"--{what}-column", columns, name)
    free = [column for column in columns if column != taken]
    lower = {column.lower(): column for column in reversed(free)}
    for usual_name in usual if not wanted else ():
        if usual_name in lower:
            return lower[usual_name]
    if not required:
        return None
    if what == "text" and len(free) == 1:
        return free[0]
    raise ArgumentError(
        f"{name} has columns {', '.join(columns)}: say with --{what}-column which one holds the "
        f"{what}"
    )


def _no_column(wanted: str, flag: str, columns: list[str], name: str) -> ArgumentError:
    return ArgumentError(
        f"{name} has no column {wanted!r} ({flag}); it has {', '.join(columns) or 'none'}"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

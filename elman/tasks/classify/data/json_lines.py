"""JSON lines: an object a line, with its keys in place of the columns of a table."""

import json
from typing import Any

from elman.errors import DataError
from elman.tasks.shared.text import lines_of


class JsonLines:
    """Values of all lines, as text; numbers as they are written, None where there is none.

    nested: for a key whose value is a list or an object somewhere, the first line where it is.
    notes: what the user should know about how they were read.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, str | None]] = []
        self.lines: list[int] = []
        self.nested: dict[str, int] = {}
        self.notes: list[str] = []


def parse_json_lines(content: str, name: str) -> JsonLines:
    """Read JSON lines. Blank lines are left out.

    Raises:
        DataError: no object, or a key that stands twice in one, with the line.
    """
    found, halves = JsonLines(), 0
    for number, line in enumerate(lines_of(content), 1):
        if not line.strip():
            continue
        row = _object(line, f"{name}, line {number}", content if number == 1 else "")
        texts = {}
        for key, value in row.items():
            if isinstance(value, list | dict):
                found.nested.setdefault(key, number)
                value = json.loads(line)[key]  # in which numbers are no strings
            text = _as_text(value)
            texts[_whole(key)] = None if text is None else _whole(text)
            halves += text is not None and texts[_whole(key)] != text
        found.rows.append(texts)
        found.lines.append(number)
    if halves:
        found.notes.append(
            f"values with halves of characters, which were replaced by �: {halves:,}"
        )
    return found


def _object(line: str, place: str, content: str) -> dict[str, Any]:
    """The object of a line. content: the whole file, for its first line."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(found)
        if len(row) < len(found):
            keys = [key for key, _ in found]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise DataError(f"{place}: key {twice!r} stands there twice; keep one of them")
        return row

    try:
        row = json.loads(
            line, object_pairs_hook=pairs, parse_int=str, parse_float=str, parse_constant=_constant
        )
    except (ValueError, RecursionError) as error:
        if (advice := _whole_document(content)) is not None:
            raise DataError(f"{place}: {advice}") from None
        raise DataError(f"{place}: expected JSON, got {error}; write one object a line") from None
    if isinstance(row, dict):
        return row
    if (advice := _whole_document(content)) is not None:
        raise DataError(f"{place}: {advice}")
    raise DataError(
        f'{place}: expected a JSON object such as {{"text": "...", "label": "..."}}, '
        f"got {type(row).__name__}"
    )


def _whole_document(content: str) -> str | None:
    """What to do with a file that is one list of objects, or one object over many lines."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    listed = isinstance(document, list) and document and isinstance(document[0], dict)
    if not (listed or isinstance(document, dict)):
        return None
    return (
        f"expected an object on each line, got one JSON document; write one object a line, as "
        f"jq -c '{'.[]' if listed else '.'}' does, or to_json(PATH, orient='records', lines=True) "
        f"of pandas"
    )


def _constant(name: str) -> str | None:
    """NaN, which is no JSON but written by Python for a missing value."""
    return None if name == "NaN" else name


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _whole(text: str) -> str:
    """JSON may hold half a character, which no file of text can."""
    return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)

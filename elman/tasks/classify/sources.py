"""Finding and reading labelled examples: folders, tables, signal files, standard input."""

import sys
import unicodedata
from pathlib import Path

from elman.errors import ArgumentError, DataError
from elman.tasks.classify import builtin
from elman.tasks.classify.examples import Examples, cleaned, joined, lines_of
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.classify.signals import parse_ts
from elman.tasks.classify.tables import parse_table

_SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".ts": "ts"}


def names(data: list[str]) -> list[str]:
    """What a run records about where its data came from. For information only, never opened."""
    return list(data) if data else [builtin.NAME]


def read(data: list[str], settings: ClassifySettings) -> Examples:
    """All labelled examples, stripped, without repeats, those of each part marked if the user
    divided them.

    Raises:
        DataError, ArgumentError: see `read_source`.
    """
    whole = _read_all(data, settings)
    own = {
        part: cleaned(read_source(path, settings))
        for part, path in (("valid", settings.valid_data), ("test", settings.test_data))
        if path
    }
    if own and whole.parts is not None:
        raise ArgumentError(
            "give --split-column, or --test-data and --valid-data, but not both: each says which "
            "part an example belongs to"
        )
    found = cleaned(whole)
    return joined({"train": found, **own}) if own else found


def _read_all(data: list[str], settings: ClassifySettings) -> Examples:
    if not data:
        return builtin.country_and_language_names()
    if len(data) > 1:
        raise ArgumentError(
            f"a classifier learns from one file or folder, got {len(data)}; give the test part "
            f"with --test-data and the validation part with --valid-data"
        )
    return read_source(data[0], settings)


def read_source(source: str, settings: ClassifySettings, labelled: bool = True) -> Examples:
    """The examples of one file or folder, or of standard input ("-"), in their order.

    labelled: every example must have a label; otherwise a label is read where there is one, and a
    plain text file is taken as one example a line.

    Raises:
        DataError: missing, unreadable or without examples; lines that can't be read, by number.
        ArgumentError: a column that does not exist, an unknown encoding.
    """
    kind = _format_of(source, settings, labelled)
    if kind == "folder":
        examples = _folder(Path(source), settings)
    else:
        content = _text_of(source, settings.encoding)
        label = _label_of(source)
        if kind == "ts":
            examples = parse_ts(content, label, labelled)
        elif kind == "lines":
            lines = [line.strip() for line in lines_of(content)]
            examples = Examples(list(lines), [""] * len(lines))
        else:
            examples = parse_table(content, label, kind, settings, labelled)
    if not examples.channels:
        examples.items = [prepared(str(item), settings.ascii) for item in examples.items]
    return examples


def prepared(text: str, ascii_only: bool) -> str:
    """The text as the model reads it: stripped, in composed form (NFC), or plain ASCII."""
    if not ascii_only:
        return unicodedata.normalize("NFC", text.strip())
    plain = unicodedata.normalize("NFD", text.strip())
    return "".join(c for c in plain if unicodedata.category(c) != "Mn" and ord(c) < 128).strip()


def _format_of(source: str, settings: ClassifySettings, labelled: bool) -> str:
    if source != "-" and not Path(source).exists():
        raise DataError(f"no file or folder {source}; give a path that exists")
    if source != "-" and Path(source).is_dir():
        return "folder"
    if settings.data_format == "folder":
        raise DataError(f"{source} is no folder, but --data-format folder expects one")
    if settings.data_format != "auto":
        return settings.data_format
    found = _SUFFIXES.get(Path(source).suffix.lower())
    if found is not None:
        return found
    if not labelled:
        return "lines"
    raise DataError(
        f"can't tell the format of {_label_of(source)} by its name; say --data-format csv, tsv, "
        f"jsonl or ts, or give a folder of LABEL.txt files"
    )


def _folder(folder: Path, settings: ClassifySettings) -> Examples:
    """`LABEL.txt` files with one example a line."""
    files = sorted(p for p in folder.glob("*.txt") if p.is_file() and not p.name.startswith("."))
    if not files:
        raise DataError(
            f"folder {folder} holds no file LABEL.txt; expected one for each label, with one "
            f"example a line"
        )
    if len(files) == 1:
        raise DataError(
            f"folder {folder} holds one label only, {files[0].stem!r}; a classifier needs at least "
            f"two files LABEL.txt"
        )
    items: list[str] = []
    labels: list[str] = []
    for file in files:
        lines = [line.strip() for line in lines_of(_text_of(str(file), settings.encoding))]
        lines = [line for line in lines if line]
        if not lines:
            raise DataError(f"{file} is empty; put one example on each line, or remove it")
        items += lines
        labels += [unicodedata.normalize("NFC", file.stem)] * len(lines)
    return Examples(list(items), labels)


def _text_of(source: str, encoding: str) -> str:
    """The decoded content of a file, without a byte-order mark."""
    try:
        content = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise DataError(f"can't read {_label_of(source)}: {error.strerror}") from None
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        raise ArgumentError(
            f"encoding must be one that Python knows, such as utf-8 or latin-1, got {encoding!r}"
        ) from None
    except UnicodeError as error:
        place = f"byte {error.start} is not" if isinstance(error, UnicodeDecodeError) else "is not"
        reason = getattr(error, "reason", error)
        raise DataError(
            f"{_label_of(source)} must be {encoding} text, but {place} ({reason}); say what it is "
            f"with --encoding, for example --encoding latin-1"
        ) from None
    if "\0" in text:
        raise DataError(
            f"{_label_of(source)} must be text, but holds a zero byte, as binary files do"
        )
    return text


def _label_of(source: str) -> str:
    return "standard input" if source == "-" else source

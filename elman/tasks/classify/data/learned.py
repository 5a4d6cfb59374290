"""What a run's data was, so that unlabelled data whose name tells no format can be read alike."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elman.tasks.classify.data.dataset import Catalogue
from elman.tasks.classify.data.inputs import names_in
from elman.tasks.classify.data.lines import FORMATS, is_fasttext, labels_stand
from elman.tasks.classify.data.tables import LABEL_NAMES, TEXT_NAMES
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.shared.separated import first_rows
from elman.tasks.shared.text import lines_of

SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".ts": "ts"}
USUAL = {"csv": ",", "tsv": "\t"}  # separators
_TABLES = {"csv": "CSV", "tsv": "TSV", "jsonl": "JSON lines", "parquet": "a Parquet table"}
_SAMPLE = 100  # rows that tell whether they are some


@dataclass(frozen=True)
class Learned:
    """format: csv, tsv, jsonl, parquet, ts, folder, documents, one of labelled lines, or "" for no
    file. columns: that held the texts
    of a table. labels: that the run knows. rows: the user has said how rows are read."""

    format: str = ""
    columns: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    rows: bool = False

    @classmethod
    def of(
        cls, data: Mapping[str, Any], settings: ClassifySettings, catalogue: Catalogue
    ) -> "Learned":
        """From the [data] table of a run, in which early runs tell no more than the file's name."""
        found, columns = data.get("format"), data.get("text_columns")
        if catalogue.channels:
            found = "ts"
        elif not isinstance(found, str) and settings.data_format != "auto":
            found = settings.data_format
        elif not isinstance(found, str):
            names = data.get("sources")
            first = names[0] if isinstance(names, list) and names else ""
            found = SUFFIXES.get(Path(str(first)).suffix.lower(), "")
        named = map(str, columns) if isinstance(columns, list) else names_in(settings.text_column)
        return cls(found, tuple(named), catalogue.target.labels)

    def format_of(self, content: str, settings: ClassifySettings) -> tuple[str, list[str]]:
        """How to read a text: as the run's data if it looks like that, else "lines", one example
        each; and what the user should know about it."""
        if self.format == "ts":
            return "ts", []
        if self.format in FORMATS and (found := self._labelled_lines(content)):
            return found, []
        if self.format == "documents":
            return "lines", [
                "each line is taken as one text, though the run learned from whole files; give a "
                "folder to read each file in it as one"
            ]
        usual = self.format if self.format in USUAL else "csv"
        if self.format in _TABLES or self.rows:
            columns = names_in(settings.text_column, self.columns) or self.columns
            if _is_object(content, columns):
                return "jsonl", ["read as JSON lines, by the first line"]
            if self.rows or self._are_rows(content, columns, USUAL[usual], settings):
                seen = "as options tell of columns" if self.rows else "by the first lines"
                return usual, [f"read as a table, {seen}"]
        if self.format not in _TABLES:
            return "lines", []
        option = "jsonl" if self.format == "jsonl" else usual
        return "lines", [
            f"each line is taken as one text, though the run learned from {_TABLES[self.format]}; "
            f"give --data-format {option} to read rows"
        ]

    def format_with_labels(
        self, content: str, settings: ClassifySettings
    ) -> tuple[str, list[str]] | None:
        """How to read a text in which each example has a label, and what the user should know about
        it; None if that is not clear."""
        if is_fasttext(content):
            return "fasttext", []
        if self.rows or settings.label_column or settings.text_column or not settings.header:
            if _is_object(content, names_in(settings.text_column)):
                return "jsonl", ["read as JSON lines, by the first line"]
            return "csv", ["read as a table, as options tell of columns"]
        first = next((line for line in lines_of(content) if line.strip()), "").lstrip()
        if first.startswith("@"):
            return "ts", ["read as a .ts file, by the first line"]
        if _is_object(content):
            return "jsonl", ["read as JSON lines, by the first line"]
        names = [name.strip().lower() for row in first_rows(content, ",", 1) for name in row]
        if not {*LABEL_NAMES}.isdisjoint(names) and not {*TEXT_NAMES}.isdisjoint(names):
            return "csv", ["read as a table, by the first line"]
        learned = self.format if self.format in ("label-text", "text-label") else None
        found = self._labelled_lines(content) or labels_stand(content) or learned
        return None if found is None else (found, [])

    def _labelled_lines(self, content: str) -> str | None:
        """By labels that the run knows."""
        if is_fasttext(content):
            return "fasttext"
        return labels_stand(content, self.labels) if self.labels else None

    def _are_rows(
        self, content: str, columns: Sequence[str], separator: str, settings: ClassifySettings
    ) -> bool:
        """Whether a text begins like a table with the columns of texts: by its name or, without a
        header, by labels beside it that the run knows."""
        rows = first_rows(content, separator, _SAMPLE)
        if settings.header or not rows:
            named = [" ".join(name.split()) for row in rows[:1] for name in row]
            return bool(columns) and {*columns} <= {*named}
        label = settings.label_column
        if not (columns and all(map(str.isdecimal, (*columns, label)))):
            return False
        texts, labels = max(map(int, columns)) - 1, int(label) - 1
        known = [
            row[labels].strip() in self.labels for row in rows if len(row) > max(texts, labels)
        ]
        return sum(known) > len(rows) / 2


UNKNOWN = Learned()


def _is_object(content: str, columns: Sequence[str] = ()) -> bool:
    """Whether the first line is an object, with the columns among its keys."""
    first = next((line for line in lines_of(content) if line.strip()), "")
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and {*columns} <= row.keys()

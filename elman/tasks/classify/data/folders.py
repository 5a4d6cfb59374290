"""Folders of `LABEL.txt` files with one example a line."""

import unicodedata
from pathlib import Path

from elman.errors import DataError
from elman.tasks.classify.data.examples import PARTS, Examples
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.shared.table import listing
from elman.tasks.shared.text import lines_of, read_text

_ABOUT = ("readme", "license", "licence", "copying")
"""Files, in lower case, that speak about the data."""


def read_folder(folder: Path, settings: ClassifySettings) -> Examples:
    """The examples of a folder. What is no `LABEL.txt` is left out and named in the notes; hidden
    files are left out.

    Raises:
        DataError: fewer than two labels, an empty file, a link that leads nowhere, files that name
            parts and not labels.
    """
    there = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    named = [path for path in there if _names_label(path)]
    files = [path for path in named if path.is_file()]
    if lost := [path.name for path in named if path.is_symlink() and not path.exists()]:
        raise DataError(
            f"folder {folder} holds links that lead nowhere: {listing(lost)}; restore what they "
            f"name, or remove them"
        )
    left = [f"{path.name}{'/' if path.is_dir() else ''}" for path in there if path not in files]
    found = f"; it holds {listing(left)}" if left else ""
    if not files:
        raise DataError(
            f"folder {folder} holds no file LABEL.txt; expected one for each label, with one "
            f"example a line{found}"
        )
    if len(files) == 1:
        raise DataError(
            f"folder {folder} holds one label only, {files[0].stem!r}; a classifier needs at least "
            f"two files LABEL.txt{found}"
        )
    if all(file.stem.lower() in (*PARTS, "dev", "val") for file in files):
        raise DataError(
            f"folder {folder} holds {listing([file.name for file in files])}, which name parts of "
            f"the data and not labels; give one of them as DATA, and others with --valid-data and "
            f"--test-data"
        )
    items: list[str] = []
    labels: list[str] = []
    places: list[str] = []
    rows: list[int] = []
    for file in files:
        text = "".join(read_text(str(file), settings.encoding))
        lines = [line.strip() for line in lines_of(text)]
        if not any(lines):
            raise DataError(f"{file} is empty; put one example on each line, or remove it")
        items += lines
        labels += [unicodedata.normalize("NFC", file.stem.strip())] * len(lines)
        places += [str(file)] * len(lines)
        rows += range(1, len(lines) + 1)
    notes = [f"not taken for labels in {folder}: {listing(left)}"] if left else []
    return Examples(list(items), labels, notes=notes, files=places, rows=rows)


def _names_label(path: Path) -> bool:
    return (
        path.suffix.lower() == ".txt"
        and path.stem.strip() != ""
        and path.stem.lower() not in _ABOUT
    )

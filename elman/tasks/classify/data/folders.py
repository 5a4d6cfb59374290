"""Folders of examples: a file or a folder for each label, or for each part."""

import unicodedata
from collections.abc import Callable
from pathlib import Path

from elman.errors import ArgumentError, DataError
from elman.tasks.classify.data.examples import PARTS, Examples, joined
from elman.tasks.classify.data.shapes import (
    TABLES,
    Entries,
    LabelFile,
    documents,
    label_files,
    label_folders,
    part_in,
    parts_of,
)
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.shared.table import listing
from elman.tasks.shared.text import lines_of, read_text

DOCUMENTS = "documents"
"""The format of a folder for each label, in which each file is an example."""


def read_folder(
    folder: Path, settings: ClassifySettings, read: Callable[[str], Examples], bare: bool = False
) -> Examples:
    """The examples of a folder. What is left out is named in the notes; hidden files are not.

    read: reads the file or folder of a part. bare: files beside each other are examples without
    labels.

    Raises:
        DataError: fewer than two labels, an empty file, a link that leads nowhere, names that can
            be understood in more than one way.
    """
    entries = Entries.of(folder)
    if parts := parts_of(entries):
        return _read_parts(entries, parts, read)
    folders = label_folders(entries)
    if bare and not folders:
        return _read_documents(entries, {"": folder}, settings)
    files = label_files(entries)
    if len(folders) > 1 and (len(files) < 2 or _belong(files, folders)):
        return _read_documents(entries, folders, settings)
    if len(folders) > 1:
        raise DataError(
            f"folder {folder} holds files LABEL.txt ({listing([f.path.name for f in files])}) and "
            f"folders ({listing(list(folders))}), and both may be labels; put one of them elsewhere"
        )
    _require_labels(entries, files, folders)
    return _read_label_files(entries, files, settings)


def _belong(files: list[LabelFile], folders: dict[str, Path]) -> bool:
    """Whether each file speaks of one of the folders, as urls_pos.txt does beside pos/."""
    return all(any(file.path.stem.endswith(name) for name in folders) for file in files)


def _require_labels(entries: Entries, files: list[LabelFile], folders: dict[str, Path]) -> None:
    used = [file.path for file in files]
    rest = entries.besides(used)
    found = f"; it holds {rest}" if rest else ""
    labels = sorted({file.label for file in files})
    tables = [path for path in entries.files if path.suffix.lower() in TABLES]
    if len(tables) == 1 and len(labels) < 2:
        raise DataError(
            f"folder {entries.folder} holds one table, {tables[0].name}, and no files LABEL.txt; "
            f"give the table itself, {tables[0]}"
        )
    if not files and len(folders) < 2:
        raise DataError(
            f"folder {entries.folder} holds no file LABEL.txt; expected one for each label, with "
            f"one example a line, or a folder for each label, with one example a file{found}"
        )
    if all(part_in(label)[0] and not part_in(label)[1] for label in labels):
        raise DataError(
            f"folder {entries.folder} holds {listing([path.name for path in used])}, which name "
            f"parts of the data and not labels; give one of them as DATA, and others with "
            f"--valid-data and --test-data"
        )
    if len(labels) == 1:
        raise DataError(
            f"folder {entries.folder} holds one label only, {labels[0]!r}; a classifier needs at "
            f"least two files LABEL.txt{found}"
        )


def _read_label_files(
    entries: Entries, files: list[LabelFile], settings: ClassifySettings
) -> Examples:
    """Files with one example a line."""
    found = Examples([], [], format="folder")
    parts: list[str] = []
    for file in files:
        text = "".join(read_text(str(file.path), settings.encoding))
        lines = [line.strip() for line in lines_of(text)]
        if not any(lines):
            raise DataError(f"{file.path} is empty; put one example on each line, or remove it")
        found.items += lines
        found.labels += [unicodedata.normalize("NFC", file.label)] * len(lines)
        found.files += [str(file.path)] * len(lines)
        found.rows += range(1, len(lines) + 1)
        parts += [file.part] * len(lines)
    if left := entries.besides([file.path for file in files]):
        found.notes.append(f"not taken for labels in {entries.folder}: {left}")
    if all(file.part for file in files):
        found.parts = parts
        found.notes.append(f"parts are taken from the names of files, as in {files[0].path.name}")
    if any(file.path.suffix.lower() != ".txt" for file in files):
        labels = listing(sorted({file.label for file in files}))
        found.notes.append(f"labels are taken from the ends of names: {labels}")
    return found


def _read_documents(
    entries: Entries, folders: dict[str, Path], settings: ClassifySettings
) -> Examples:
    """Folders with one example a file."""
    found = Examples([], [], format=DOCUMENTS)
    for label, folder in folders.items():
        paths = documents(folder)
        found.items += ["".join(read_text(str(path), settings.encoding)) for path in paths]
        found.labels += [unicodedata.normalize("NFC", label)] * len(paths)
        found.files += map(str, paths)
        found.rows += [1] * len(paths)
    counts = [f"{label} {found.labels.count(unicodedata.normalize('NFC', label)):,}"
              for label in folders]  # fmt: skip
    of = "each file is one example"
    found.notes.append(f"{of}, with its folder as label: {listing(counts)}" if counts[1:] else of)
    if counts[1:] and (left := entries.besides(list(folders.values()))):
        found.notes.append(f"not taken for labels in {entries.folder}: {left}")
    return found


def _read_parts(
    entries: Entries, parts: dict[str, Path], read: Callable[[str], Examples]
) -> Examples:
    """A file or folder for each part, the training part first."""
    order = [name for name in PARTS if name in parts]
    found: dict[str, Examples] = {}
    for name in order:
        try:
            found[name] = read(str(parts[name]))
        except ArgumentError as error:
            raise ArgumentError(
                f"{error}; or give {parts['train']} alone as DATA if {parts[name].name} is no "
                f"labelled {name} part"
            ) from None
        if found[name].parts is not None:
            raise DataError(
                f"{parts[name]} holds parts of its own, inside of the {name} part; give the folder "
                f"that holds all of them as DATA"
            )
    whole = joined(found)
    common = [n for n in found["train"].notes if all(n in one.notes for one in found.values())]
    own = [f"{note} ({name})" for name in order for note in found[name].notes if note not in common]
    whole.notes = [*common, *own]
    named = ", ".join(f"{parts[name].name} ({name})" for name in order)
    whole.notes.insert(0, f"parts are taken from the names in {entries.folder}: {named}")
    if left := entries.besides(list(parts.values())):
        whole.notes.insert(1, f"not used in {entries.folder}: {left}")
    return whole

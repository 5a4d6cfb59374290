"""What the names in a folder of data tell: parts, labels, or neither."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from elman.errors import DataError
from elman.tasks.classify.data.examples import PART_NAMES
from elman.tasks.shared.table import listing

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".ts")
_DATA = (".ts", ".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".txt", "")  # the first is taken
_NO_LABEL = (*_DATA, ".md", ".json", ".html", ".pdf", ".zip", ".gz", ".arff", ".feat", ".vocab")
_ABOUT = ("readme", "license", "licence", "copying")
"""In names, in lower case, of files that speak about the data."""
_UNLABELLED = ("unsup", "unlabeled", "unlabelled", "unlab", "unsupervised")


@dataclass(frozen=True)
class Entries:
    """What a folder holds: files, folders, and what is neither or speaks about the data; without
    what is hidden."""

    folder: Path
    files: list[Path]
    folders: list[Path]
    about: list[Path]

    @classmethod
    def of(cls, folder: Path) -> "Entries":
        """Raises DataError for a link that leads nowhere."""
        there = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        about = [
            path for path in there
            if any(word in path.name.lower() for word in _ABOUT) or not path.stem.strip()
        ]  # fmt: skip
        gone = [path for path in there if path.is_symlink() and not path.exists() and path.suffix]
        if lost := [path.name for path in gone if path not in about]:
            raise DataError(
                f"folder {folder} holds links that lead nowhere: {listing(lost)}; restore what "
                f"they name, or remove them"
            )
        return cls(
            folder,
            [path for path in there if path.is_file() and path not in about],
            [path for path in there if path.is_dir() and path not in about],
            [p for p in there if p in about or not (p.is_file() or p.is_dir())],
        )

    def besides(self, used: Sequence[Path]) -> str:
        """The names of all that is not used."""
        left = sorted({*self.files, *self.folders, *self.about} - set(used))
        return listing([f"{path.name}{'/' if path.is_dir() else ''}" for path in left])


def part_in(name: str) -> tuple[str, str]:
    """The part that a name begins or ends with, and the rest; "" for none: my_train is ("train",
    "my"), and pos_train.neg or trainer are no parts."""
    pieces = [piece for piece in re.split(r"[._\s-]+", name) if piece]
    for place in (0, -1):
        if pieces and pieces[place].lower() in PART_NAMES:
            part = PART_NAMES[pieces.pop(place).lower()]
            if not any(piece.lower() in PART_NAMES for piece in pieces):
                return part, "_".join(pieces)
            break
    return "", name


def parts_of(entries: Entries) -> dict[str, Path]:
    """Folders, or else files, that hold the parts: a training part, and others beside it, with the
    same name but for the part. Empty if there are none.

    Raises:
        DataError: two for one part, or several training parts that differ in what else their names
            say.
    """
    of_folders = _parts(entries.folders, lambda path: "")
    if of_folders:
        return of_folders
    files = [path for path in entries.files if path.suffix.lower() in _DATA]
    return _parts(files, lambda path: path.suffix.lower())


def _parts(paths: list[Path], suffix_of: Callable[[Path], str]) -> dict[str, Path]:
    groups: dict[tuple[str, str], dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in paths:
        suffix = suffix_of(path)
        part, rest = part_in(path.name.removesuffix(path.suffix) if suffix else path.name)
        if part:
            groups[suffix, rest.lower()][part].append(path)
    whole = {key: parts for key, parts in groups.items() if "train" in parts and len(parts) > 1}
    if not whole:
        return {}
    first = min(_DATA.index(suffix) for suffix, _ in whole)
    found = [parts for (suffix, _), parts in whole.items() if _DATA.index(suffix) == first]
    twice = [path.name for parts in found for same in parts.values() if len(same) > 1
             for path in same]  # fmt: skip
    if len(found) > 1 and not twice and _DATA[first] == ".txt":
        return {}  # train_pos.txt beside train_neg.txt: what differs is the label
    if len(found) > 1 or twice:
        names = twice or [path.name for parts in found for path in parts["train"]]
        raise DataError(
            f"folder {paths[0].parent} holds more than one of a part: {listing(names)}; give the "
            f"training part as DATA, and others with --valid-data and --test-data"
        )
    return {part: same[0] for part, same in sorted(found[0].items())}


def label_folders(entries: Entries) -> dict[str, Path]:
    """Folders with files in them, by label; without those that say they have none."""
    return {
        path.name: path
        for path in entries.folders
        if path.name.lower() not in _UNLABELLED and any(documents(path))
    }


def documents(folder: Path) -> list[Path]:
    """The files of a folder that are not hidden."""
    return sorted(
        path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file()
    )


@dataclass(frozen=True)
class LabelFile:
    """A file with an example of its label on each line. part: "" if its name tells none."""

    path: Path
    label: str
    part: str = ""


def label_files(entries: Entries) -> list[LabelFile]:
    """Files whose names end with their labels, x.pos and x.neg, or are the labels, pos.txt and
    neg.txt; with the part where all names tell it, too. Empty if there are none."""
    ended = [path for path in entries.files if path.suffix.lower() not in _NO_LABEL]
    cut = [(*part_in(path.stem), path) for path in ended]
    if len({path.suffix for path in ended}) > 1 and len({rest for _, rest, _ in cut}) == 1:
        return [LabelFile(path, path.suffix[1:], part) for part, _, path in cut]
    named = [path for path in entries.files if path.suffix.lower() == ".txt"]
    cut = [(*part_in(path.stem), path) for path in named]
    labels = {rest for part, rest, _ in cut if part == "train"}
    if all(part and rest for part, rest, _ in cut) and len(labels) > 1:
        return [LabelFile(path, rest, part) for part, rest, path in cut]
    return [LabelFile(path, path.stem.strip()) for path in named]

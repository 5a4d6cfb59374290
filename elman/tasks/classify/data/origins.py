"""Where each example of a run came from, and what became of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from elman.errors import RunError
from elman.tasks.classify.data.examples import (
    EMPTY,
    LATER,
    PARTS,
    REPEAT,
    Cleaned,
    Examples,
)
from elman.tasks.shared.arrays import read_arrays, write_arrays
from elman.tasks.shared.csv_rows import csv_bytes

FILE = "origins.safetensors"
REASONS = ("", EMPTY, REPEAT, LATER)


@dataclass(frozen=True)
class Origins:
    """For every row of the sources, in their order, those that were left out too.

    files: their names, which nothing opens. file: `(N,)` number in `files`. row: `(N,)` number in
    the file, from 1. part: `(N,)` number in `PARTS`; without a meaning if the row was left out.
    reason: `(N,)` number in `REASONS`.
    """

    files: tuple[str, ...]
    file: np.ndarray
    row: np.ndarray
    part: np.ndarray
    reason: np.ndarray

    @classmethod
    def of(cls, examples: Examples, kept: Cleaned, part: np.ndarray) -> "Origins":
        """examples: all of them. part: of those that were kept."""
        files = tuple(dict.fromkeys(examples.files))
        number = {name: i for i, name in enumerate(files)}
        reason = np.array([REASONS.index(why) for why in kept.reasons], dtype=np.uint8)
        whole = np.zeros(len(reason), dtype=np.uint8)
        whole[reason == 0] = part
        return cls(
            files,
            np.array([number[name] for name in examples.files], dtype=np.int64),
            np.array(examples.rows, dtype=np.int64),
            whole,
            reason,
        )

    def of_part(self, name: str) -> list[tuple[str, int]]:
        """File and row of the examples of a part, in the order in which the run keeps them."""
        kept = np.flatnonzero((self.part == PARTS.index(name)) & (self.reason == 0))
        return [(self.files[self.file[i]], int(self.row[i])) for i in kept]

    def to_csv(self) -> bytes:
        """A row for every row of the sources: its part, or why it has none."""
        rows = zip(self.file, self.row, self.part, self.reason, strict=True)
        return csv_bytes(
            ("file", "row", "part", "left_out"),
            (
                (self.files[file], row, "" if reason else PARTS[part], REASONS[reason])
                for file, row, part, reason in rows
            ),
        )

    def write(self, folder: Path) -> str:
        """Write them; returns the SHA-256 of the file."""
        names = np.frombuffer(json.dumps(self.files).encode("ascii"), dtype=np.uint8)
        arrays = {
            "files": names, "file": self.file, "row": self.row, "part": self.part,
            "reason": self.reason,
        }  # fmt: skip
        return write_arrays(folder / FILE, arrays)

    @classmethod
    def read(cls, folder: Path, sha256: str, sizes: Sequence[int]) -> "Origins":
        """Read back what `write` wrote. sizes: how many examples each part has.

        Raises:
            RunError: missing, changed or damaged, or of other examples.
        """
        path = folder / FILE
        arrays = read_arrays(path, sha256, "origins")
        try:
            names = json.loads(arrays["files"].tobytes())
            file, row, part, reason = (arrays[name] for name in ("file", "row", "part", "reason"))
        except (KeyError, ValueError, RecursionError):
            raise _damaged(path) from None
        if (
            any(numbers.dtype != np.int64 for numbers in (file, row))
            or any(numbers.dtype != np.uint8 for numbers in (part, reason))
            or not (isinstance(names, list) and all(isinstance(name, str) for name in names))
            or not file.shape == row.shape == part.shape == reason.shape == (len(row),)
            or not ((file >= 0) & (file < len(names))).all()
            or not (reason < len(REASONS)).all()
            or np.bincount(part[reason == 0], minlength=len(PARTS)).tolist() != list(sizes)
        ):
            raise _damaged(path)
        return cls(tuple(names), file, row, part, reason)


def _damaged(path: Path) -> RunError:
    return RunError(f"{path} does not fit the examples; restore both, or start a new run")

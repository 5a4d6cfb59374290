"""Files of arrays in a run folder: written once, checked before they are believed."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from elman.errors import RunError


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> str:
    """Write arrays under their names; returns the file's SHA-256."""
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)
    return sha256_of(path)


def read_arrays(path: Path, sha256: str, holds: str) -> dict[str, np.ndarray]:
    """The arrays that `write_arrays` wrote.

    holds: what is in the file, for messages, such as "examples".

    Raises:
        RunError: missing, changed or damaged.
    """
    require_unchanged(path, sha256, holds)
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError(f"{path} is damaged ({error}); restore it, or start a new run") from None


def require_unchanged(path: Path, sha256: str, holds: str) -> None:
    """Raise `RunError` unless the file is there and has this SHA-256."""
    if not path.is_file():
        raise RunError(f"{path} is missing; the run can't go on without its {holds}")
    if sha256_of(path) != sha256:
        raise RunError(
            f"{path} does not hold the {holds} that the run was started with (its SHA-256 "
            f"differs); restore the file, or start a new run"
        )


def sha256_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def are_lengths(lengths: np.ndarray, count: int, rows: int, least: int) -> bool:
    """Whether `(count,)` lengths cut `rows` rows into pieces of at least `least` rows, so that
    nothing reads beyond an end."""
    return (
        lengths.shape == (count,)
        and lengths.dtype == np.int64
        and bool(((lengths >= least) & (lengths <= rows)).all())  # so that the sum can't overflow
        and int(lengths.sum()) == rows
    )

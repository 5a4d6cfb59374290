"""Writing files so that a reader, or a crash, never finds half of one."""

import os
from contextlib import suppress
from pathlib import Path

from elman.errors import RunError


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content`: a new file beside it, flushed to disk, then renamed over it."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise RunError(
            f"can't write {path}: {error.strerror}; free some space or choose another --run folder"
        ) from None


def read_bytes(path: Path) -> bytes:
    """The content of a file of a run folder, or a `RunError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"can't read {path}: {error.strerror}") from None

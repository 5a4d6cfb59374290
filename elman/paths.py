"""Data as users name it: by the paths of files, never by what the files would hold."""

import os
from collections.abc import Iterable

from elman.errors import ArgumentError


def paths_of(data: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None) -> list[str]:
    """The path or paths that were given; none for None.

    Raises:
        ArgumentError: data in memory, such as a data frame.
    """
    if data is None:
        return []
    if isinstance(data, str | os.PathLike):
        return [path_of(data)]
    if isinstance(data, dict | bytes | bytearray) or not isinstance(data, Iterable):
        raise _in_memory(data)
    if type(data).__module__.split(".")[0] in _FRAMES:
        raise _in_memory(data)
    paths = list(data)
    if not paths:
        raise ArgumentError("data must be a path or several, got none; name a file")
    for path in paths:
        if not isinstance(path, str | os.PathLike):
            raise _in_memory(data, f" of {type(path).__name__}")
    return [path_of(path) for path in paths]


def path_of(data: str | os.PathLike[str]) -> str:
    """One path.

    Raises:
        ArgumentError: data in memory, or text that is no path.
    """
    if not isinstance(data, str | os.PathLike):
        raise _in_memory(data)
    path = os.fspath(data)
    if not isinstance(path, str):
        path = os.fsdecode(path)
    if "\n" in path or "\0" in path or len(path) > _LONGEST:
        raise ArgumentError(
            f"data must be the path of a file, got a text of {len(path):,} characters; write it to "
            f"a file, and give that file's path"
        )
    return path


_FRAMES = {
    "pandas": "frame.to_csv('data.csv')",
    "polars": "frame.write_csv('data.csv')",
    "pyarrow": "pyarrow.csv.write_csv(table, 'data.csv')",
    "numpy": "numpy.savetxt('data.csv', array, delimiter=',', header='...', comments='')",
    "torch": "numpy.savetxt('data.csv', tensor.numpy(), delimiter=',', header='...', comments='')",
}
"""How the kinds of tables in memory become files, by the package that they are from."""
_LONGEST = 4096  # bytes in a path on the systems that elman runs on


def _in_memory(data: object, of: str = "") -> ArgumentError:
    kind = type(data)
    package = kind.__module__.split(".")[0]
    name = kind.__name__ if package == "builtins" else f"{package}.{kind.__name__}"
    how = f" with {_FRAMES[package]}" if package in _FRAMES else ""
    return ArgumentError(
        f"data must be the path of a file, got {name}{of}; write it to a file{how}, and give that "
        f"file's path"
    )

"""The OpenMP library that torch has loaded, for its threads."""

import ctypes
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch

_POINTER = ctypes.c_void_p


@lru_cache(maxsize=1)
def _openmp() -> ctypes.CDLL | None:
    """The GNU OpenMP library that torch has loaded."""
    bundled = sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*"))
    for name in [*map(str, bundled), "libgomp.so.1"]:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        if hasattr(library, "GOMP_parallel"):
            return library
    return None


@lru_cache(maxsize=1)
def parallel_function() -> Callable[..., None] | None:
    """`GOMP_parallel(code, data, threads, flags)`, or None."""
    library = _openmp()
    if library is None:
        return None
    function = library.GOMP_parallel
    function.argtypes = [_POINTER, _POINTER, ctypes.c_uint, ctypes.c_uint]
    function.restype = None
    return function


@lru_cache(maxsize=1)
def functions() -> dict[str, int]:
    """Addresses of what compiled code asks of OpenMP; empty without it."""
    library = _openmp()
    if library is None:
        return {}
    names = ("omp_get_thread_num", "omp_get_num_threads")
    return {name: ctypes.cast(getattr(library, name), _POINTER).value or 0 for name in names}

"""Running compiled code on the threads that torch itself uses.

After an operation torch's OpenMP threads keep spinning on their cores for a while; a pool of our
own would have to share the cores with them. So the same runtime is asked to run our workers;
without it a plain pool is the last resort.
"""

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import torch

_POINTER = ctypes.c_void_p
_WORKER = ctypes.CFUNCTYPE(None, _POINTER, ctypes.c_int64)


class Worker:
    """Compiled code `void one(void *data, int64_t thread)` and, for OpenMP, `void all(void *data)`,
    which asks the runtime for its thread number and calls `one`."""

    def __init__(self, one: int, all: int) -> None:
        self._one = _WORKER(one)
        self._all = all

    def run(self, data: int, threads: int) -> None:
        """Run on so many threads, with thread numbers from 0, and wait."""
        if threads == 1:
            self._one(data, 0)
        elif (parallel := _parallel()) is not None:
            parallel(self._all, data, threads, 0)
        else:
            futures = [_pool().submit(self._one, data, index) for index in range(1, threads)]
            self._one(data, 0)
            for future in futures:
                future.result()


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
def _parallel() -> Callable[..., None] | None:
    library = _openmp()
    if library is None:
        return None
    function = library.GOMP_parallel
    function.argtypes = [_POINTER, _POINTER, ctypes.c_uint, ctypes.c_uint]
    function.restype = None
    return function


@lru_cache(maxsize=1)
def thread_number_function() -> int:
    """Address of `int omp_get_thread_num(void)`, 0 without OpenMP."""
    library = _openmp()
    if library is None:
        return 0
    return ctypes.cast(library.omp_get_thread_num, _POINTER).value or 0


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=64, thread_name_prefix="elman")

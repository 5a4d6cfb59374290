"""Running compiled code on the threads that torch itself uses.

After an operation torch's OpenMP threads keep spinning on their cores for a while; a pool of our
own would have to share the cores with them. So the same runtime is asked to run our workers;
without it a plain pool is the last resort.
"""

import ctypes
from array import array
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import llvmlite.ir as ir

from elman.engine.llvm import openmp
from elman.engine.llvm.builder import I32, I64, POINTER, VOID, Code
from elman.engine.llvm.jit import Compiled

_POINTER = ctypes.c_void_p
_WORKER = ctypes.CFUNCTYPE(None, _POINTER, ctypes.c_int64)


def add_entry(module: ir.Module, one: ir.Function) -> None:
    """Add `void all(void *data)`, which every thread of an OpenMP team runs.

    The first word of data says into how many shares the work is cut. A team may have fewer threads
    than were asked for, so thread i of n runs the shares i, i + n, ...
    """
    if not openmp.functions():
        return
    function = ir.Function(module, ir.FunctionType(VOID, [POINTER]), "all")
    ask = ir.FunctionType(I32, [])
    number = ir.Function(module, ask, "omp_get_thread_num")
    size = ir.Function(module, ask, "omp_get_num_threads")
    code = Code(function, ir.FloatType(), 1)
    data = function.args[0]
    first, step = (code.b.sext(code.b.call(f, []), I64) for f in (number, size))
    # One more than fits, so that the loop `while i + step <= end` runs for every i < shares.
    end = code.add(code.slot(data, 0, I64), step, -1)
    code.loop(first, end, step, lambda share: code.b.call(one, [data, share]))
    code.b.ret_void()


class Worker:
    """Compiled code `void one(void *data, int64_t thread)` with the entry `all` for OpenMP."""

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled  # the code lives as long as this does
        self._one = _WORKER(compiled.address("one"))
        self._all = compiled.address("all") if openmp.functions() else 0

    def run(self, words: Sequence[int], threads: int, held: object) -> None:
        """Run the shares of an argument block, whose first word is `threads`, and wait.

        held: whatever owns the memory that the words point to.
        """
        block = array("q", words)  # several times as fast as an array of ctypes
        data, _ = block.buffer_info()
        if threads == 1:
            self._one(data, 0)
        elif (parallel := openmp.parallel_function()) is not None:
            parallel(self._all, data, threads, 0)
        else:
            # Ctrl-C may end the waiting. So each thread holds on to the memory that it works in.
            def share(index: int, held: object = (self, block, held)) -> None:
                self._one(data, index)

            futures = [_pool().submit(share, index) for index in range(1, threads)]
            share(0)
            for future in futures:
                future.result()


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=64, thread_name_prefix="elman")

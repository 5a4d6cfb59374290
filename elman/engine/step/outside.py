"""What a step asks of the world outside of its memory, and tells it: clocks, files, the screen.

A compiled loop would do so once. Python's profiler interface shows each call before it is made, in
this thread alone, so that nothing is printed, drawn or written on the way.
"""

import _io
import datetime
import os
import random
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from types import CodeType, FrameType, ModuleType
from typing import Any

import torch

from elman.engine.source import is_users, is_written_by_user, line, module_of, users_line
from elman.engine.step.names import asks_for_types
from elman.errors import UnsupportedStep

ADVICE = (
    "which a compiled loop would do only once; put what changes from step to step into the state, "
    "or keep the plain loop with backend='reference'"
)

_MODULES = frozenset((
    "time", "posix", "nt", "io", "_io", "_socket", "_ssl", "select", "_uuid", "_thread", "fcntl",
    "_posixsubprocess", "_winapi", "signal", "_signal", "readline", "syslog",
))  # fmt: skip
_BUILTINS = frozenset(("print", "input", "open", "breakpoint", "__import__"))
_HARMLESS = frozenset(("fspath", "get_ident", "allocate_lock", "RLock"))
_KINDS = (random.Random, _io._IOBase, socket.socket, torch._C.Generator)
_CLOCKS = frozenset(("now", "today", "utcnow"))
_ENVIRONMENT = frozenset(
    getattr(type(os.environ), name).__code__
    for name in ("__getitem__", "__setitem__", "__delitem__", "__iter__")
)
_SETTINGS = frozenset((
    "is_inference_mode_enabled", "is_autocast_enabled", "is_autocast_cpu_enabled",
    "is_autocast_cache_enabled", "get_autocast_dtype", "get_autocast_cpu_dtype", "get_num_threads",
    "set_num_threads", "get_num_interop_threads", "set_num_interop_threads", "is_anomaly_enabled",
    "is_anomaly_check_nan_enabled", "set_anomaly_enabled", "set_flush_denormal",
    "_get_deterministic_algorithms", "_set_deterministic_algorithms",
    "_get_deterministic_algorithms_warn_only", "_get_deterministic_fill_uninitialized_memory",
    "_get_float32_matmul_precision", "_set_float32_matmul_precision", "_set_default_dtype",
    "_set_default_tensor_type", "_get_mkldnn_enabled", "_set_mkldnn_enabled",
))  # fmt: skip
"""Of torch, as Python code meets them; libraries that ask for them choose among equal ways."""

_DONE_ONCE = frozenset(("warnings", "importlib._bootstrap", "importlib._bootstrap_external"))
"""Modules that read files and write to the screen once, however often a step runs."""


class Outside:
    """Refuses what the step does beyond its memory, and the use of what moves on when it is used.

    iterators: names of variables and attributes that hold an iterator, None for one without name.
    trusted: packages that may do what they do. In the step itself that is torch while one of its
    operations runs (`paused`), and nobody else; in the backward pass it runs all the time.
    """

    def __init__(self, iterators: Iterable[str | None], trusted: Iterable[str] = ()) -> None:
        self._iterators = frozenset(iterators)
        self._trusted = frozenset(trusted)
        self._met: set[CodeType] = set()
        self._is_paused = False
        self._refusal: UnsupportedStep | None = None

    @contextmanager
    def refused(self) -> Iterator[None]:
        if None in self._iterators:
            raise UnsupportedStep(f"the step is given an iterator or a file, {ADVICE}")
        if sys.getprofile() is not None:  # somebody measures; to take part would spoil that
            yield
            return
        sys.setprofile(self._event)
        try:
            yield
        finally:
            sys.setprofile(None)
            if self._refusal is not None:  # also if the step caught it
                raise self._refusal

    @contextmanager
    def paused(self) -> Iterator[None]:
        """For what torch does inside one of its operations."""
        was_paused, self._is_paused = self._is_paused, True
        try:
            yield
        finally:
            self._is_paused = was_paused

    def _event(self, frame: FrameType, event: str, function: Any) -> None:
        if self._is_paused:
            return
        if event == "c_call":
            if _is_outside(function, frame):
                self._refuse(frame, f"calls {_name(function)}")
        elif event == "call" and frame.f_code not in self._met:
            code = frame.f_code
            if code in _ENVIRONMENT and _is_asked_by_user(frame):
                self._refuse(frame, "asks for os.environ")
            if code is import_module.__code__:
                self._refuse(frame, "calls importlib.import_module")
            if is_written_by_user(frame):  # libraries choose among equal ways
                self._require_no_types(frame)
            if self._iterators and is_users(frame):
                arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
                used = (*code.co_names, *code.co_freevars, *arguments)
                for name in self._iterators.intersection(used):
                    self._refuse(frame, f"uses {name}, an iterator or a file,")
            self._met.add(code)

    def _require_no_types(self, frame: FrameType) -> None:
        at = asks_for_types(frame.f_code)
        if at is not None:
            self._refusal = UnsupportedStep(
                f"the step asks for the very type of something at "
                f"{line(frame.f_code.co_filename, at)}, and tensors have another one while it is "
                f"traced; ask with isinstance; it runs with backend='reference'"
            )
            raise self._refusal

    def _refuse(self, frame: FrameType, what: str) -> None:
        at: FrameType | None = frame
        logs = _caller_of_logging(frame)
        while at is not None and (logs is not None or not is_users(at)):
            if at is logs:
                logs = None
                continue
            module, name = module_of(at), at.f_code.co_qualname
            if module in _DONE_ONCE or module.partition(".")[0] in self._trusted:
                return
            if what.startswith("calls") and "<locals>" not in name:  # a decorator's
                what = f"calls {module}.{name}"
            at = at.f_back
        self._refusal = UnsupportedStep(f"the step {what} at {users_line(at)}, {ADVICE}")
        raise self._refusal


def _is_outside(function: Any, frame: FrameType) -> bool:
    owner, name = getattr(function, "__self__", None), function.__name__
    if owner is None:
        return False
    if isinstance(owner, ModuleType):
        module = owner.__name__
        if module == "builtins":
            return name in _BUILTINS
        if module == "torch._C":
            return (name in _SETTINGS or name.startswith("_get_")) and (
                is_users(frame) or _is_users_caller(frame)
            )
        return module in _MODULES and name not in _HARMLESS
    if isinstance(owner, type):
        return name in _CLOCKS and issubclass(owner, datetime.date)
    if isinstance(owner, ContextVar):  # libraries keep their settings there
        return is_users(frame)
    return isinstance(owner, _KINDS)


def _is_asked_by_user(frame: FrameType) -> bool:
    """Whether the environment is read by the user's code, and not by torch's on its behalf."""
    at: FrameType | None = frame
    while at is not None and module_of(at) in ("os", "collections.abc", "_collections_abc"):
        at = at.f_back
    return at is not None and is_users(at)


def _caller_of_logging(frame: FrameType) -> FrameType | None:
    """Who logs, if anybody does: handlers may be anybody's, and so look like the step's own."""
    at: FrameType | None = frame
    found = None
    while at is not None:
        found = at.f_back if module_of(at) == "logging" else found
        at = at.f_back
    return found


def _is_users_caller(frame: FrameType) -> bool:
    return frame.f_back is not None and is_users(frame.f_back)


def _name(function: Any) -> str:
    owner = function.__self__
    if isinstance(owner, ModuleType):
        module = owner.__name__.removesuffix("._C")
        return function.__name__ if module == "builtins" else f"{module}.{function.__name__}"
    kind = owner if isinstance(owner, type) else type(owner)
    return f"{kind.__module__}.{kind.__qualname__}.{function.__name__}"

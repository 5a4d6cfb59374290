"""The kinds of objects that a step may hold, by what makes two of them, or one at two times, the
same: their value, their contents, or that they are one and the same object."""

import _thread
import array
import asyncio
import concurrent.futures
import contextvars
import datetime
import decimal
import fractions
import functools
import hashlib
import io
import ipaddress
import itertools
import logging
import operator
import pathlib
import random
import re
import struct
import sys
import threading
import types
import uuid
import weakref
import zoneinfo
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

FIXED = {"torch", "numpy", "elman", *sys.stdlib_module_names}
"""Packages whose modules, classes and functions do not change while a program runs."""

FLOATS: frozenset[type] = frozenset((float, np.float64))

_finfo, _iinfo = type(torch.finfo(torch.float32)), type(torch.iinfo(torch.int32))
BY_VALUE: frozenset[type] = frozenset((
    int, bool, str, bytes, type(None), torch.dtype, torch.device, torch.layout,
    torch.memory_format, torch.Size, type(Ellipsis), type(NotImplemented), types.CodeType,
    re.Pattern, uuid.UUID, pathlib.PosixPath, pathlib.WindowsPath, pathlib.PurePosixPath,
    pathlib.PureWindowsPath, datetime.timedelta, datetime.date, ipaddress.IPv4Address,
    ipaddress.IPv6Address,
))  # fmt: skip
"""Immutable, and equal only if nothing tells one from the other."""

BY_REPR: frozenset[type] = frozenset((
    float, complex, range, slice, decimal.Decimal, fractions.Fraction, datetime.datetime,
    datetime.time, datetime.timezone, zoneinfo.ZoneInfo, _finfo, _iinfo, np.float64,
    types.GenericAlias, types.UnionType,
))  # fmt: skip
"""Immutable, and what is written tells them apart better than `==`: 0.0 and -0.0, NaN and NaN."""

BY_IDENTITY: tuple[type, ...] = (
    types.WrapperDescriptorType, types.MethodDescriptorType, types.GetSetDescriptorType,
    types.ClassMethodDescriptorType, types.MemberDescriptorType,
    torch._ops.OpOverload, torch._ops.OpOverloadPacket, torch.jit.ScriptFunction,
    np.ufunc, torch.Generator, torch.Stream, torch.Event, random.Random, np.random.Generator,
    np.random.RandomState, np.random.BitGenerator,
    types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType, types.FrameType,
    types.TracebackType, logging.Logger, logging.Handler, io.IOBase, threading.Thread,
    threading.Event, threading.Condition, threading.Semaphore, threading.Barrier,
    _thread.LockType, type(threading.RLock()), contextvars.Context, contextvars.Token,
    re.Match, struct.Struct, torch.fx.Graph, torch.fx.Node,
    asyncio.AbstractEventLoop, concurrent.futures.Executor, concurrent.futures.Future,
)  # fmt: skip
"""What they hold has no part in what a step computes, or is no value: a lock, a logger, a place in
a stream; or it never changes. Drawing from one changes the step's result from call to call; the
trace looks after it."""

ITERATORS: tuple[type, ...] = (
    *map(type, map(iter, ((), [], {}, {}.values(), {}.items(), set(), "", b"", range(0)))),
    type(reversed({})), type(reversed([])), enumerate, zip, map, filter, reversed,
    itertools.count, itertools.cycle, itertools.repeat, itertools.chain, itertools.islice,
    itertools.product,
)  # fmt: skip

BY_REDUCTION = (operator.attrgetter, operator.itemgetter, operator.methodcaller)
"""Objects of C that tell how they are made again."""

ARRAYS = (np.ndarray, array.array, bytearray, memoryview)
_LARGE = 1 << 16
LARGEST = 1 << 24
"""Bytes of an array beyond which comparing it at every call would cost too much."""


def is_written_out(value: Any) -> bool:
    """Whether its `repr` says all, beside those kinds that are in `BY_REPR`."""
    return isinstance(value, np.dtype) or type(value).__module__ == "typing"


@functools.lru_cache(maxsize=4096)
def is_fixed(module: str) -> bool:
    return module.partition(".")[0] in FIXED


class NotCacheable(Exception):
    """The step holds something whose changes can't be seen."""


class Identity:
    """Equal only if it is the same object. Holds it weakly where that is possible, for it may hold
    a model; an object that has gone equals none."""

    __slots__ = ("_number", "_object")

    def __init__(self, value: Any) -> None:
        self._number = id(value)
        self._object: Callable[[], Any]
        try:
            self._object = weakref.ref(value)
        except TypeError:
            self._object = functools.partial(_itself, value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Identity) or self._number != other._number:
            return False
        mine = self._object()
        return mine is other._object() and (mine is not None or self is other)

    def __hash__(self) -> int:
        return self._number

    def __repr__(self) -> str:
        value = self._object()
        return getattr(value, "__qualname__", None) or f"a {type(value).__name__}"


def _itself(value: Any) -> Any:
    return value


def bytes_of(value: Any) -> Any:
    """The contents of an array; of a large one, what tells them from others."""
    if isinstance(value, np.ndarray):
        described = (value.dtype.str, value.shape)
        data = value.tobytes()
    else:
        described = (type(value).__name__, getattr(value, "typecode", ""))
        data = bytes(value)
    return described, data if len(data) <= _LARGE else hashlib.blake2b(data).digest()


def slots_of(kind: type) -> list[tuple[str, Any]]:
    """Names and descriptors of the slots of a class and of those that it inherits from."""
    return [
        (name, member)
        for base in kind.__mro__
        if "__slots__" in vars(base)
        for name, member in vars(base).items()
        if isinstance(member, types.MemberDescriptorType)
    ]


def hides_something(kind: type) -> bool:
    """Whether its objects hold more than attributes: what a class written in C keeps to itself.

    The same test by which `copy` and `pickle` know what they can't take apart.
    """
    pointer = tuple.__itemsize__
    known = object.__basicsize__ + pointer * len(slots_of(kind))
    known += pointer * (kind.__dictoffset__ > 0) + pointer * (kind.__weakrefoffset__ > 0)
    return kind.__basicsize__ > known or kind.__itemsize__ != 0

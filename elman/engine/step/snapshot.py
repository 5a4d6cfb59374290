"""All that a step can reach and change, remembered before it is tried and put back afterwards.

A step is compiled from trying it a few times. What it changes beside its result would then have
happened those few times, to things that are fake, instead of once for every time step.
"""

import collections
import functools
import gc
import logging
import sys
import types
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from elman.engine.step import holders
from elman.engine.step.holders import PLAIN, Holder, Named, Place
from elman.engine.step.kinds import is_fixed
from elman.engine.step.names import names_of
from elman.engine.step.objects import HOOKS
from elman.engine.step.outside import ADVICE
from elman.engine.step.varying import Number
from elman.errors import UnsupportedStep

_NOT_LOOKED_INTO = (
    Number,  # stands for a float
    logging.Logger,  # it notes what it was asked; that it writes is seen when it does
    types.CodeType, types.FrameType, types.TracebackType, types.MethodDescriptorType,
    types.WrapperDescriptorType, types.GetSetDescriptorType, types.MemberDescriptorType,
)  # fmt: skip


class Snapshot:
    """iterators: places of what moves on when it is asked, and can't be put back.
    tensors: places of tensors, by id."""

    def __init__(self, step: Any) -> None:
        self.iterators: list[Place] = []
        self.tensors: dict[int, Place] = {}
        self._holders: list[Holder] = []
        self._caches: list[tuple[Any, int]] = []
        self._names: dict[
            int, tuple[dict[str, Any], set[str], Place]
        ] = {}  # by the id of a namespace
        self._seen: dict[int, Any] = {}  # by id; held, so that the id stays theirs
        self._to_visit: list[tuple[Any, Place]] = []
        self._modules: list[tuple[types.ModuleType, Place]] = []
        self._code_names: set[str] = set()
        self._step = step
        self._walk(step)

    def reaches(self, value: Any) -> bool:
        return id(value) in self._seen

    @contextmanager
    def left_as_it_was(self) -> Iterator[None]:
        """Raise `UnsupportedStep` if the step changed anything, which is put back in any case."""
        try:
            yield
        finally:
            changed = self._restore()
        if changed:
            raise UnsupportedStep(f"the step {changed}, {ADVICE}")

    def require_unchanged(self) -> None:
        with self.left_as_it_was():
            pass

    def _restore(self) -> str | None:
        """Put back all that has changed, and say what that was, of one."""
        for function, size in self._caches:
            if function.cache_info().currsize != size:  # what it has kept is fake, maybe
                function.cache_clear()
        said = [holder.restore() for holder in self._holders]
        return next(filter(None, said), None)

    def _walk(self, step: Any) -> None:
        numpys = holders.numpys_random_numbers()
        if numpys is not None:
            self._seen[id(numpys.target)] = numpys.target
            self._hold(numpys)
        name = "self" if isinstance(step, nn.Module) else getattr(step, "__name__", "step")
        self._to_visit.append((step, Place(None, name)))
        for name in HOOKS:  # that run with every module
            hooks = getattr(nn.modules.module, f"_global{name}")
            self._to_visit.append((hooks, Place(None, f"global{name}")))
        while self._to_visit:
            value, place = self._to_visit.pop()
            if type(value) not in PLAIN and id(value) not in self._seen:
                self._seen[id(value)] = value
                self._visit(value, place)
            if not self._to_visit:  # of a module only what any of the code names
                for module, where in self._modules:
                    self._named(vars(module), self._code_names, where)
        self._hold(*(holders.variables(*found) for found in self._names.values()))

    def _hold(self, *found: Holder | None) -> None:
        self._holders += [holder for holder in found if holder is not None]

    def _visit(self, value: Any, place: Place) -> None:
        if isinstance(value, types.FunctionType):
            self._function(value, place)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, types.MethodType):
            owner = Place(None, "self") if value is self._step else place
            self._to_visit += [(value.__func__, place), (value.__self__, owner)]
        elif isinstance(value, types.BuiltinMethodType):  # such as `log.append`
            self._to_visit.append((value.__self__, place))
        elif isinstance(value, property):
            self._to_visit.append((value.fget, place))
        elif isinstance(value, functools.partial):
            self._within(None, value.keywords.items())
            self._within(None, (("an argument of partial", v) for v in value.args))
            self._to_visit.append((value.func, place))
        elif isinstance(value, weakref.ref):
            self._to_visit.append((value(), place))
        elif isinstance(value, functools._lru_cache_wrapper):
            self._caches.append((value, value.cache_info().currsize))
            self._to_visit.append((value.__wrapped__, place))
        elif isinstance(value, types.ModuleType):
            if not is_fixed(value.__name__):
                self._modules.append((value, Place(place, ".")))
        elif _moves_on(value):
            self.iterators.append(place)
        elif not isinstance(value, _NOT_LOOKED_INTO):
            self._object(value, place)

    def _object(self, value: Any, place: Place) -> None:
        kind = type(value)
        if isinstance(value, Tensor):
            self.tensors[id(value)] = place
        self._to_visit.append((kind, place))
        own = [holders.contents(value, place), holders.slots(value, place)]
        if hasattr(value, "__dict__"):
            self._seen[id(value.__dict__)] = value.__dict__
            own.append(holders.attributes(value, place))
        self._hold(*own)
        if isinstance(value, dict):
            self._within(place, ((f"[{key!r}]", v) for key, v in dict.items(value)))
            self._within(place, (("", key) for key in value))
        elif isinstance(value, list | tuple | collections.deque):
            self._within(place, ((f"[{index}]", v) for index, v in enumerate(value)))
        elif not isinstance(value, Tensor):  # whatever else it holds, as `functools.partial` does
            self._within(place, (("", v) for v in gc.get_referents(value)))
        for held in own[1:]:  # last, and so visited first: their names say most
            if isinstance(held, Named):
                self._within(place, ((f".{name}", v) for name, v in held.before.items()))

    def _within(self, place: Place | None, values: Iterable[tuple[str, Any]]) -> None:
        self._to_visit += [
            (value, Place(place, label)) for label, value in values if type(value) not in PLAIN
        ]

    def _function(self, function: types.FunctionType, place: Place) -> None:
        closure, code = function.__closure__ or (), function.__code__
        is_library = is_fixed(function.__globals__.get("__name__") or "")
        for name, cell in zip(code.co_freevars, closure, strict=True):
            if id(cell) not in self._seen:
                self._seen[id(cell)] = cell
                held = holders.closure_variable(cell, Place(None, name))
                self._hold(held)
                self._within(None, held.before.items())
        if is_library:
            return
        self._hold(holders.parts_of_function(function, place))
        own = holders.attributes(function, place)
        self._hold(own)
        self._within(place, ((f".{name}", v) for name, v in own.before.items()))
        names, defaults = code.co_varnames[: code.co_argcount], function.__defaults__ or ()
        self._within(None, zip(names[len(names) - len(defaults) :], defaults, strict=True))
        self._within(None, (function.__kwdefaults__ or {}).items())
        found = names_of(code)
        mentioned = {*found.globals, *found.attributes, *found.imports}
        self._code_names |= mentioned
        self._named(function.__globals__, mentioned, None)

    def _named(self, namespace: dict[str, Any], names: Iterable[str], place: Place | None) -> None:
        """Names that code looks up, in its global variables or in a module."""
        known = self._names.setdefault(id(namespace), (namespace, set(), Place(place, "")))[1]
        new = set(names) - known
        known |= new
        for name in sorted(new):
            value = namespace.get(name)
            if name not in namespace and not is_fixed(name):
                value = sys.modules.get(name)  # that the code itself imports
            self._within(place, [(name, value)])

    def _class(self, kind: type) -> None:
        for base in kind.__mro__:
            if is_fixed(base.__module__) or (base is not kind and id(base) in self._seen):
                continue
            self._seen[id(base)] = base
            place = Place(None, base.__name__)
            self._hold(holders.class_attributes(base, place))
            for name, value in vars(base).items():
                if isinstance(value, staticmethod | classmethod):
                    value = value.__func__
                is_known = name == "_abc_impl"  # in which `isinstance` keeps what it found
                if not is_known and (name[:2] != "__" or isinstance(value, types.FunctionType)):
                    self._within(place, [(f".{name}", value)])


def _moves_on(value: Any) -> bool:
    """Whether this is an iterator with its place inside, as generators and open files are.

    One written in Python is an object like others.
    """
    following = getattr(type(value), "__next__", None)
    return following is not None and not isinstance(following, types.FunctionType)

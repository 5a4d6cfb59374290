"""The names by which a function reaches what it uses."""

import dis
import functools
import types
from collections.abc import Iterator
from dataclasses import dataclass

_GLOBAL = frozenset(("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL"))
_PREPARING = frozenset(("CACHE", "PUSH_NULL", "PRECALL", "RESUME"))
_ITSELF = frozenset(("self", "cls"))
_BY_STRING = frozenset(("globals", "eval", "exec", "__import__"))
_IN_MODULE = frozenset(("getattr", "hasattr", "vars", "attrgetter"))
_ANY_GLOBAL = frozenset(("globals", "eval", "exec", "f_globals", "__globals__"))
_ANY_ATTRIBUTE = _IN_MODULE | {"__dict__", "__getattribute__"}


@dataclass(frozen=True)
class Names:
    """Names in a function and in the functions defined in it.

    globals: looked up among a module's globals. attributes: looked up in any object, a module among
    them. imports: modules that the function itself imports. tells_types_apart: whether it may ask
    for the very type of a value. any_global, any_attribute: whether names may be looked up that it
    puts together.
    """

    globals: tuple[str, ...]
    attributes: tuple[str, ...]
    imports: tuple[str, ...]
    tells_types_apart: bool
    any_global: bool
    any_attribute: bool


@functools.lru_cache(maxsize=1024)
def names_of(code: types.CodeType) -> Names:
    of_globals: dict[str, None] = {}
    attributes: dict[str, None] = {}
    imports: dict[str, None] = {}
    strings: dict[str, None] = {}
    for inner in _nested(code):
        attributes.update(dict.fromkeys(inner.co_names))
        strings.update(
            {c: None for c in inner.co_consts if isinstance(c, str) and c.isidentifier()}
        )
        for instruction in dis.get_instructions(inner):
            if instruction.opname in _GLOBAL:
                of_globals[instruction.argval] = None
            elif instruction.opname == "IMPORT_NAME":
                imports[instruction.argval] = None
    if not _BY_STRING.isdisjoint(attributes):
        of_globals.update(strings)
    if not _IN_MODULE.isdisjoint(attributes):
        attributes.update(strings)
    return Names(
        tuple(of_globals), tuple(attributes), tuple(imports), "type" in of_globals,
        not _ANY_GLOBAL.isdisjoint(attributes), not _ANY_ATTRIBUTE.isdisjoint(attributes),
    )  # fmt: skip


@functools.lru_cache(maxsize=1024)
def asks_for_types(code: types.CodeType) -> int | None:
    """The line in which a function asks for the very type of something other than itself."""
    found = [i for i in dis.get_instructions(code) if i.opname not in _PREPARING]
    for before, one, after in zip([None, *found], found, [*found[1:], None], strict=False):
        of = after if one.opname in _GLOBAL and one.argval == "type" else None
        if one.opname == "LOAD_ATTR" and one.argval == "__class__":
            of = before
        if of is not None and not (of.opname.startswith("LOAD_FAST") and of.argval in _ITSELF):
            line = one.positions.lineno if one.positions else None
            return line or code.co_firstlineno
    return None


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested(constant)

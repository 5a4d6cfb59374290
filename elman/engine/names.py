"""The names by which a function reaches what it uses."""

import dis
import functools
import types
from collections.abc import Iterator
from dataclasses import dataclass

_GLOBAL = frozenset(("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL"))
_BY_STRING = frozenset(("globals", "eval", "exec", "__import__"))
_IN_MODULE = frozenset(("getattr", "hasattr", "vars", "attrgetter"))


@dataclass(frozen=True)
class Names:
    """Names in a function and in the functions defined in it.

    globals: looked up among a module's globals. attributes: looked up in any object, a module among
    them. imports: modules that the function itself imports. tells_types_apart: whether it may ask
    for the very type of a value.
    """

    globals: tuple[str, ...]
    attributes: tuple[str, ...]
    imports: tuple[str, ...]
    tells_types_apart: bool


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
    return Names(tuple(of_globals), tuple(attributes), tuple(imports), "type" in of_globals)


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested(constant)

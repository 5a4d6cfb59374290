"""Reading functions: their code, and what it reaches by name."""

import sys
import types
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from elman.engine.step.kinds import BY_VALUE, FLOATS, Identity, NotCacheable, is_fixed
from elman.engine.step.names import Names, names_of

if TYPE_CHECKING:
    from elman.engine.step.reader import Reader


@dataclass
class NamesRead:
    """Where which names were looked up.

    loose_modules: modules that are held somewhere, so that any function may look for its names in
    them. looked_up: names of all functions. done: by the id of the namespace, and the names in it.
    """

    loose_modules: list[types.ModuleType] = field(default_factory=list)
    looked_up: dict[Names, None] = field(default_factory=dict)
    done: set[tuple[int, tuple[str, ...]]] = field(default_factory=set)


def read_function(reader: "Reader", function: types.FunctionType) -> None:
    namespace, closure = function.__globals__, function.__closure__
    home = namespace.get("__name__") or ""
    if is_fixed(home) and not closure:
        reader.parts.append(Identity(function))
        return
    watch = reader.watch
    code = watch.attribute(function, "__code__")
    reader.parts.append(code)
    names = names_of(code)
    if not is_fixed(home):
        reader.names.looked_up[names] = None
        reader.may_vary &= not names.tells_types_apart
        _globals(reader, namespace, names)
        _imports(reader, namespace, names)
    for name, cell in zip(code.co_freevars, closure or (), strict=True):
        if home == "functools" and name in ("dispatch_cache", "cache_token"):
            continue  # what a singledispatch function remembers of its own registry
        content = read_cell(reader, name, cell)
        if isinstance(content, types.ModuleType):
            _names_in(reader, content, names)
    for name in ("__defaults__", "__kwdefaults__"):
        if getattr(function, name):
            reader.parts.append(name)
            reader.attribute(function, name, called=f"{function.__qualname__}.{name}")
        else:
            watch.attribute(function, name)
    reader.parts.append(watch.attribute(function, "__name__"))
    if function.__dict__ or not is_fixed(home):
        reader.read(watch.attribute(function, "__dict__"))


def look_up(reader: "Reader", paths: Iterable[Any]) -> None:
    """Names that an `attrgetter` looks up, in modules too."""
    names = [name for path in paths if isinstance(path, str) for name in path.split(".")]
    reader.names.looked_up[Names((), tuple(names), (), False, False, False)] = None


def read_cell(reader: "Reader", name: str, cell: types.CellType) -> Any:
    """The content of a variable of a closure."""
    try:
        content = cell.cell_contents
    except ValueError:  # not filled yet
        reader.parts.append((name, "unset"))
        reader.watch.is_safe = False
        return None
    reader.attribute(cell, "cell_contents", called=name)
    return content


def read_builtin(reader: "Reader", function: Any) -> None:
    """A function written in C, or a method of an object that is."""
    owner = function.__self__
    if owner is None or isinstance(owner, types.ModuleType):
        reader.parts.append(Identity(function))
    else:
        reader.parts.append(function.__name__)
        reader.read(owner)


def read_loose_modules(reader: "Reader") -> None:
    """What functions may reach in modules that are held in closures, attributes or containers."""
    read: set[tuple[int, Names]] = set()
    modules, looked_up = reader.names.loose_modules, reader.names.looked_up
    while True:
        pairs = [(m, n) for m in modules for n in looked_up if (id(m), n) not in read]
        if not pairs:
            return
        for module, names in pairs:
            read.add((id(module), names))
            _names_in(reader, module, names)


def _globals(reader: "Reader", namespace: dict[str, Any], names: Names) -> None:
    if (id(namespace), names.globals) in reader.names.done:
        return
    reader.names.done.add((id(namespace), names.globals))
    if names.any_global:
        _everything_in(reader, namespace)
    for name in names.globals:
        if name not in namespace:
            reader.watch.absent(namespace, name)
            continue
        reader.parts.append(name)
        value = namespace[name]
        if isinstance(value, types.ModuleType):
            reader.watch.item(namespace, name)
            reader.parts.append(Identity(value))
            _names_in(reader, value, names)
        elif value is reader.step:  # its own name; the module holds it anyway
            reader.watch.item_is_step(namespace, name)
        else:
            reader.item(namespace, name)


def _imports(reader: "Reader", namespace: dict[str, Any], names: Names) -> None:
    package = namespace.get("__package__") or ""
    for name in names.imports:
        for full in (name, f"{package}.{name}".rstrip(".")):
            module = sys.modules.get(full)
            if module is not None:
                _names_in(reader, module, names)
                break
        else:  # it will be there once the step has run
            reader.watch.is_safe = False


def _functions_in(reader: "Reader", module: types.ModuleType, names: Names) -> None:
    """Those of a package whose functions stay as they are, unless somebody patches them."""
    if module is sys and "modules" in names.attributes:
        raise NotCacheable("sys.modules")
    namespace = vars(module)
    for name in names.attributes:
        value = namespace.get(name)
        if isinstance(value, types.ModuleType):
            _names_in(reader, value, names)
        elif callable(value):
            reader.parts.append(Identity(reader.watch.item(namespace, name)))
        elif name in namespace and type(value) in BY_VALUE | FLOATS:
            reader.read(reader.watch.item(namespace, name))


def _everything_in(reader: "Reader", namespace: dict[str, Any]) -> None:
    """Of a module in which names are looked up that only running the step would tell. Functions and
    classes among them count as long as they are the same."""
    reader.watch.size(namespace)
    for name in [name for name in namespace if not name.startswith("__")]:
        reader.parts.append(name)
        if isinstance(namespace[name], types.FunctionType | types.ModuleType | type):
            reader.parts.append(Identity(reader.watch.item(namespace, name)))
        else:
            reader.item(namespace, name)


def _names_in(reader: "Reader", module: types.ModuleType, names: Names) -> None:
    """What the code may find in a module."""
    namespace = vars(module)
    if (id(namespace), names.attributes) in reader.names.done:
        return
    reader.names.done.add((id(namespace), names.attributes))
    if is_fixed(module.__name__):
        _functions_in(reader, module, names)
        return
    reader.watch.size(namespace)
    if names.any_attribute:
        _everything_in(reader, namespace)
    for name in names.attributes:
        value = namespace.get(name)
        if isinstance(value, types.ModuleType):
            reader.watch.item(namespace, name)
            _names_in(reader, value, names)
        elif name in namespace:
            reader.parts.append(name)
            reader.item(namespace, name)

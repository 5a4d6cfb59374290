"""The statements of a random step, written one by one."""

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch

SIZES = (1, 2, 3, 4, 5, 8, 17)
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Value:
    """A variable of the step: one tensor `(B, *shape)`. kind: float, int or bool."""

    name: str
    shape: Shape
    kind: str = "float"


@dataclass(frozen=True)
class Parameter:
    """A tensor that the step closes over, and the expression that makes it.

    learned: whether it wants a gradient. An alias is made from another parameter, and so is no
    leaf of its own.
    """

    name: str
    shape: Shape
    expression: str
    learned: bool
    is_alias: bool = False


@dataclass
class Body:
    """What has been written so far, and what can be used next."""

    rng: random.Random
    values: list[Value] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    parameters: list[Parameter] = field(default_factory=list)
    uses: set[str] = field(default_factory=set)

    # Writing.

    def let(self, expression: str, shape: Iterable[int], kind: str = "float") -> Value:
        value = Value(f"v{len(self.values)}", tuple(shape), kind)
        self.lines.append(f"{value.name} = {expression}")
        self.values.append(value)
        return value

    def parameter(self, *shape: int) -> str:
        """A parameter of a shape: one that is there already, or a new one."""
        known = [p for p in self.parameters if p.shape == shape]
        if known and self.rng.random() < 0.5:
            return self.rng.choice(known).name
        name = f"w{len(self.parameters)}"
        scale = 1 / max(shape[0], 1) ** 0.5 if len(shape) == 2 else 0.5
        learned = self.rng.random() < 0.8
        expression, is_alias = f"normal({_sizes(shape)}) * {scale:.3g}", False
        style = self.rng.random()
        if style < 0.1 and shape:
            expression = f"(normal({_sizes((1, *shape[1:]))}) * {scale:.3g}).expand{shape}"
            is_alias = True
        elif style < 0.2 and known:
            expression, is_alias = f"-{self.rng.choice(known).name}", True
        elif style < 0.3 and len(shape) == 2:
            transposed = [p.name for p in self.parameters if p.shape == shape[::-1]]
            if transposed:
                expression, is_alias = f"{self.rng.choice(transposed)}.T", True
        self.parameters.append(Parameter(name, shape, expression, learned, is_alias))
        return name

    # Choosing.

    def unread(self) -> list[Value]:
        """Values that nothing reads yet: what a step gives should depend on what it does."""
        read = set(re.findall(r"\bv\d+", " ".join(line.partition("= ")[2] for line in self.lines)))
        return [v for v in self.values if v.name not in read] or self.values

    def pick(self, kind: str = "float", least_rank: int = 0) -> Value | None:
        """A value, rather a late one."""
        found = [v for v in self.values if v.kind == kind and len(v.shape) >= least_rank]
        if not found:
            return None
        return found[max(self.rng.randrange(len(found)), self.rng.randrange(len(found)))]

    def partner(self, value: Value) -> tuple[str, Shape]:
        """Something that goes with a value by broadcasting, and the shape of both together."""
        chance, shape = self.rng.random(), value.shape
        if chance < 0.5:
            found = [(v, both) for v in self.values if v.kind == value.kind
                     and (both := _together(v.shape, shape)) is not None]  # fmt: skip
            other, both = self.rng.choice(found)
            return other.name, both
        if value.kind == "bool":
            return f"({value.name} ^ True)", shape
        if value.kind == "int":
            return str(self.rng.choice([1, 2, 3, 7])), shape
        if chance < 0.7:
            return self.parameter(*shape[self.rng.randint(0, len(shape)) :]), shape
        if chance < 0.8:
            self.uses.add("rate")
            return "rate", shape
        if chance < 0.9 and shape:
            part = self.let(f"{value.name}[..., :1]", (*shape[:-1], 1))
            return part.name, shape
        return self.rng.choice(["0.5", "1.0", "-0.3", "2", "1e-3"]), shape

    # Changing.

    def as_float(self, value: Value) -> Value:
        if value.kind == "float":
            return value
        return self.let(f"{value.name}.to(dtype)", value.shape)

    def flat(self, value: Value) -> Value:
        """The value as one vector for each row."""
        if len(value.shape) == 1:
            return value
        if not value.shape:
            return self.let(f"{value.name}.unsqueeze(1)", (1,), value.kind)
        width = torch.Size(value.shape).numel()
        form = self.rng.choice(
            ["{}.flatten(1)", "{}.reshape({}.shape[0], {w})", "{}.view(-1, {w})"]
        )
        # A view of a transposed or expanded tensor would be an error in torch, too.
        form = form.replace("view", "reshape").format(value.name, value.name, w=width)
        return self.let(form, (width,), value.kind)

    def shaped(self, value: Value, shape: Shape) -> Value:
        """A float of the wanted shape that depends on the value."""
        value = self.as_float(value)
        if value.shape == shape:
            return value
        flat, width = self.flat(value), torch.Size(shape).numel()
        if flat.shape[0] != width:
            weight = self.parameter(flat.shape[0], width)
            flat = self.let(f"{flat.name} @ {weight}", (width,))
        if not shape:
            return self.let(f"{flat.name}.squeeze(1)", ())
        if len(shape) == 1:
            return flat
        return self.let(f"{flat.name}.view(-1, {_sizes(shape)})", shape)


def _together(a: Shape, b: Shape) -> Shape | None:
    """The shape of two values together. Rows stand first in both, so ranks must agree."""
    if len(a) != len(b):
        return None
    try:
        return tuple(torch.broadcast_shapes(a, b))
    except RuntimeError:
        return None


def _sizes(shape: Iterable[int]) -> str:
    return ", ".join(map(str, shape))

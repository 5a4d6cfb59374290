"""The source of a whole case: a step, a call of it, and what changes before a second call.

The source is complete: it runs by itself, and is what a failing seed shows. `case(dtype)` draws the
same numbers for each dtype, so that single precision has its exact counterpart.
"""

import inspect
import random
from collections.abc import Callable
from dataclasses import dataclass

import elman
from tests.engine.fuzz.body import SIZES, Body, Shape, Value
from tests.engine.fuzz.operations import OPERATIONS, is_small
from tests.engine.settings import SETTINGS

_HEAD = '''"""Random step {seed}. Run it: what the backends give stands beside the plain loop's."""

import types

import torch
from torch import nn
from torch.nn import functional as F

DTYPE = torch.{dtype}
SETTING = "{setting}"


def case(dtype):
    generator = torch.Generator().manual_seed({seed})
    normal = lambda *sizes: torch.randn(sizes, generator=generator).to(dtype)
    integer = lambda *sizes: torch.randint(9, sizes, generator=generator)
    flag = lambda *sizes: torch.rand(sizes, generator=generator) < 0.5
'''
TAIL = """

if __name__ == "__main__":
    from tests.engine.fuzz.check import run
    from tests.engine.settings import engine_set

    made = case(DTYPE)
    for change in (lambda: None, made["change"]):
        change()
        for backend in ("reference", "auto", "llvm"):
            with engine_set(SETTING):
                found = run(made, backend)
            print(backend, *(f"{name}: {tensor}" for name, tensor in found.items()), sep="\\n")
"""


@dataclass(frozen=True)
class Leaf:
    shape: Shape
    kind: str


@dataclass
class Case:
    """setting: how the engine is set, of `tests.engine.settings`."""

    seed: int
    dtype: str
    setting: str
    source: str


def draw(seed: int) -> Case:
    return _Writer(random.Random(seed), seed).case()


class _Writer:
    """Writes one case. `self.rng` is the only source of chance, so the seed determines the text."""

    def __init__(self, rng: random.Random, seed: int) -> None:
        self.rng, self.seed = rng, seed
        self.body = Body(rng)
        self.steps = rng.choice([0, 1, 1, 2, 3, 4, 5, 5, 6, 7])
        self.rows = rng.choice([0, 1, 1, 2, 3, 3, 4, 5, 9, 17])

    def case(self) -> Case:
        rng = self.rng
        dtype = rng.choice(["float32", "float64"])
        # The size of vectors counts most: it decides how many of them a row is.
        vectors = [name for name in SETTINGS if name.startswith("vectors")]
        setting = rng.choice(["as it is", rng.choice(vectors), rng.choice(list(SETTINGS))])
        inputs = self._leaves(rng.randint(1, 3))
        state = self._leaves(rng.choice([0, 1, 1, 1, 2, 2, 3]) if rng.random() < 0.9 else 1)
        constants = self._leaves(rng.choice([0, 0, 0, 1, 2]))
        if "constants" not in inspect.signature(elman.scan).parameters:
            constants = []
        taken = [self._taken(leaves, name) for leaves, name in
                 ((inputs, "x"), (state, "state"), (constants, "constants"))]  # fmt: skip
        for _ in range(rng.randint(2, 14)):
            if is_small(self.body):
                self._statement()
        following = [self._next(leaf) for leaf in state]
        outputs = rng.choices(self.body.unread(), k=rng.choice([0, 1, 1, 1, 2, 3]))
        outputs += rng.choices(following, k=rng.randint(0, 1)) if following else []
        result = f"{self._nest([v.name for v in outputs])}, {taken[1](following)}"
        step = self._step(["x", "state"] + ["constants"] * bool(constants), result)
        source = [
            _HEAD.format(seed=self.seed, dtype=dtype, setting=setting),
            *self._parameters(),
            *step,
        ]
        arguments = f"({taken[0](None)}, {taken[1](None)})"
        source.append(f"    arguments = {arguments}")
        source.append(f"    options = {self._options(taken[1], taken[2] if constants else None)}")
        source += self._change()
        used = [index for index in range(len(outputs) + len(state)) if rng.random() < 0.8]
        source.append(
            "    return dict(step=step, arguments=arguments, options=options, closed=closed,\n"
            f"                change=change, used={used}, grad={rng.random() < 0.9})"
        )
        return Case(self.seed, dtype, setting, "\n".join(source) + "\n" + TAIL)

    # Nests.

    def _leaves(self, count: int) -> list[Leaf]:
        rng = self.rng
        kind = lambda: rng.choice(["float"] * 6 + ["int", "bool"])  # noqa: E731
        return [Leaf(self._shape(), kind()) for _ in range(count)]

    def _shape(self) -> Shape:
        rank = self.rng.choice([0, 1, 1, 1, 1, 1, 2])
        return tuple(self.rng.choice(SIZES if rank == 1 else SIZES[:5]) for _ in range(rank))

    def _nest(self, names: list[str]) -> str:
        return _built(_plan(self.rng, len(names)), names)

    def _taken(self, leaves: list[Leaf], name: str) -> Callable[[list[Value] | None], str]:
        """Write the statements that take a nest apart. Returns what builds it: from values of the
        step, or, given None, from fresh tensors."""
        plan = _plan(self.rng, len(leaves))
        for leaf, path in zip(leaves, _paths(plan, name), strict=True):
            self.body.let(path, leaf.shape, leaf.kind)

        def build(values: list[Value] | None) -> str:
            if values is not None:
                return _built(plan, [value.name for value in values])
            leading = (self.steps, self.rows) if name == "x" else (self.rows,)
            return _built(plan, [self._tensor(leaf, leading) for leaf in leaves])

        return build

    def _tensor(self, leaf: Leaf, leading: Shape) -> str:
        rng, sizes = self.rng, (*leading, *leaf.shape)
        make = {"float": "normal", "int": "integer", "bool": "flag"}[leaf.kind]
        text = f"{make}({', '.join(map(str, sizes))})"
        style = rng.random()
        if style < 0.08 and len(sizes) > 1:
            text = f"{make}({', '.join(map(str, sizes[::-1]))}).permute{_axes(len(sizes))}"
        elif style < 0.16:
            text = f"{make}({', '.join(map(str, (*sizes, 2)))})[..., 1]"
        elif style < 0.22 and len(sizes) > 1:
            text = f"{make}({', '.join(map(str, (*sizes[:-1], 1)))}).expand{sizes}"
        if leaf.kind == "float" and rng.random() < 0.7:
            text += ".requires_grad_()"
        return text

    # The step.

    def _statement(self) -> None:
        kinds = list(OPERATIONS)
        for _ in range(20):
            (kind,) = self.rng.choices(kinds, list(OPERATIONS.values()))
            if kind(self.body):
                return

    def _next(self, leaf: Leaf) -> Value:
        """The next state of a leaf: bounded, so that nothing grows without end."""
        body, rng = self.body, self.rng
        found = [v for v in body.values if v.kind == leaf.kind and v.shape == leaf.shape]
        if leaf.kind == "float":
            value = body.shaped(rng.choice(body.unread()), leaf.shape)
            form = rng.choice([
                "torch.tanh({a} + 0.5 * {b})", "torch.sigmoid({a})", "{a}.clamp(-2, 2)",
                "torch.tanh({a} + 0.5 * {b})", "0.5 * {a} + 0.3 * {b}", "torch.tanh({a})",
            ])  # fmt: skip
            return body.let(form.format(a=value.name, b=found[0].name), leaf.shape)
        value = found[-1] if rng.random() < 0.7 else rng.choice(found)
        if leaf.kind == "int" and rng.random() < 0.7:
            return body.let(f"({value.name} + 1) % 1000", leaf.shape, "int")
        return value

    def _step(self, names: list[str], result: str) -> list[str]:
        body, closed = self.body, [p.name for p in self.body.parameters]
        statements = [*body.lines, f"return {result}"]
        settings = [name for name in ("rate", "training") if name in body.uses]
        leaves = ", ".join(p.name for p in body.parameters if not p.is_alias)
        if self.rng.random() < 0.5:
            statements[:0] = [f"{name} = settings.{name}" for name in settings]
            lines = ["    settings = types.SimpleNamespace(rate=0.8, training=True)", ""]
            lines += [f"    def step({', '.join(names)}):", *_indented(statements, 8), ""]
            return [*lines, f"    closed = [{leaves}]"]
        statements[:0] = [f"{name} = self.{name}" for name in [*closed, *settings]]
        lines = ["", "    class Step(nn.Module):", "        def __init__(self):"]
        keep = [f"self.{name} = {name}" for name in closed]
        keep = [
            f"self.{p.name} = nn.Parameter({p.name}, {p.learned})" if not p.is_alias else line
            for p, line in zip(body.parameters, keep, strict=True)
        ]
        lines += _indented(["super().__init__()", "self.rate = 0.8", *keep], 12)
        lines += ["", f"        def forward(self, {', '.join(names)}):", *_indented(statements, 12)]
        return [*lines, "", "    step = settings = Step()", "    closed = list(step.parameters())"]

    def _parameters(self) -> list[str]:
        return [
            f"    {p.name} = {p.expression if p.is_alias else f'({p.expression})'}"
            + f".requires_grad_({p.learned})" * (not p.is_alias)
            for p in self.body.parameters
        ]

    # The call.

    def _options(self, state: Callable, constants: Callable | None) -> str:
        rng, options = self.rng, {}
        if constants is not None:
            options["constants"] = constants(None)
        if rng.random() < 0.35:
            lengths = [rng.choice([0, self.steps, rng.randint(0, self.steps)])
                       for _ in range(self.rows)]  # fmt: skip
            options["lengths"] = rng.choice([f"{lengths}", f"torch.tensor({lengths}, dtype=int)"])
        if rng.random() < 0.3:
            options["reset"] = f"flag({self.steps}, {self.rows})"
            if rng.random() < 0.6:
                options["reset_state"] = state(None)
        if rng.random() < 0.3:
            options["reverse"] = "True"
        if rng.random() < 0.15:
            options["checkpoint"] = str(rng.randint(1, 4))
        return "dict(" + ", ".join(f"{key}={value}" for key, value in options.items()) + ")"

    def _change(self) -> list[str]:
        """What the second call finds changed."""
        choices = []
        if "rate" in self.body.uses:
            choices += ["settings.rate = 0.3"] * 3
        if "training" in self.body.uses:
            choices += ["settings.training = False"] * 3
        if any(not p.is_alias for p in self.body.parameters):
            choices += ["closed[0].data.mul_(1.5)", "closed[-1].data.add_(0.1)"]
            choices += ["closed[0].requires_grad_(not closed[0].requires_grad)"]
        what = self.rng.choice(choices or ["pass"])
        return ["", "    def change():", f"        {what}", ""]


# Nests are planned as a place (None), or a kind with its members.


def _plan(rng: random.Random, count: int) -> tuple | None:
    """A nest of `count` places."""
    kind = rng.choice(["tuple", "tuple", "list", "dict"])
    if count == 1 and rng.random() < 0.7:
        return None
    members = [None] * count
    if count > 1 and rng.random() < 0.3:
        inner = rng.randint(1, count - 1)
        return (kind, [*members[inner:], _plan(rng, inner)])
    return (kind, members)


def _built(plan: tuple | None, leaves: list[str]) -> str:
    return _fill(plan, iter(leaves))


def _fill(plan: tuple | None, leaves) -> str:
    if plan is None:
        return next(leaves)
    kind, members = plan
    parts = [_fill(member, leaves) for member in members]
    if kind == "dict":
        return "{" + ", ".join(f'"k{i}": {part}' for i, part in enumerate(parts)) + "}"
    inside = ", ".join(parts)
    return f"[{inside}]" if kind == "list" else f"({inside}{',' * (len(parts) == 1)})"


def _paths(plan: tuple | None, at: str) -> list[str]:
    if plan is None:
        return [at]
    kind, members = plan
    key = '["k{}"]' if kind == "dict" else "[{}]"
    return [path for i, member in enumerate(members) for path in _paths(member, at + key.format(i))]


def _axes(rank: int) -> tuple[int, ...]:
    return tuple(reversed(range(rank)))


def _indented(lines: list[str], by: int) -> list[str]:
    return [" " * by + line for line in lines]

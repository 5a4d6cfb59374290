"""What a random step may do: one function for each kind of statement.

Each adds values to a body, or returns False where nothing fits.
"""

from collections.abc import Callable
from math import prod

from tests.engine.fuzz.body import Body, Value

UNARY = [
    "torch.tanh({a})", "torch.sigmoid({a})", "torch.relu({a})", "torch.exp(-{a}.abs())",
    "torch.expm1({a}.clamp(max=1))", "torch.log({a}.abs() + 0.1)", "torch.log1p({a}.abs())",
    "torch.log2({a}.abs() + 0.2)", "torch.exp2({a}.clamp(max=2))", "torch.erf({a})",
    "torch.sin({a})", "torch.cos({a})", "torch.sqrt({a}.abs() + 0.1)", "{a}.abs()", "-{a}",
    "torch.rsqrt({a}.abs() + 0.1)", "torch.reciprocal({a}.abs() + 0.5)", "{a} ** 2", "{a} ** 3",
    "({a}.abs() + 0.1) ** 1.7", "({a}.abs() + 0.1) ** -0.5", "torch.sign({a})",
    "torch.floor({a} * 2)", "torch.ceil({a})", "torch.round({a} * 3)", "torch.trunc({a} * 2)",
    "F.relu6({a} * 4)", "F.leaky_relu({a}, 0.2)", "F.elu({a})", "F.celu({a})", "F.selu({a})",
    "F.gelu({a})", 'F.gelu({a}, approximate="tanh")', "F.silu({a})", "F.mish({a})",
    "F.softplus({a})", "F.softsign({a})", "F.logsigmoid({a})", "F.hardtanh({a})",
    "F.hardswish({a})", "F.threshold({a}, 0.1, -1.0)", "F.tanhshrink({a})", "F.softshrink({a})",
    "{a}.clamp(-0.5, 0.4)", "{a}.clamp(min=-0.2)", "torch.nan_to_num({a})", "1 - {a}",
    "torch.where({a} > 0.1, {a}, 0.3 * {a})", "{a}.masked_fill({a} > 0.3, 0.1)",
    "({a} > 0.1) * {a}", "torch.remainder({a}, 0.7)", "torch.fmod({a}, 0.9)", "{a}.detach()",
    "{a} + {a}.detach()", "torch.zeros_like({a}) + {a}", "torch.full_like({a}, 0.25) * {a}",
    "F.dropout({a}, 0.5, training=False)", "torch.sqrt(torch.relu({a}))", "{a}.contiguous()",
    "torch.log(torch.relu({a}))", "{a}.clone()", "torch.atan({a})", "torch.asinh({a})",
]  # fmt: skip
BINARY = [
    "{a} + {b}", "{a} - {b}", "{a} * {b}", "{a} * {b}", "{a} + {b}", "{a} / (1.5 + abs({b}))",
    "torch.add({a}, {b}, alpha=0.3)", "torch.sub({a}, {b}, alpha=2)", "{b} - {a}",
    "torch.where({a} > {b}, {a}, 0.5 * {a})", "torch.remainder({a}, abs({b}) + 0.5)",
]  # fmt: skip
OF_TENSORS = [
    "torch.minimum({a}, {b})", "torch.maximum({a}, {b})", "torch.lerp({a}, {b}, 0.3)",
    "torch.addcmul({a}, {b}, {a}, value=0.5)", "torch.pow({a}.abs() + 0.5, {b}.clamp(-1, 1))",
    "torch.copysign({a}, {b})", "torch.atan2({a}, {b} + 2)", "torch.hypot({a}, {b})",
    "torch.where({b} >= 0, {a}, {b})", "torch.addcdiv({a}, {b}, {b}.abs() + 1)",
]  # fmt: skip
COMPARISONS = ["{a} > {b}", "{a} >= {b}", "{a} < {b}", "{a} <= {b}", "{a} == {b}", "{a} != {b}"]
FLAGS = ["{a} & {b}", "{a} | {b}", "{a} ^ {b}", "torch.logical_and({a}, {b})", "~{a}", "{a} == {b}",
         "torch.logical_or({a}, {b})", "torch.logical_not({a})"]  # fmt: skip
INTEGERS = [
    "{a} + {b}", "{a} - {b}", "{a} * {b} % 101", "{a} % 5", "{a} // 3", "{a}.clamp(0, 4)", "-{a}",
    "{a} & {b}", "{a} | {b}", "{a} ^ {b}", "~{a}", "torch.maximum({a}, {a} + {b})", "{a}.abs()",
    "{a} * 3 + {b}", "{a} + 2**25", "torch.where({a} > {b}, {a}, 0)",
]  # fmt: skip
ALONG = [
    "{a}.softmax({d})", "{a}.log_softmax({d})", "F.normalize({a}, dim={d})",
    "{a} - {a}.mean({d}, keepdim=True)", "{a} - {a}.amax({d}, keepdim=True)",
    "{a} / (1 + {a}.norm(dim={d}, keepdim=True))", "torch.flip({a}, ({d},))",
    "torch.roll({a}, 1, {d})", "{a}.cumsum({d})", "torch.sort({a}, dim={d}).values",
]  # fmt: skip
REDUCTIONS = [
    "{a}.sum({d}, keepdim={k})", "{a}.mean({d}, keepdim={k})", "{a}.amax({d}, keepdim={k})",
    "{a}.amin({d}, keepdim={k})", "{a}.max({d}, keepdim={k}).values", "{a}.sum({d}, keepdim={k})",
    "{a}.min({d}, keepdim={k})[0]", "{a}.var({d}, keepdim={k}, unbiased=False)",
    "{a}.logsumexp({d}, keepdim={k})", "{a}.std({d}, keepdim={k}, unbiased=False)",
    "{a}.norm(dim={d}, keepdim={k})", "{a}.prod({d}, keepdim={k})",
]  # fmt: skip


def unary(b: Body) -> bool:
    a = b.pick()
    return a is not None and bool(b.let(b.rng.choice(UNARY).format(a=a.name), a.shape))


def binary(b: Body) -> bool:
    a = b.pick()
    if a is None:
        return False
    other, shape = b.partner(a)
    forms = BINARY + OF_TENSORS if other[0] in "vw" else BINARY
    b.let(b.rng.choice(forms).format(a=a.name, b=other), shape)
    return True


def comparison(b: Body) -> bool:
    a = b.pick(b.rng.choice(["float", "float", "int"]))
    if a is None:
        return False
    other, shape = b.partner(a)
    b.let(b.rng.choice(COMPARISONS).format(a=a.name, b=other), shape, "bool")
    return True


def flags(b: Body) -> bool:
    a = b.pick("bool")
    if a is None:
        return comparison(b)
    other, shape = b.partner(a)
    form = b.rng.choice(FLAGS)
    b.let(form.format(a=a.name, b=other), shape if "{b}" in form else a.shape, "bool")
    return True


def choice(b: Body) -> bool:
    """`where` by a flag, and flags as numbers."""
    flag = b.pick("bool")
    if flag is None:
        return comparison(b)
    a = b.shaped(b.pick() or flag, flag.shape)
    form = b.rng.choice([
        "torch.where({f}, {a}, 0.5 * {a})", "{a}.masked_fill({f}, 0.2)", "{a} * {f}",
        "{f}.to(dtype)", "torch.where({f}, {a}, 0.0)",
    ])  # fmt: skip
    b.let(form.format(f=flag.name, a=a.name), flag.shape)
    return True


def integers(b: Body) -> bool:
    a = b.pick("int")
    if a is None:
        return counts(b)
    other, shape = b.partner(a)
    form = b.rng.choice(INTEGERS)
    b.let(form.format(a=a.name, b=other), shape if "{b}" in form else a.shape, "int")
    return True


def counts(b: Body) -> bool:
    """Integers from flags and places."""
    flag, a = b.pick("bool"), b.pick("float", 1)
    if flag is not None and b.rng.random() < 0.5:
        form = b.rng.choice(["{f}.long()", "{f}.sum(-1)", "{f} + {f}", "{f} * 3"])
        if form == "{f}.sum(-1)" and not flag.shape:
            return False
        kind = "bool" if form == "{f} + {f}" else "int"
        b.let(form.format(f=flag.name), flag.shape[:-1] if "sum" in form else flag.shape, kind)
        return True
    if a is None:
        return False
    form = b.rng.choice(["{a}.argmax(-1)", "{a}.argmin(-1)", "({a} * 4).long()", "{a}.max(-1)[1]"])
    b.let(form.format(a=a.name), a.shape if "long" in form else a.shape[:-1], "int")
    return True


def lookup(b: Body) -> bool:
    """Integers as places: embedding, one-hot, gather."""
    token, a = b.pick("int"), b.pick("float", 1)
    if token is None:
        return counts(b)
    kind, size = b.rng.choice(["table", "one-hot", "gather"]), b.rng.choice([2, 5])
    if kind == "gather" and a is not None and len(a.shape) == 1 and not token.shape:
        place = f"({token.name} % {a.shape[0]}).unsqueeze(1)"
        b.let(f"{a.name}.gather(1, {place})", (1,))
    elif kind == "one-hot":
        b.let(f"F.one_hot({token.name} % {size}, {size}).to(dtype)", (*token.shape, size))
    else:
        width = b.rng.choice([1, 3, 8])
        table = b.parameter(size, width)
        form = b.rng.choice(["F.embedding({i}, {t})", "{t}[{i}]"])
        b.let(form.format(i=f"{token.name} % {size}", t=table), (*token.shape, width))
    return True


def product(b: Body) -> bool:
    a = b.pick("float", 1)
    if a is None:
        return False
    k = a.shape[-1]
    n = b.rng.choice([1, 2, 3, 5, 8, 17, k])
    kinds = ["matmul", "linear", "matvec", "reused"] + ["addmm"] * (len(a.shape) == 1)
    kind = b.rng.choice(kinds)
    if kind == "matmul":
        b.let(f"{a.name} @ {b.parameter(k, n)}", (*a.shape[:-1], n))
    elif kind == "linear":
        b.let(f"F.linear({a.name}, {b.parameter(n, k)}, {b.parameter(n)})", (*a.shape[:-1], n))
    elif kind == "matvec":
        b.let(f"{a.name} @ {b.parameter(k)}", a.shape[:-1])
    elif kind == "addmm":
        b.let(f"torch.addmm({b.parameter(n)}, {a.name}, {b.parameter(k, n)})", (n,))
    else:
        weight = b.parameter(k, k)
        b.let(f"torch.tanh({a.name} @ {weight}) @ {weight}.T", a.shape)
    return True


def product_of_rows(b: Body) -> bool:
    """Products of two values that differ by row."""
    a, c = b.pick("float", 1), b.pick("float", 1)
    if a is None or c is None or len(a.shape) != 1 or len(c.shape) != 1:
        return False
    if b.rng.random() < 0.5:
        b.let(f"{a.name}.unsqueeze(2) * {c.name}.unsqueeze(1)", a.shape + c.shape)
    else:
        outer = f"torch.bmm({a.name}.unsqueeze(2), {c.name}.unsqueeze(1))"
        b.let(outer, a.shape + c.shape)
    return True


def along(b: Body) -> bool:
    a = b.pick("float", 1)
    if a is None:
        return False
    forms = ALONG if b.rng.random() < 0.2 else ALONG[:6]
    axis = _axis(b, a)
    b.let(b.rng.choice(forms).format(a=a.name, d=axis), a.shape)
    return True


def norm(b: Body) -> bool:
    a = b.pick("float", 1)
    if a is None:
        return False
    size = a.shape[-1]
    weights = f"{b.parameter(size)}, {b.parameter(size)}" if b.rng.random() < 0.6 else "None, None"
    form = b.rng.choice(["F.layer_norm({a}, ({n},), {w})", "F.rms_norm({a}, ({n},))"])
    b.let(form.format(a=a.name, n=size, w=weights), a.shape)
    return True


def reduction(b: Body) -> bool:
    a = b.pick("float", 1)
    if a is None:
        return False
    forms = REDUCTIONS if b.rng.random() < 0.5 else REDUCTIONS[:6]
    axis, keep = _axis(b, a), b.rng.random() < 0.5
    place = axis if axis < 0 else axis - 1
    shape = list(a.shape)
    shape[place : place + 1 or None] = [1] if keep else []
    b.let(b.rng.choice(forms).format(a=a.name, d=axis, k=keep), shape)
    return True


def parts(b: Body) -> bool:
    """Slices, selections, splits."""
    a = b.pick(b.rng.choice(["float", "float", "float", "bool", "int"]), 1)
    if a is None or a.shape[-1] < 2:
        return False
    n, rest = a.shape[-1], a.shape[:-1]
    cut = b.rng.randint(1, n - 1)
    kind = b.rng.choice(["left", "right", "select", "split", "chunk", "unbind", "narrow", "stride"])
    if kind == "left":
        b.let(f"{a.name}[..., :{cut}]", (*rest, cut), a.kind)
    elif kind == "right":
        b.let(f"{a.name}[..., {cut}:]", (*rest, n - cut), a.kind)
    elif kind == "select":
        b.let(f"{a.name}[..., {b.rng.choice([cut, -1, 0])}]", rest, a.kind)
    elif kind == "split":
        sizes, part = [cut, n - cut], b.rng.randint(0, 1)
        b.let(f"{a.name}.split({sizes}, -1)[{part}]", (*rest, sizes[part]), a.kind)
    elif kind == "chunk":
        b.let(f"{a.name}.chunk(2, -1)[0]", (*rest, -(-n // 2)), a.kind)
    elif kind == "unbind":
        b.let(f"{a.name}.unbind(-1)[{cut}]", rest, a.kind)
    elif kind == "narrow":
        b.let(f"{a.name}.narrow(-1, {cut}, 1)", (*rest, 1), a.kind)
    elif b.rng.random() < 0.3:
        b.let(f"{a.name}[..., ::2]", (*rest, -(-n // 2)), a.kind)
    return True


def joined(b: Body) -> bool:
    """cat, stack, pad, repeat."""
    a = b.pick(b.rng.choice(["float", "float", "float", "bool"]))
    if a is None:
        return False
    alike = [v for v in b.values if v.kind == a.kind and v.shape[:-1] == a.shape[:-1] and v.shape]
    same = [v for v in b.values if v.kind == a.kind and v.shape == a.shape]
    if alike and a.shape and b.rng.random() < 0.6:
        chosen = [a, *b.rng.choices(alike, k=b.rng.randint(1, 2))]
        width = sum(v.shape[-1] for v in chosen)
        b.let(f"torch.cat([{_names(chosen)}], -1)", (*a.shape[:-1], width), a.kind)
    elif len(a.shape) < 3 and b.rng.random() < 0.6:
        chosen = [a, b.rng.choice(same)]
        axis = b.rng.randint(1, len(a.shape) + 1)
        shape = (*a.shape[: axis - 1], 2, *a.shape[axis - 1 :])
        b.let(f"torch.stack([{_names(chosen)}], {axis})", shape, a.kind)
    elif a.shape:
        form, extra = b.rng.choice([("F.pad({a}, (1, 0))", 1), ("F.pad({a}, (0, 2))", 2)])
        b.let(form.format(a=a.name), (*a.shape[:-1], a.shape[-1] + extra), a.kind)
    return True


def views(b: Body) -> bool:
    a = b.pick(b.rng.choice(["float", "float", "float", "bool", "int"]))
    if a is None:
        return False
    rank, shape = len(a.shape), a.shape
    kind = b.rng.choice(["flat", "unsqueeze", "expand", "transpose", "groups", "repeat", "rows"])
    if kind == "flat":
        b.flat(a)
    elif kind == "unsqueeze" and rank < 3:
        axis = b.rng.randint(1, rank + 1)
        new = b.let(f"{a.name}.unsqueeze({axis})", (*shape[: axis - 1], 1, *shape[axis - 1 :]),
                    a.kind)  # fmt: skip
        if b.rng.random() < 0.4:
            b.let(f"{new.name}.squeeze({axis})", shape, a.kind)
    elif kind == "expand" and rank and shape[-1] == 1:
        b.let(f"{a.name}.expand({', '.join(['-1'] * rank)}, 3)", (*shape[:-1], 3), a.kind)
    elif kind == "transpose" and rank == 2:
        b.let(f"{a.name}.transpose(1, 2)", shape[::-1], a.kind)
    elif kind == "groups" and rank == 1 and shape[0] % 2 == 0:
        form = b.rng.choice(["{a}.unflatten(1, (2, {n}))", "{a}.reshape(-1, 2, {n})"])
        b.let(form.format(a=a.name, n=shape[0] // 2), (2, shape[0] // 2), a.kind)
    elif kind == "repeat" and rank == 1 and shape[0] < 9:
        b.let(f"{a.name}.repeat(1, 2)", (2 * shape[0],), a.kind)
    elif kind == "rows" and a.kind == "float" and rank == 1:
        weight = b.parameter(shape[0])
        b.let(f"{weight}.expand({a.name}.shape[0], -1)", shape)
    return True


def in_place(b: Body) -> bool:
    a = b.pick("float", 1)
    if a is None:
        return False
    copy = b.let(f"{a.name} * 1.5", a.shape)
    n = a.shape[-1]
    form = b.rng.choice([
        "{a}.mul_(0.5)", "{a}.add_({b})", "{a}[..., :1] = 0.3", "{a}[..., -1] = {b}[..., 0]",
        "{a}.tanh_()", "{a}[..., :{c}] *= 2", "{a}.clamp_(-1, 1)", "{a}.masked_fill_({b} > 0, 0.1)",
        "{a}.copy_({b} * 2)", "{a}.zero_()",
    ])  # fmt: skip
    b.lines.append(form.format(a=copy.name, b=a.name, c=max(1, n // 2)))
    return True


def without_gradient(b: Body) -> bool:
    a = b.pick()
    if a is None:
        return False
    value = Value(f"v{len(b.values)}", a.shape)
    b.lines += ["with torch.no_grad():", f"    {value.name} = torch.tanh({a.name}) * 0.7"]
    b.values.append(value)
    return True


def training(b: Body) -> bool:
    a = b.pick()
    if a is None:
        return False
    b.uses.add("training")
    b.let(f"{a.name} * 0.5 if training else {a.name} + 0.1", a.shape)
    return True


OPERATIONS: dict[Callable[[Body], bool], int] = {
    unary: 20, binary: 20, product: 14, comparison: 4, flags: 4, choice: 6, integers: 5, counts: 4,
    lookup: 3, product_of_rows: 2, along: 5, norm: 3, reduction: 8, parts: 8, joined: 6, views: 7,
    in_place: 3, without_gradient: 1, training: 2,
}  # fmt: skip
"""Each with how often it is drawn."""


def _axis(b: Body, value: Value) -> int:
    """An axis within a row, mostly the last one."""
    if b.rng.random() < 0.6:
        return -1
    return b.rng.randint(1, len(value.shape))


def _names(values: list[Value]) -> str:
    return ", ".join(value.name for value in values)


def is_small(body: Body) -> bool:
    """Whether rows are still small enough that compiling and running take no time."""
    return sum(prod(value.shape) for value in body.values) < 600

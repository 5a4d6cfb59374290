"""The forward pass."""

from math import prod

from torch import fx

from elman.engine.graph.nodes import (
    factors,
    is_cheap,
    is_product,
    is_product_of_rows,
    is_row_tensor,
    unique,
)
from elman.engine.plan.dependencies import Dependencies, Nodes, absorbed
from elman.engine.plan.one_pass import Pass, Planner
from elman.engine.plan.parts import Loop


def forward_pass(planner: Planner, saved: list[fx.Node], joined: Nodes) -> Pass:
    """saved: what the backward pass wants of it. joined: products of the input that run inside the
    loop."""
    known, parts = planner.known, planner.parts
    loop = _loop(planner, saved, joined)
    wanted = _wanted_before(known, loop, saved)
    _, before = parts.needed(wanted, _is_placeholder)
    made = known.from_state | set(before)
    after = parts.make(
        _wanted_after(known, saved),
        # What only this part needs had better be made in it than written and read again.
        lambda node: _is_ready_after(known, node) and (_is_placeholder(node) or node in made),
    )
    read = [n for n in after.inputs if n not in known.from_state and not _is_placeholder(n)]
    return planner.made(parts.make(unique([*wanted, *read]), _is_placeholder), loop, after)


def joined_products(planner: Planner, keep: Nodes) -> set[fx.Node]:
    """Products of the input that only the loop reads, if all weights together stay in a cache; a
    product before the loop would write and read a stream."""
    known = planner.known
    candidates = known.forward - known.from_state
    inside = absorbed(known, known.loop, candidates, keep)
    found = {
        node for node in candidates
        if is_product_of_rows(node) and node not in keep
        and all(user in inside for user in node.users)
    }  # fmt: skip
    products = [node for node in (*found, *known.loop) if is_product(node)]
    weights = {factors(node)[1] for node in products}
    size = sum(prod(weight.meta["val"].shape) for weight in weights)
    fits = size * planner.types.stored.itemsize <= planner.limits.joined_weight_bytes
    return found if fits else set()


def _loop(planner: Planner, saved: list[fx.Node], joined: Nodes) -> Loop:
    known, trace = planner.known, planner.known.trace
    candidates = known.forward - known.from_state
    inside = absorbed(known, known.loop | joined, candidates, set(saved))
    lowering = planner.lowering(inside, trace.state)
    following = [lowering.full(node) for node in trace.next_state]
    read = planner.parts.needed(
        _wanted_after(known, saved), lambda node: _is_ready_after(known, node)
    )[0]
    written = [
        node for node in (*trace.outputs, *saved, *read)
        if node in known.loop or node in trace.state
    ]  # fmt: skip
    return planner.loop(lowering, following, unique(written))


def _wanted_before(known: Dependencies, loop: Loop, saved: list[fx.Node]) -> list[fx.Node]:
    outside = [node for node in known.trace.outputs if node not in known.from_state]
    streams = [node for node in loop.streams if not _is_placeholder(node)]
    return unique([*streams, *kept_before(known, saved), *outside])


def kept_before(known: Dependencies, saved: list[fx.Node]) -> list[fx.Node]:
    """Saved values that are computed before the loop."""
    return [node for node in saved if node not in known.from_state]


def _wanted_after(known: Dependencies, saved: list[fx.Node]) -> list[fx.Node]:
    given = set(known.trace.state)
    return [
        node for node in unique([*known.trace.outputs, *saved])
        if node in known.from_state and node not in known.loop and node not in given
    ]  # fmt: skip


def _is_ready_after(known: Dependencies, node: fx.Node) -> bool:
    if _is_placeholder(node):
        return True
    if node in known.loop:
        return is_row_tensor(node)
    # What was computed before the loop is kept rather than computed again, unless it is cheap.
    return node not in known.from_state and is_row_tensor(node) and not is_cheap(node)


def _is_placeholder(node: fx.Node) -> bool:
    return bool(node.op == "placeholder")

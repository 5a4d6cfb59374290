"""A prototype of elman's `triton` backend, forward only: Triton source from a list of expressions.

A cell is `parts` slices of one product `state @ W`, as many slices of an input stream, and lines of
elementwise Python, with `moments(a, b, ...)` for mean and 1/deviation of a row. Two forms of kernel:

- rows: one program takes BM rows through all steps; weights stay in shared memory. No meeting.
- grid: a program owns HU units of BM rows and all K of their weights. After each step (and at each
  `moments`) the programs of the same rows meet: sync=1 at a counter; sync=2 by polling the values
  themselves (the exchange buffer is filled with a NaN that no program stores); sync=0 not at all:
  one launch is one step, which is what the interpreter and a CUDA graph run. The source is the same.
  resident: weights lie in shared memory from before the loop; else they are read (L2) at each step.

The product is transposed: `W (parts * HU, K) @ state.T (K, BM)`. So weights are the 64 rows that a
warpgroup's matrix instruction wants, and a small batch is its N (8, 16, ...).
"""

import linecache
import os
import re
from dataclasses import dataclass
from functools import lru_cache

import torch
import triton
import triton.language as tl

WAIT = tl.constexpr(int(os.environ.get("ELMAN_WAIT", 10000)))  # polls before a program gives up


@dataclass(frozen=True)
class Cell:
    name: str
    parts: int  # slices of the product and of the input stream, each as wide as the state: 1, 2 or 4
    private: tuple[str, ...]  # states beside `h` that no product reads
    lines: tuple[str, ...]  # of p0.. (product), x0.. (stream), h and private; assigns h and private


GATES = ("i = sigmoid(%s)", "f = sigmoid(%s)", "g = tanh(%s)", "o = sigmoid(%s)", "c = f * c + i * g")
LSTM = Cell("lstm", 4, ("c",), (
    *(line % f"x{n} + p{n}" if "%" in line else line for n, line in enumerate(GATES)), "h = o * tanh(c)"))
RNN = Cell("rnn", 1, (), ("h = tanh(x0 + p0)",))
# torch's GRU; the bias inside r * (...) is a fourth slice of the stream, whose weights are zeros.
GRU = Cell("gru", 4, (), ("r = sigmoid(x0 + p0)", "z = sigmoid(x1 + p1)",
                          "n = tanh(x2 + r * (p2 + x3))", "h = n + z * (h - n)"))  # fmt: skip
LN_LSTM = Cell("ln_lstm", 4, ("c",), (
    "m, s = moments(p0, p1, p2, p3)",
    *(line % f"x{n} + (p{n} - m) * s" if "%" in line else line for n, line in enumerate(GATES)),
    "m, s = moments(c)", "h = o * tanh((c - m) * s)"))  # fmt: skip


LN_HALF = Cell("ln_half", 4, ("c",), tuple(  # the same with gains of one half: its steps contract
    line.replace("(p", "0.5 * (p") if " + (p" in line else line.replace("tanh((c - m) * s)", "tanh(0.5 * (c - m) * s)")
    for line in LN_LSTM.lines))


@triton.jit
def sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def tanh(x):  # wrong by up to 1e-7 near 0: absolute, not relative, accuracy
    return 1.0 - 2.0 / (tl.exp(2.0 * x) + 1.0)


@triton.jit
def arrive_counter(counters, group, tile, tiles, turn):
    pass


@triton.jit
def wait_counter(counters, group, tile, tiles, turn, failed):
    """As in the first run: one atomic, acquire and release; thread 0 polls; both inside one call."""
    counter, goal = counters + group, turn * tiles
    tl.debug_barrier()
    tl.atomic_add(counter, 1, sem="acq_rel", scope="gpu")
    spins = 0
    while (tl.atomic_add(counter, 0, sem="acquire", scope="gpu") < goal) & (spins < WAIT):
        spins += 1
    if spins >= WAIT:
        tl.store(failed, 1)
    tl.debug_barrier()


@triton.jit
def arrive_release(counters, group, tile, tiles, turn):
    tl.debug_barrier()
    tl.atomic_add(counters + group, 1, sem="release", scope="gpu")


@triton.jit
def wait_release(counters, group, tile, tiles, turn, failed):
    spins = 0
    while (tl.atomic_add(counters + group, 0, sem="acquire", scope="gpu") < turn * tiles) & (spins < WAIT):
        spins += 1
    if spins >= WAIT:
        tl.store(failed, 1)
    tl.debug_barrier()


@triton.jit
def arrive_red(counters, group, tile, tiles, turn):
    """Thread 0 adds without an answer."""
    tl.debug_barrier()
    tl.inline_asm_elementwise(
        "{ .reg .pred first; .reg .u32 id; mov.u32 id, %tid.x; setp.eq.u32 first, id, 0; "
        "@first red.release.gpu.global.add.u32 [$1], 1; mov.u32 $0, 0; }",
        "=r,l", [counters + group], dtype=tl.int32, is_pure=False, pack=1)


@triton.jit
def wait_red(counters, group, tile, tiles, turn, failed):
    """Every thread polls for itself: no barrier, no broadcast afterwards."""
    goal = (turn * tiles).to(tl.int32)
    seen = tl.inline_asm_elementwise(
        "{ .reg .pred go; .reg .u32 n, v; mov.u32 n, 0; again: ld.acquire.gpu.global.u32 v, [$1]; add.u32 n, n, 1; "
        "setp.lt.s32 go, v, $2; setp.lt.and.u32 go, n, 10000, go; @go bra again; mov.u32 $0, v; }",
        "=r,l,r", [counters + group, goal], dtype=tl.int32, is_pure=False, pack=1)
    if seen < goal:
        tl.store(failed, 1)


@triton.jit
def arrive_flags(counters, group, tile, tiles, turn):
    """A flag a program, written by it alone: no atomics."""
    tl.debug_barrier()
    tl.inline_asm_elementwise(
        "{ .reg .pred first; .reg .u32 id; mov.u32 id, %tid.x; setp.eq.u32 first, id, 0; "
        "@first st.release.gpu.global.u32 [$1], $2; mov.u32 $0, 0; }",
        "=r,l,r", [counters + group * tiles + tile, turn.to(tl.int32)], dtype=tl.int32, is_pure=False, pack=1)


@triton.jit
def wait_flags(counters, group, tile, tiles, turn, failed):
    """Thread i polls program i's flag; at most as many programs in a group as threads."""
    turn = turn.to(tl.int32)
    seen = tl.inline_asm_elementwise(
        "{ .reg .pred go; .reg .u32 n, v, i; .reg .u64 a; mov.u32 i, %tid.x; min.u32 i, i, $3; mul.wide.u32 a, i, 4; add.u64 a, a, $1; "
        "mov.u32 n, 0; again: ld.acquire.gpu.global.u32 v, [a]; add.u32 n, n, 1; "
        "setp.lt.s32 go, v, $2; setp.lt.and.u32 go, n, 10000, go; @go bra again; mov.u32 $0, v; }",
        "=r,l,r,r", [counters + group * tiles, turn, tiles - 1], dtype=tl.int32, is_pure=False, pack=1)
    if seen < turn:
        tl.store(failed, 1)
    tl.debug_barrier()


@triton.jit
def unwritten(a):
    """1 where a value is still the NaN that the exchange buffer was filled with (all bits set)."""
    if a.dtype == tl.float32:
        return (a.to(tl.int32, bitcast=True) == -1).to(tl.int32)
    else:
        return (a.to(tl.int16, bitcast=True) == -1).to(tl.int32)


@triton.jit
def merged(place, tiles, row, rows, total, T2: tl.constexpr):
    """Mean and 1/deviation of whole rows from each tile's count, mean and squares about it."""
    tile = tl.arange(0, T2)[:, None]
    at, known = place + tile * (3 * rows) + row[None, :], (tile < tiles) & (row < rows)[None, :]
    n = tl.load(at, mask=known, other=0.0, cache_modifier=".cg")
    mean = tl.load(at + rows, mask=known, other=0.0, cache_modifier=".cg")
    squares = tl.load(at + 2 * rows, mask=known, other=0.0, cache_modifier=".cg")
    whole = tl.sum(n * mean, 0)[None, :] / total
    apart = mean - whole
    return whole, tl.rsqrt(tl.sum(squares + n * apart * apart, 0)[None, :] / total + 1e-5)


def source_of(cell: Cell, f: 'Form', H: int) -> str:
    """Triton source. The contraction runs over `blocks` blocks of K."""
    form, K, blocks, resident, drop = f.form, f.K, f.blocks, f.resident, f.drop.split()
    g, lines, grid = cell.parts, [], form == "grid"
    reductions = sum("moments(" in line for line in cell.lines)
    turn = f"(t - t0) * ({reductions} + (SYNC == 1)) + %d"  # meetings so far
    arrive = lambda n: f"arrive_{f.meeting}(counters, tl.program_id(1), tile, tiles, {turn % n})"  # noqa: E731
    wait = lambda n: f"wait_{f.meeting}(counters, tl.program_id(1), tile, tiles, {turn % n}, failed)"  # noqa: E731
    put = lambda depth, text: lines.append("    " * depth + text)  # noqa: E731
    private = [f"{s}_in, {s}_out" for s in cell.private]
    put(0, "@triton.jit(do_not_specialize=['t0', 't1'])")
    put(0, f"def {form}_{cell.name}(x, w, hx, {', '.join([*private, ''])}{'kept, cells, ' if f.save else ''}scratch, counters, failed, t0, t1, B, H: tl.constexpr,")
    put(0, "        HU: tl.constexpr, BM: tl.constexpr, T2: tl.constexpr, SYNC: tl.constexpr, PRECISION: tl.constexpr):")
    put(1, "tile = tl.program_id(0)")
    put(1, "tiles = tl.num_programs(0)")
    put(1, "row = tl.program_id(1) * BM + tl.arange(0, BM)")
    put(1, "unit = tile * HU + tl.arange(0, HU)")
    put(1, "mine = (unit < H)[:, None] & (row < B)[None, :]")
    put(1, "at = row[None, :] * H + unit[:, None]")
    put(1, "wide = (tl.program_id(1) * 0).to(tl.int64)  # counts in 64 bits")
    def states() -> None:
        for s in cell.private:
            put(1, f"{s} = tl.load({s}_in + at, mask=mine, other=0.0).to(tl.float32)")
        put(1, "h = tl.load(hx + (wide + t0) * B * H + at, mask=mine, other=0.0).to(tl.float32)")
    # w is packed: (tiles, parts * HU, K * blocks), zeros where padded.
    if f.pdl:
        put(1, "tl.extra.cuda.gdc_launch_dependents()")
    put(1, f"part = tl.arange(0, {g} * HU if {grid} else HU)")
    first = "(tile * %d * HU + %%s part[:, None]) * %d + %%s[None, :]" % (g, K * blocks)
    count = blocks if grid else g
    if resident:
        for n in range(count):
            place = first % (("", f"({n * K} + tl.arange(0, {K}))") if grid else (f"{n} * HU +", f"tl.arange(0, {K})"))
            put(1, f"w{n} = tl.load(w + {place})")
    stream = [f"x{p} = tl.load(x + (wide + %s) * B * {g * H} + row[None, :] * {g * H} + {p} * H + unit[:, None], mask=mine%s, other=0.0).to(tl.float32)" for p in range(g)]
    for text in stream:
        put(1, text % ("t0", ""))
    if f.pdl:  # what does not depend on the step before is on its way already
        put(1, "tl.extra.cuda.gdc_wait()")
    states()
    if "load" in drop:
        for b in range(blocks):
            put(1, f"k{b} = {b * K} + tl.arange(0, {K})")
            put(1, f"a{b} = tl.load(hx + row[None, :] * H + k{b}[:, None], mask=(k{b} < H)[:, None] & (row < B)[None, :], other=0.0)")
    put(1, "for t in tl.range(t0, t1, num_stages=1):")
    put(2, "base = (wide + t) * B * H")

    def exchanged(depth: int, name: str, k: str) -> None:
        """What other programs made in the step before."""
        known = f"({k} < H)[:, None] & (row < B)[None, :]"
        load = f"{name} = tl.load(hx + base + row[None, :] * H + {k}[:, None], mask={known}, other=0.0, %s)"
        put(depth, "if SYNC == 2:")
        put(depth + 1, load % "volatile=True")
        put(depth + 1, "spins = 0")
        put(depth + 1, f"while (tl.max(tl.max(unwritten({name}), 1), 0) > 0) & (spins < WAIT):")
        put(depth + 2, load % "volatile=True")
        put(depth + 2, "spins += 1")
        put(depth + 1, "if spins >= WAIT:")
        put(depth + 2, "tl.store(failed, 1)")
        put(depth, "else:")
        put(depth + 1, load % "cache_modifier='.cg'")

    if not grid:
        put(2, "a = h.to(w.dtype.element_ty)")
        for p in range(g):
            put(2, f"p{p} = tl.dot(w{p}, a, input_precision=PRECISION)")
    else:
        put(2, f"acc = tl.zeros([{g} * HU, BM], tl.float32)")
        if "product" in drop:
            pass
        elif "load" in drop:
            for b in range(blocks):
                put(2, f"acc = tl.dot(w{b}, a{b}, acc, input_precision=PRECISION)")
        elif resident:
            for b in range(blocks):
                put(2, f"k{b} = {b * K} + tl.arange(0, {K})")
                exchanged(2, f"a{b}", f"k{b}")
            for b in range(blocks):
                put(2, f"acc = tl.dot(w{b}, a{b}, acc, input_precision=PRECISION)")
        else:
            put(2, f"for kb in tl.range(0, {K * blocks}, {K}, num_stages=3):")
            put(3, f"k = kb + tl.arange(0, {K})")
            exchanged(3, "a", "k")
            put(3, f"acc = tl.dot(tl.load(w + {first % ('', 'k')}), a, acc, input_precision=PRECISION)")
        if g == 4:
            put(2, "low, high = tl.split(tl.permute(tl.reshape(acc, [2, 2, HU, BM]), [2, 3, 1, 0]))")
            put(2, "p0, p1 = tl.split(low)")
            put(2, "p2, p3 = tl.split(high)")
        else:
            put(2, "p0, p1 = tl.split(tl.permute(tl.reshape(acc, [2, HU, BM]), [1, 2, 0]))" if g == 2 else "p0 = acc")
    met = 0
    for line in cell.lines:
        found = re.fullmatch(r"(\w+), (\w+) = moments\((.*)\)", line)
        if not found:
            put(2, line)
            continue
        mean, scale, values = found[1], found[2], found[3].split(", ")
        put(2, f"n = tl.sum((unit < H).to(tl.float32)) * {len(values)}")
        put(2, f"{mean} = (tl.sum(tl.where(mine, {' + '.join(values)}, 0.0), 0) / n)[None, :]")
        put(2, "squares = tl.sum(tl.where(mine, %s, 0.0), 0)" % " + ".join(f"({v} - {mean}) * ({v} - {mean})" for v in values))
        if not grid:
            put(2, f"{scale} = tl.rsqrt(squares / n + 1e-5)[None, :]")
            continue
        put(2, f"slot = scratch + {3 * met} * tiles * B")
        put(2, "cell = slot + tile * 3 * B + row")
        put(2, "tl.store(cell, tl.zeros([BM], tl.float32) + n, mask=row < B)")
        put(2, f"tl.store(cell + B, tl.reshape({mean}, [BM]), mask=row < B)")
        put(2, "tl.store(cell + 2 * B, squares, mask=row < B)")
        put(2, arrive(met + 1))
        put(2, wait(met + 1))
        put(2, f"{mean}, {scale} = merged(slot, tiles, row, B, {len(values)} * H, T2)")
        met += 1
    put(2, "new = h.to(hx.dtype.element_ty)")
    put(2, "if SYNC == 2:")
    put(3, "new = tl.where(new == new, new, float('nan')).to(hx.dtype.element_ty)")
    put(2, "tl.store(hx + base + B * H + at, new, mask=mine)")
    put(2, "h = new.to(tl.float32)")
    meets = grid and "meeting" not in drop
    if meets:
        put(2, "if SYNC == 1:")
        put(3, arrive(met + 1))
    if f.save:  # after the arrival: their way to memory is hidden by the wait
        for p, name in enumerate("ifgo"):
            put(2, f"tl.store(kept + base * 4 + row[None, :] * (4 * H) + {p} * H + unit[:, None], {name}.to(hx.dtype.element_ty), mask=mine)")
        put(2, "tl.store(cells + base + B * H + at, c.to(hx.dtype.element_ty), mask=mine)")
    for text in stream:  # on their way while the programs meet
        put(2, text % ("t + 1", " & (row * 0 + t + 1 < t1)[None, :]"))
    if meets:
        put(2, "if SYNC == 1:")
        put(3, wait(met + 1))
    for s in cell.private:
        put(1, f"tl.store({s}_out + at, {s}.to({s}_out.dtype.element_ty), mask=mine)")
    return "\n".join(lines) + "\n"


@lru_cache(maxsize=None)
def kernel_of(cell: Cell, f: "Form", H: int):
    """The function; Triton reads its source with inspect, which asks linecache. No file is written."""
    text = source_of(cell, f, H)
    filename = f"<elman {cell.name} {H} {f}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    scope = dict(globals())
    exec(compile(text, filename, "exec"), scope)
    return scope[f"{f.form}_{cell.name}"]


@dataclass(frozen=True)
class Form:
    form: str
    HU: int
    BM: int
    K: int
    blocks: int
    tiles: int
    warps: int
    resident: bool
    meeting: str = "counter"
    drop: str = ""  # what a step leaves out, for its time alone
    save: bool = False  # gates and cells for the backward loop
    pdl: bool = False


def form_of(H: int, form: str, HU: int = 16, BM: int = 16, warps: int = 4, resident: bool = True, K: int = 0) -> Form:
    if form == "rows":
        padded = max(16, triton.next_power_of_2(H))
        return Form("rows", padded, BM, padded, 1, 1, warps, True)
    if not K:  # the largest power of two that wastes nothing
        K = next((k for k in (256, 128, 64, 32) if H % k == 0), 16) if resident else 64
    return Form("grid", HU, BM, K, -(-H // K), -(-H // HU), warps, resident)


def pack(cell: Cell, f: Form, weight: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """weight (parts, H units, H) to (tiles, parts * HU, K * blocks), padded with zeros."""
    g, H = cell.parts, weight.shape[1]
    out = weight.new_zeros(g, f.tiles * f.HU, f.K * f.blocks, dtype=dtype)
    out[:, :H, :H] = weight.to(dtype)
    return out.view(g, f.tiles, f.HU, -1).transpose(0, 1).reshape(f.tiles, g * f.HU, -1).contiguous()


def run(cell: Cell, f: Form, x, w, h0, private, sync: int = 1, precision: str = "tf32", cooperative: bool = True, buffers=None, kept=()):
    """x (T, B, parts * H), w packed, h0 (B, H), private (B, H) each. Outputs (T, B, H), the last h, the
    last private states (float32), and a flag that is not 0 if programs waited in vain."""
    T, B, H = x.shape[0], x.shape[1], h0.shape[1]
    kernel = kernel_of(cell, f, H)
    groups = -(-B // f.BM)
    new = lambda *shape, dtype=torch.float32: torch.zeros(shape, dtype=dtype, device=x.device)  # noqa: E731
    hx, counters, scratch = buffers or (x.new_empty(T + 1, B, H), new(groups * f.tiles + 1, dtype=torch.int32), new(6 * f.tiles * B))
    if sync == 2:
        hx.view(torch.int16 if hx.element_size() == 2 else torch.int32).fill_(-1)
    hx[0] = h0
    states = [s.float().clone() for s in private]  # the two take turns
    out = [torch.empty_like(s) for s in states]
    for t0, t1 in [(0, T)] if sync or f.form == "rows" else [(t, t + 1) for t in range(T)]:
        pairs = [tensor for pair in zip(states, out) for tensor in pair]
        options = dict(num_warps=f.warps, num_stages=3, enable_fp_fusion=True)
        if f.pdl:
            options["launch_pdl"] = True
        if sync and f.form == "grid" and cooperative:
            options["launch_cooperative_grid"] = True
        kernel[(f.tiles, groups)](
            x, w, hx, *pairs, *kept, scratch, counters, counters[-1:], t0, t1, B,
            H=H, HU=f.HU, BM=f.BM, T2=triton.next_power_of_2(f.tiles), SYNC=sync, PRECISION=precision, **options)  # fmt: skip
        states, out = out, states
    return hx[1:], hx[T], states, counters[-1:]

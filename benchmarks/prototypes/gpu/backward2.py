"""The LSTM's backward loop in the grid form: the contraction over all gates (4H) is cut into `parts`
pieces, the batch of a three-dimensional tl.dot (warps share them), which are added afterwards. What a
step reads of its own (gates, cells, the output's cotangent) is loaded before the meeting."""
from rowkernels2 import *


def backward_source(H: int, HU: int, K: int, parts: int, meeting: str, pdl: bool) -> str:
    span = 4 * H // parts
    blocks = span // K
    assert span % K == 0 and H % HU == 0
    lines = []
    put = lambda depth, text: lines.append("    " * depth + text)  # noqa: E731
    put(0, "@triton.jit(do_not_specialize=['t0', 't1'])")
    put(0, "def lstm_backward(dout, gates, cells, w, ex, dc_in, dc_out, counters, failed, t0, t1, B, H: tl.constexpr,")
    put(0, "        HU: tl.constexpr, BM: tl.constexpr, SYNC: tl.constexpr, PRECISION: tl.constexpr):")
    put(1, "tile = tl.program_id(0)")
    put(1, "tiles = tl.num_programs(0)")
    put(1, "row = tl.program_id(1) * BM + tl.arange(0, BM)")
    put(1, "unit = tile * HU + tl.arange(0, HU)")
    put(1, "mine = (unit < H)[:, None] & (row < B)[None, :]")
    put(1, "at = row[None, :] * H + unit[:, None]")
    put(1, "four = row[None, :] * (4 * H) + unit[:, None]")
    put(1, "wide = (tl.program_id(1) * 0).to(tl.int64)")
    put(1, f"piece = tl.arange(0, {parts})[:, None, None]")
    put(1, f"k = tl.arange(0, {K})")
    if pdl:
        put(1, "tl.extra.cuda.gdc_launch_dependents()")
    for b in range(blocks):
        put(1, f"w{b} = tl.load(w + ((tile * {parts} + piece) * HU + tl.arange(0, HU)[None, :, None]) * {span} + {b * K} + k[None, None, :])")

    def own(depth: int, t: str, extra: str) -> None:
        put(depth, f"saved = gates + (wide + {t}) * B * 4 * H + four")
        for n, name in enumerate("ifgo"):
            put(depth, f"{name} = tl.load(saved + {n} * H, mask=mine{extra}, other=0.0).to(tl.float32)")
        put(depth, f"before = tl.load(cells + (wide + {t}) * B * H + at, mask=mine{extra}, other=0.0).to(tl.float32)")
        put(depth, f"above = tl.load(dout + (wide + {t}) * B * H + at, mask=mine{extra}, other=0.0).to(tl.float32)")

    own(1, "t1 - 1", "")
    if pdl:
        put(1, "tl.extra.cuda.gdc_wait()")
    put(1, "dc = tl.load(dc_in + at, mask=mine, other=0.0)")
    put(1, "for back in tl.range(0, t1 - t0, num_stages=1):")
    put(2, "t = t1 - 1 - back")
    put(2, f"acc = tl.zeros([{parts}, HU, BM], tl.float32)")
    for b in range(blocks):
        put(2, f"a{b} = tl.load(ex + (wide + t + 1) * B * 4 * H + row[None, None, :] * (4 * H) + piece * {span} + {b * K} + k[None, :, None], mask=(row < B)[None, None, :], other=0.0, cache_modifier='.cg')")
    for b in range(blocks):
        put(2, f"acc = tl.dot(w{b}, a{b}, acc, input_precision=PRECISION)")
    put(2, "dh = tl.sum(acc, 0) + above")
    put(2, "tc = tanh(f * before + i * g)  # computed again rather than saved")
    put(2, "dc += dh * o * (1 - tc * tc)")
    put(2, "out = ex + (wide + t) * B * 4 * H + four")
    for n, value in enumerate(("dc * g * i * (1 - i)", "dc * before * f * (1 - f)", "dc * i * (1 - g * g)", "dh * tc * o * (1 - o)")):
        put(2, f"tl.store(out + {n} * H, ({value}).to(ex.dtype.element_ty), mask=mine)")
    put(2, "dc *= f")
    put(2, "if SYNC == 1:")
    put(3, f"arrive_{meeting}(counters, tl.program_id(1), tile, tiles, back + 1)")
    own(2, "t - 1", " & (row * 0 + t > t0)[None, :]")
    put(2, "if SYNC == 1:")
    put(3, f"wait_{meeting}(counters, tl.program_id(1), tile, tiles, back + 1, failed)")
    put(1, "tl.store(dc_out + at, dc, mask=mine)")
    return "\n".join(lines) + "\n"


@lru_cache(maxsize=None)
def backward_kernel(H: int, HU: int, K: int, parts: int, meeting: str, pdl: bool):
    text = backward_source(H, HU, K, parts, meeting, pdl)
    filename = f"<elman backward {H} {HU} {K} {parts} {meeting} {pdl}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    scope = dict(globals())
    exec(compile(text, filename, "exec"), scope)
    return scope["lstm_backward"]


@dataclass(frozen=True)
class Back:
    HU: int
    BM: int
    K: int
    parts: int
    warps: int
    meeting: str = "counter"
    pdl: bool = False


def pack_backward(b: Back, weight_hh: torch.Tensor) -> torch.Tensor:
    """weight_hh (4H, H) to (tiles, parts, HU, span)."""
    wide, H = weight_hh.shape
    return weight_hh.view(b.parts, wide // b.parts, H // b.HU, b.HU).permute(2, 0, 3, 1).contiguous()


def run_backward(b: Back, dout, gates, cells, w, ex, dc, counters, sync: int = 1, precision: str = "tf32"):
    """dout (T, B, H), gates (T, B, 4, H), cells (T + 1, B, H), ex (T + 1, B, 4, H) with zeros at T,
    dc a pair of (B, H) float32. Fills ex[:T]; returns the cotangent of the first cell state."""
    T, B, H = dout.shape
    kernel = backward_kernel(H, b.HU, b.K, b.parts, b.meeting, b.pdl)
    options = dict(num_warps=b.warps, num_stages=1, enable_fp_fusion=True)
    if sync and dout.is_cuda:
        options["launch_cooperative_grid"] = True
    if b.pdl:
        options["launch_pdl"] = True
    first, second = dc
    for t0, t1 in [(0, T)] if sync else [(t, t + 1) for t in reversed(range(T))]:
        kernel[(H // b.HU, -(-B // b.BM))](dout, gates, cells, w, ex, first, second, counters, counters[-1:], t0, t1, B,
            H=H, HU=b.HU, BM=b.BM, SYNC=sync, PRECISION=precision, **options)  # fmt: skip
        first, second = second, first
    return first

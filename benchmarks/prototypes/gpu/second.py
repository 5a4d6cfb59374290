"""Second measurement: `python second.py [seconds]`."""
from dataclasses import replace

from backward2 import *

# ---------------------------------------------------------------------------------------------------
# The benchmark. `python on_gpu.py [seconds]` on a machine with a GPU; with TRITON_INTERPRET=1 and no
# GPU it runs tiny sizes on the CPU, to try the script itself (its times then mean nothing).

import statistics
import sys
import time

GPU = torch.cuda.is_available()
DEVICE = "cuda" if GPU else "cpu"
START, BUDGET = time.time(), float(sys.argv[1]) if len(sys.argv) > 1 else 400
ROWS: list[tuple] = []


def mend_interpreter() -> None:
    """Triton's interpreter (3.7.1, 3.9.0) multiplies the bit patterns of bfloat16 in tl.dot."""
    import numpy as np
    from triton.runtime import interpreter as it

    def create_dot(self, a, b, d, precision, imprecise):
        wide = lambda v: (v.data.astype(np.uint32) << 16).view(np.float32) if v.dtype.scalar == tl.bfloat16 else v.data  # noqa: E731
        return it.TensorHandle(np.matmul(wide(a), wide(b), dtype=d.data.dtype) + d.data, d.dtype.scalar)

    it.InterpreterBuilder.create_dot = create_dot



def late(share: float = 1.0) -> bool:
    return time.time() - START > BUDGET * share


def median_ms(function, repeats: int = 20, most: float = 2.0) -> tuple[float, float]:
    """Median and spread (p90 - p10) of one call, by CUDA events."""
    for _ in range(3):
        function()
    times, until = [], time.time() + most
    for _ in range(repeats if GPU else 2):
        if GPU:
            a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            a.record(); function(); b.record(); b.synchronize()  # noqa: E702
            times.append(a.elapsed_time(b))
        else:
            t = time.perf_counter(); function(); times.append((time.perf_counter() - t) * 1e3)  # noqa: E702
        if time.time() > until and len(times) >= 3:
            break
    times.sort()
    return statistics.median(times), times[int(0.9 * (len(times) - 1))] - times[int(0.1 * (len(times) - 1))]


def graphed(function):
    """The same work as a CUDA graph; None where there is no GPU, or where it can't be captured."""
    if not GPU or late():
        return None
    try:
        return captured(function)
    except Exception as failure:
        print(f"  not captured: {type(failure).__name__}: {str(failure)[:140]}", flush=True)
        return None


def captured(function):
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        function(); function()  # noqa: E702
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    return graph.replay


def note(case: str, what: str, function, error: float | None = None, **kw) -> None:
    if function is None or late():
        return
    try:
        ms, spread = median_ms(function, **kw)
        ROWS.append((case, what, ms, spread, error))
        print(f"  {what:52s} {ms:9.3f} ms  +-{spread:.3f}" + ("" if error is None else f"  error {error:.1e}"), flush=True)
    except Exception as failure:
        print(f"  {what:52s} FAILED {type(failure).__name__}: {str(failure)[:140]}", flush=True)


def tf32(on: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = on
    torch.backends.cudnn.allow_tf32 = on


def relative(a, b) -> float:
    return ((a.double() - b.double()).norm() / b.double().norm()).item()


def step_of(cell: Cell):
    """One step as a user writes it: separate ATen operations."""
    sg, th = torch.sigmoid, torch.tanh

    def lstm(x, h, c, w):
        i, f, g, o = (x + h @ w).chunk(4, 1)
        c = sg(f) * c + sg(i) * th(g)
        return sg(o) * th(c), c

    def norm(v):
        return (v - v.mean(1, keepdim=True)) * (v.var(1, correction=0, keepdim=True) + 1e-5).rsqrt()

    def ln_lstm(x, h, c, w):
        i, f, g, o = (x + norm(h @ w)).chunk(4, 1)
        c = sg(f) * c + sg(i) * th(g)
        return sg(o) * th(norm(c)), c

    def gru(x, h, c, w):
        r, z, n, b = x.chunk(4, 1)
        pr, pz, pn = (h @ w).chunk(3, 1)
        n = th(n + sg(r + pr) * (pn + b))
        return n + sg(z + pz) * (h - n), c

    def ln_half(x, h, c, w):
        i, f, g, o = (x + 0.5 * norm(h @ w)).chunk(4, 1)
        c = sg(f) * c + sg(i) * th(g)
        return sg(o) * th(0.5 * norm(c)), c

    return {"lstm": lstm, "ln_lstm": ln_lstm, "ln_half": ln_half, "gru": gru}[cell.name]


def loop(step, x, h, c, w):
    out = []
    for x_t in x.unbind(0):
        h, c = step(x_t, h, c, w)
        out.append(h)
    return torch.stack(out)


def plain_error(step, x, h0, c0, w, oracle):
    out = loop(step, x, h0, c0, w)
    return " ".join(f"{relative(out[t - 1], oracle[t - 1]):.1e}" for t in (1, 4, 8, 16, 32, 64, 128, 256) if t <= len(out))


def measure(cell: Cell, *args) -> None:
    try:
        measure_case(cell, *args)
    except Exception as failure:
        print(f"  case FAILED {type(failure).__name__}: {str(failure)[:300]}", flush=True)


def measure_case(cell: Cell, B: int, T: int, H: int, dtype, forms, builtin: str | None, peers: bool = False) -> None:
    """forms: (label, Form, sync, precision)."""
    case = f"{cell.name} B{B} T{T} H{H} {str(dtype)[6:]}"
    print(f"\n{case}   [{time.time() - START:.0f} s]", flush=True)
    torch.manual_seed(1)
    gates = 3 if cell is GRU else 4
    layer = getattr(torch.nn, builtin or "LSTM")(H, H).to(DEVICE)
    xs = torch.randn(T, B, H, device=DEVICE)
    layer, xs = layer.to(dtype), xs.to(dtype)
    h0, c0 = torch.randn(B, H, device=DEVICE).to(dtype), torch.randn(B, H, device=DEVICE).to(dtype)
    weight = layer.weight_hh_l0.detach().view(gates, H, H)
    private = [c0] if cell.private else []
    first = (h0[None], c0[None]) if cell is not GRU else h0[None]

    def project():  # the input's product, with all biases: what cuDNN does inside
        if cell is GRU:
            bias = torch.cat([layer.bias_ih_l0[: 2 * H] + layer.bias_hh_l0[: 2 * H], layer.bias_ih_l0[2 * H :]])
            gi = torch.addmm(bias, xs.view(T * B, H), layer.weight_ih_l0.T).view(T, B, 3 * H)
            return torch.cat([gi, layer.bias_hh_l0[2 * H :].expand(T, B, H)], 2)
        bias = layer.bias_ih_l0 + layer.bias_hh_l0
        return torch.addmm(bias, xs.view(T * B, H), layer.weight_ih_l0.T).view(T, B, 4 * H)

    with torch.no_grad():
        tf32(False)
        x = project().contiguous()
        # The oracle: the same rounded numbers, one step after the other in float64 on the device.
        oracle = loop(step_of(cell), x.double(), h0.double(), c0.double(), weight.double().flatten(0, 1).T)
        if builtin and dtype == torch.float32:
            print(f"  oracle against nn.{builtin}: {relative(layer(xs, first)[0], oracle):.1e}")
        w_t = weight.flatten(0, 1).T.contiguous()
        for allowed in ((True, False) if dtype == torch.float32 else (True,)):
            tf32(allowed)
            label = {torch.float32: " tf32" if allowed else " fp32"}.get(dtype, "")
            if builtin:
                note(case, f"cuDNN nn.{builtin}{label}, with input product", lambda: layer(xs, first), relative(layer(xs, first)[0], oracle))
            note(case, f"input product{label} alone", project)
        tf32(True)
        if builtin and dtype == torch.bfloat16 and GPU:
            half = getattr(torch.nn, builtin)(H, H).to(DEVICE).half()
            hx = torch.randn(T, B, H, device=DEVICE).half()
            note(case, f"cuDNN nn.{builtin} float16, with input product", lambda: half(hx))
        step = step_of(cell)
        horizon = 8 if cell is LN_LSTM else T  # beyond, rounding alone decides: the map does not contract
        if horizon < T:
            short, full = plain_error(step, x, h0, c0, w_t, oracle), None
            print(f"  Python loop, error after 1 4 8 16 32 64 128 256 steps: {short}")
        plain = lambda: loop(step, x, h0, c0, w_t)  # noqa: E731
        note(case, "Python loop (no input product)", plain, relative(plain()[:horizon], oracle[:horizon]), repeats=5, most=1.5)
        note(case, "Python loop as a CUDA graph", graphed(plain) if not late(0.9) else None)
    for name, f, sync, precision in forms:
        if late():
            break
        try:
            packed_weight = pack(cell, f, torch.cat([weight, torch.zeros_like(weight[:1])]) if cell is GRU else weight, dtype)
            groups = -(-B // f.BM)
            hx = torch.full((T + 1, B, H), float("nan"), device=DEVICE, dtype=dtype)
            counters = torch.zeros(groups * f.tiles + 1, dtype=torch.int32, device=DEVICE)
            scratch = torch.zeros(6 * f.tiles * B, device=DEVICE)

            def go(f=f, sync=sync, precision=precision, w=packed_weight, b=(hx, counters, scratch), keep=counters):
                keep[:-1].zero_()
                return run(cell, f, x, w, h0, private, sync, precision, cooperative=GPU, buffers=b)

            with torch.no_grad():
                out, _, _, failed = go()
                error, first_out, bad = relative(out[:horizon], oracle[:horizon]), out.clone(), int(failed[0])
                if f.drop:
                    note(case, f"TIMING ONLY without {f.drop}, in a graph", graphed(go))
                    continue
                same = torch.equal(go()[0], first_out)
                limit = 3e-2 if dtype == torch.bfloat16 else 3e-3 if precision == "tf32" else 2e-5
                fine = error < limit and not bad and same
                what = f"{name} {precision if dtype == torch.float32 else ''} ({f.tiles * groups} programs)"
                if not fine:
                    ROWS.append((case, what, float("nan"), float("nan"), error))
                    print(f"  {what:52s} WRONG error {error:.1e} gave up {bad} same twice {same}", flush=True)
                    counters.zero_()
                    continue
                if sync or f.form == "rows":
                    note(case, what, go, error)
                    what += ", in a graph"  # without the time of launching from Python
                note(case, what, graphed(go), error)
        except Exception as failure:
            print(f"  {name:52s} FAILED {type(failure).__name__}: {str(failure)[:200]}", flush=True)
    if builtin and GPU and peers and not late():
        for kind in {dtype, torch.float16 if dtype == torch.bfloat16 else dtype}:
            trained = getattr(torch.nn, builtin)(H, H).to(DEVICE).to(kind)
            inputs = torch.randn(T, B, H, device=DEVICE, dtype=kind, requires_grad=True)
            above = torch.randn(T, B, H, device=DEVICE, dtype=kind)
            note(case, f"cuDNN forward and backward, {str(kind)[6:]}", lambda: trained(inputs)[0].backward(above))



MEETINGS = ("counter", "release", "red", "flags")


def only_meet_of(meeting: str):
    text = f"""@triton.jit
def only_{meeting}(counters, failed, T):
    tile = tl.program_id(0)
    tiles = tl.num_programs(0)
    for t in range(T):
        arrive_{meeting}(counters, 0, tile, tiles, t + 1)
        wait_{meeting}(counters, 0, tile, tiles, t + 1, failed)
"""
    filename = f"<only {meeting}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    scope = dict(globals())
    exec(compile(text, filename, "exec"), scope)
    return scope[f"only_{meeting}"]


def meetings() -> None:
    for meeting in MEETINGS:
        kernel = only_meet_of(meeting)
        for programs in (8, 24, 48, 96, 128):
            flags = torch.zeros(programs + 2, dtype=torch.int32, device=DEVICE)

            def go(programs=programs, flags=flags):
                flags.zero_()
                kernel[(programs,)](flags, flags[programs + 1 :], 1000, num_warps=4, launch_cooperative_grid=True)

            go()
            if int(flags[-1]):
                print("  gave up:", meeting, programs)
                continue
            note("meeting", f"1000 meetings of {programs} programs, {meeting}", go)


def training(B: int, T: int, H: int, dtype, form: Form, backs, timed: bool, precision: str = "tf32", fsync: int = 1) -> None:
    case = f"train lstm B{B} T{T} H{H} {str(dtype)[6:]}"
    print(f"\n{case}   [{time.time() - START:.0f} s]", flush=True)
    torch.manual_seed(2)
    tf32(False)
    layer = torch.nn.LSTM(H, H).to(DEVICE).to(dtype)
    new = lambda *s: torch.randn(s, device=DEVICE).to(dtype)  # noqa: E731
    xs, h0, c0, dout = new(T, B, H), new(B, H), new(B, H), new(T, B, H)
    w_ih, w_hh = layer.weight_ih_l0.detach(), layer.weight_hh_l0.detach()
    bias = (layer.bias_ih_l0 + layer.bias_hh_l0).detach()
    project = lambda: torch.addmm(bias, xs.view(T * B, H), w_ih.T).view(T, B, 4 * H)  # noqa: E731
    x = project()
    step = step_of(LSTM)

    def by_autograd(kind):
        leaves = [v.detach().to(kind).requires_grad_() for v in (x, w_hh, h0, c0)]
        loop(step, leaves[0], leaves[2], leaves[3], leaves[1].T).backward(dout.to(kind))
        return [v.grad for v in leaves]

    want = by_autograd(torch.float64)
    tf32(True)
    names = ("d input", "d weight", "d h0", "d c0")
    show = lambda got: "  ".join(f"{n} {relative(g, w):.1e}" for n, g, w in zip(names, got, want))  # noqa: E731
    print(f"  Python loop by autograd: {show(by_autograd(dtype))}", flush=True)
    limit = 3e-2 if dtype == torch.bfloat16 else 3e-3
    hx = torch.full((T + 1, B, H), float("nan"), device=DEVICE, dtype=dtype)
    gates, cells = torch.full((T, B, 4, H), float("nan"), device=DEVICE, dtype=dtype), torch.full((T + 1, B, H), float("nan"), device=DEVICE, dtype=dtype)
    cells[0] = c0
    ex = torch.full((T + 1, B, 4, H), float("nan"), device=DEVICE, dtype=dtype)
    ex[T] = 0
    counters = torch.zeros(-(-B // form.BM) * form.tiles + 1, dtype=torch.int32, device=DEVICE)
    scratch, dc = torch.zeros(8, device=DEVICE), (torch.zeros(B, H, device=DEVICE), torch.zeros(B, H, device=DEVICE))

    def forward(x=x):
        counters[:-1].zero_()
        return run(LSTM, form, x, pack(LSTM, form, w_hh.view(4, H, H), dtype), h0, [c0], fsync if GPU else 0, precision, GPU, buffers=(hx, counters, scratch), kept=(gates, cells))

    def products():
        dg = ex[:T].view(T * B, 4 * H)
        return dg.T @ hx[:T].view(T * B, H), dg.T @ xs.view(T * B, H), dg @ w_ih, dg.sum(0), ex[0].view(B, 4 * H) @ w_hh

    forward()
    if int(counters[-1]):
        print("  the forward gave up")
        return
    if timed:
        note(case, f"forward loop that saves, {form.meeting if fsync else 'step pdl'} HU{form.HU} BM{form.BM} w{form.warps}, in a graph", graphed(forward))
        note(case, "five products of the backward (cuBLAS), in a graph", graphed(products))
    for b in backs:
        if late():
            return
        label = f"{'step pdl' if b.pdl else b.meeting} HU{b.HU} BM{b.BM} K{b.K} parts{b.parts} w{b.warps}"
        try:
            flags = torch.zeros(-(-B // b.BM) * (H // b.HU) + 1, dtype=torch.int32, device=DEVICE)

            def backward(b=b, flags=flags):
                flags[:-1].zero_()
                dc[0].zero_()
                return run_backward(b, dout, gates, cells, pack_backward(b, w_hh), ex, dc, flags, 0 if b.pdl or not GPU else 1, precision)

            def both(backward=backward):
                forward(project())
                backward()
                products()

            forward()
            ex[:T] = float("nan")
            dc0 = backward()
            dw, _, _, _, dh0 = products()
            got = [v.clone() for v in (ex[:T].view(T, B, 4 * H), dw, dh0, dc0)]
            ex[:T] = float("nan")
            backward()
            same, bad = torch.equal(ex[:T].view(T, B, 4 * H), got[0]), int(flags[-1])
            errors = [relative(g, w) for g, w in zip(got, want)]
            fine = all(e < limit for e in errors) and same and not bad
            print(f"  backward {label:40s} {'right' if fine else 'WRONG'}: {show(got)} same twice {same} gave up {bad}", flush=True)
            if fine and timed:
                note(case, f"backward loop {label}, in a graph", graphed(backward), errors[0])
                note(case, f"forward, backward, products {label}", both, max(errors))
                note(case, f"forward, backward, products {label}, in a graph", graphed(both), max(errors))
        except Exception as failure:
            print(f"  backward {label} FAILED {type(failure).__name__}: {str(failure)[:200]}", flush=True)
    if timed and not late(0.95):
        note(case, "Python loop, forward and backward by autograd", lambda: by_autograd(dtype), repeats=3, most=1.5)


def library() -> None:
    """cuDNN's forward, and forward with backward, as one finds it and with its weights in one piece."""
    print(f"\ncuDNN {torch.backends.cudnn.version()}   [{time.time() - START:.0f} s]", flush=True)
    tf32(True)
    print("  types that flatten_parameters flattens:", torch.backends.cudnn.CUDNN_TENSOR_DTYPES)
    known = set(torch.backends.cudnn.CUDNN_TENSOR_DTYPES)
    for kind, B, T, H in (("LSTM", 16, 1024, 768), ("LSTM", 32, 128, 512), ("GRU", 128, 512, 128)):
        for dtype in (torch.float16, torch.bfloat16, torch.float32):
            for flat in ((False, True) if dtype == torch.bfloat16 else (True,)):
                torch.manual_seed(3)
                layer = getattr(torch.nn, kind)(H, H).to(DEVICE).to(dtype)
                layer.flatten_parameters()
                where = {p.untyped_storage().data_ptr() for p in layer.parameters()}
                label = ""
                if dtype == torch.bfloat16:
                    label = f", after flatten_parameters (storages {len(where)})"
                if flat and dtype == torch.bfloat16:
                    torch.backends.cudnn.CUDNN_TENSOR_DTYPES.add(torch.bfloat16)
                    layer.flatten_parameters()
                    where = {p.untyped_storage().data_ptr() for p in layer.parameters()}
                    label = f", in one piece by force (storages {len(where)})"
                xs = torch.randn(T, B, H, device=DEVICE).to(dtype).requires_grad_()
                above = torch.randn(T, B, H, device=DEVICE).to(dtype)
                case = f"cudnn {kind} B{B} T{T} H{H} {str(dtype)[6:]}"

                def forward():
                    with torch.no_grad():
                        return layer(xs)

                note(case, f"forward{label}", forward)
                note(case, f"forward, in a graph{label}", graphed(forward))
                note(case, f"forward and backward{label}", lambda: layer(xs)[0].backward(above))
                if not (flat and dtype == torch.bfloat16):
                    try:
                        from torch.profiler import ProfilerActivity, profile

                        with profile(activities=[ProfilerActivity.CUDA]) as p:
                            forward()
                            torch.cuda.synchronize()
                        rows = sorted(p.key_averages(), key=lambda r: -r.self_device_time_total)[:3]
                        for r in rows:
                            print(f"      {r.count:6d} x {r.self_device_time_total / r.count:8.2f} us  {r.key[:100]}", flush=True)
                    except Exception as failure:
                        print("      no profile:", str(failure)[:100])
                torch.backends.cudnn.CUDNN_TENSOR_DTYPES.clear()
                torch.backends.cudnn.CUDNN_TENSOR_DTYPES.update(known)


def main() -> None:
    bf, fp, fo = torch.bfloat16, torch.float32, form_of
    print(sys.version.split()[0], "torch", torch.__version__, "triton", triton.__version__, torch.cuda.get_device_name(0))
    parts = sys.argv[2:]
    if "meet" in parts:
        meetings()

    def made(H, meeting, HU=16, BM=16, warps=4, resident=True, precision="tf32", sync=1, pdl=False, drop=""):
        K = 0 if resident else 32 if precision == "tf32x3" else 64
        f = replace(fo(H, "grid", HU, BM, warps, resident, K), meeting=meeting, pdl=pdl, drop=drop)
        kind = "resident" if resident else "streamed"
        return (f"{'grid ' + meeting if sync else 'step' + (' pdl' if pdl else '')} HU{HU} BM{BM} w{warps} {kind}", f, sync, precision)

    forms = [made(768, m) for m in MEETINGS]
    forms += [made(768, "red", 8), made(768, "flags", 8), made(768, "red", 32), made(768, "red", 32, 16, 8), made(768, "red", 16, 16, 8), made(768, "red", 16, 8), made(768, "flags", 16, 8), made(768, "red", resident=False)]
    forms += [made(768, "counter", drop=d) for d in ("load", "product", "meeting", "meeting load", "meeting product")]
    forms += [made(768, "red", drop=d) for d in ("load", "product")]
    forms += [made(768, "counter", 16, 16, 4, False, sync=0), made(768, "counter", 16, 16, 4, True, sync=0), made(768, "counter", 8, 16, 4, True, sync=0)]
    if "A" in parts:
        measure(LSTM, 16, 1024, 768, bf, forms, None)

    if "train" in parts:
        trainings(bf, fp, fo)
    if "ln" in parts:
        normed(bf, fp, made)
    if "lib" in parts:
        library()
    steps = lambda H, precision, r, p: [made(H, "counter", 16, 16, 4, r, precision, 0, p)]  # noqa: E731
    if "B" in parts:
        measure(LSTM, 32, 128, 512, fp, [made(512, m) for m in ("counter", "red", "flags")] + [made(512, "red", 16, 8)] + steps(512, "tf32", True, False) + steps(512, "tf32", False, False)
                + [made(512, m, resident=False, precision="tf32x3") for m in ("counter", "red")] + steps(512, "tf32x3", False, False), None)
        measure(GRU, 128, 512, 128, bf, [made(128, m) for m in ("counter", "red", "flags")] + [made(128, "red", 32), made(128, "red", 8, 32)] + steps(128, "tf32", True, False), None)
    if "pdl" in parts:
        measure(LSTM, 16, 1024, 768, bf, [made(768, "counter", HU, 16, 4, r, sync=0, pdl=True) for HU, r in ((16, False), (16, True), (8, True))], None)
        measure(LSTM, 32, 128, 512, fp, steps(512, "tf32", True, True) + steps(512, "tf32x3", False, True), None)
        measure(GRU, 128, 512, 128, bf, steps(128, "tf32", True, True), None)
    if "third" in parts:
        third(bf, fp, fo, made)
    table()


def third(bf, fp, fo, made) -> None:
    forms = [made(768, m, 16, 8) for m in ("counter", "release", "red")] + [made(768, "red", 32, 8), made(768, "red", 32, 8, 8), made(768, "red", 8, 8)]
    forms += [made(768, "red", 16, 8, drop=d) for d in ("load", "product", "meeting", "meeting load", "meeting product")]
    forms += [made(768, "counter", HU, BM, w, sync=0, pdl=True) for HU, BM, w in ((16, 16, 4), (16, 8, 4), (8, 16, 4), (32, 16, 8), (32, 8, 4), (8, 8, 4))]
    measure(LSTM, 16, 1024, 768, bf, forms, None)
    save = lambda H, BM, pdl: replace(fo(H, "grid", 16, BM), meeting="red", save=True, pdl=pdl)  # noqa: E731
    training(16, 1024, 768, bf, save(768, 8, False), [Back(16, 8, K, parts, w, "red") for K, parts, w in ((128, 8, 8), (256, 4, 4), (128, 4, 4), (128, 8, 4))] + [Back(8, 8, 256, 4, 4, "red")], True)
    training(16, 1024, 768, bf, save(768, 16, True), [Back(16, BM, K, parts, w, "red", True) for BM, K, parts, w in ((8, 128, 8, 8), (16, 128, 8, 8), (8, 256, 4, 4))], True, fsync=0)
    training(32, 128, 512, fp, save(512, 16, False), [Back(16, 8, 128, 4, 4, "red"), Back(16, 8, 64, 8, 4, "red")], True)
    training(32, 128, 512, fp, save(512, 16, True), [Back(16, 8, 128, 4, 4, "red", True)], True, fsync=0)
    gru = [made(128, m) for m in ("counter", "red")] + [made(128, "red", 16, 8), made(128, "red", 32), made(128, "red", 8, 32)]
    gru += [(f"rows BM{BM} w{w}", fo(128, "rows", 0, BM, w), 0, "tf32") for BM, w in ((8, 4), (8, 8), (16, 8))]
    gru += [made(128, "counter", 16, 16, 4, sync=0), made(128, "counter", 16, 16, 4, sync=0, pdl=True), made(128, "counter", 32, 16, 4, sync=0, pdl=True)]
    measure(GRU, 128, 512, 128, bf, gru, "GRU")
    measure(LSTM, 32, 128, 512, fp, [made(512, "red"), made(512, "counter", sync=0, pdl=True), made(512, "counter", 16, 8, sync=0, pdl=True), made(512, "counter", 16, 32, sync=0, pdl=True)], None)


def trainings(bf, fp, fo) -> None:
    small = lambda H, dtype, BM=16: replace(fo(H, "grid", 16, BM), meeting="red", save=True)  # noqa: E731
    training(5, 7, 128, bf, small(128, bf), [Back(16, 16, 64, 8, 8, "red")], False)
    training(33, 19, 256, bf, small(256, bf), [Back(16, 16, 128, 8, 8, "red"), Back(16, 16, 128, 8, 8, "counter")], False)
    training(33, 19, 256, fp, small(256, fp), [Back(16, 16, 64, 8, 8, "red"), Back(16, 8, 64, 8, 4, "flags")], False)
    training(16, 1024, 768, bf, small(768, bf), [Back(16, 16, 128, 8, 8, m) for m in ("counter", "red", "flags")]
             + [Back(16, 16, 256, 4, 8, "red"), Back(16, 16, 256, 4, 4, "red"), Back(16, 16, 64, 16, 8, "red"), Back(16, 8, 128, 8, 8, "red")], True)
    training(32, 128, 512, fp, small(512, fp), [Back(16, 8, 256, 8, 8, m) for m in ("counter", "red", "flags")] + [Back(16, 8, 128, 4, 4, "red")], True)


def normed(bf, fp, made) -> None:
    for cell in (LN_LSTM, LN_HALF):
        for dtype, precision in ((bf, "tf32"), (fp, "tf32x3")):
            r = precision == "tf32"
            options = [("counter", 16, 16), ("red", 16, 16), ("flags", 16, 16), ("red", 32, 16), ("red", 16, 32), ("red", 16, 64)] if r else [("counter", 16, 16), ("red", 16, 16), ("red", 16, 32)]
            measure(cell, 64, 256, 256, dtype, [made(256, m, HU, BM, 4, r, precision) for m, HU, BM in options], None)

def table() -> None:
    print(f"\n{'case':36s} {'what':72s} {'ms':>9s} {'us/step':>8s} {'spread':>8s} {'error':>8s}")
    for case, what, ms, spread, error in ROWS:
        steps_ = re.search(r" T(\d+)", case)
        each = ms * 1e3 / int(steps_[1] if steps_ else 1000)
        print(f"{case:36s} {what:72s} {ms:9.3f} {each:8.2f} {spread:8.3f} {'' if error is None else format(error, '.1e'):>8s}")
    print(f"took {time.time() - START:.0f} s")


if __name__ == "__main__":
    main()

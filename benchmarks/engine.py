"""elman.scan beside torch.nn, the Python loop, and JAX's lax.scan: `make bench`.

    python benchmarks/engine.py [--cells lstm,gru] [--sizes 0,1] [--seconds 1.5] [--out FOLDER]

No speed is printed for a result that differs from the oracle, the Python loop in float64. Writes
engine.json, engine.md and engine.png; `python benchmarks/engine_report.py` then draws the README's
picture. For two cores: OMP_NUM_THREADS=2 taskset -c 0,1 python ...
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from engine_checks import compile_seconds, loop_speeds, memory, tiny_calls, torch_compile
from engine_peers import NAMESAKES, Peer, Problem, jax_peer, layer_peer, scan_peer
from engine_report import markdown, picture
from side_by_side import best_product, machine, ratio, take_turns

SIZES = [
    (64, 32, 64, 128), (128, 64, 128, 256), (256, 16, 512, 512), (64, 8, 1024, 1024),
    (32, 128, 28, 64), (256, 1, 64, 128), (1000, 32, 16, 32),
]  # fmt: skip
"""(T, B, I, H)"""

CELLS = ["rnn", "gru", "lstm", "layer-norm-lstm", "mgu", "concat"]
TOLERANCE = 2e-4
"""Largest difference from the oracle, as a share of the largest number of a tensor, or four times
that of the plain loop in float32 if it is more: some recurrences let rounding errors grow."""


def main() -> int:
    options = _parsed()
    report: dict[str, Any] = {"machine": machine(), "sizes": SIZES, "rows": []}
    report["best_product_gflops"] = best_product() / 1e9
    for name in options.cells:
        for number in options.sizes:
            for row in compare(name, SIZES[number], options.seconds, options.jax):
                _add_bound(row, report["best_product_gflops"])
                report["rows"].append(row)
                print(_line(row), flush=True)
    report["medians"] = _medians(report["rows"])
    if options.checks:
        peak = report["best_product_gflops"]
        report["loops"] = [loop_speeds(n, s, peak) for n in ("rnn", "gru", "lstm") for s in SIZES]
        report["compile_seconds"] = compile_seconds(CELLS)
        report["tiny_calls_us"] = tiny_calls()
        report["memory"] = [memory(name) for name in NAMESAKES]
        report["torch_compile"] = torch_compile()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "engine.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    (options.out / "engine.md").write_text(markdown(report), encoding="utf-8")
    picture(report, options.out / "engine.png")
    print(markdown(report))
    return 0


def compare(
    name: str, size: tuple[int, int, int, int], seconds: float, with_jax: bool
) -> list[dict[str, Any]]:
    """One row for inference and one for training: milliseconds, and each peer's time over ours."""
    problem = Problem.make(name, *size)
    peers: dict[str, Callable[[Problem], Peer]] = {"elman": scan_peer}
    if name in NAMESAKES:
        peers["torch.nn"] = layer_peer
    peers["loop"] = lambda problem: scan_peer(problem, "reference")
    if with_jax:
        peers["jax"] = jax_peer
    made = {who: make(problem) for who, make in peers.items()}
    oracle = _oracle(problem)
    plain = _errors(scan_peer(problem, "reference").training(), oracle)
    rows = []
    for mode in ("inference", "training"):
        runs = {who: getattr(peer, mode) for who, peer in made.items()}
        expected = oracle[:1] if mode == "inference" else oracle
        for who, run in list(runs.items()):
            errors = _errors(made[who].as_torch(run()), expected)
            wrong = [
                e for e, p in zip(errors, plain, strict=False) if not e < max(TOLERANCE, 4 * p)
            ]
            if wrong and who == "elman":
                sys.exit(f"elman {name} {size} {mode}: a result is off by {max(wrong):.1e}")
            if wrong:
                print(f"no speed of {who}, {name} {size} {mode}: off by {max(wrong):.1e}")
                del runs[who]
        times = take_turns(runs, seconds)
        rows.append({
            "cell": name, "size": size, "mode": mode, "rounds": len(times["elman"]),
            "product_gflop": _product_gflop(problem, mode),
            "ms": {who: 1e3 * statistics.median(t) for who, t in times.items()},
            "ratio": {
                who: ratio(t, times["elman"]) for who, t in times.items() if who != "elman"
            },
        })  # fmt: skip
    return rows


def _product_gflop(problem: Problem, mode: str) -> float:
    """Of the products alone: each weight forward, and twice more for the two gradients."""
    weights = sum(p.numel() for p in problem.cell.parameters() if p.dim() == 2)
    steps, rows, _ = problem.x.shape
    return 2e-9 * steps * rows * weights * (1 if mode == "inference" else 3)


def _add_bound(row: dict[str, Any], best: float) -> None:
    """The ratios that a peer's time allows: if the products ran at the machine's best speed, and
    everything else took no time."""
    floor = 1e3 * row["product_gflop"] / best
    row["floor_ms"] = floor
    row["most"] = {who: ms / floor for who, ms in row["ms"].items() if who != "elman"}


def _oracle(problem: Problem) -> list[torch.Tensor]:
    """The Python loop in float64."""
    import copy

    cell = copy.deepcopy(problem.cell).double()
    double = Problem(problem.name, cell, problem.x.double(), problem.loss_weights.double())
    return list(scan_peer(double, "reference").training())


def _errors(result: Any, expected: list[torch.Tensor]) -> list[float]:
    """Largest difference of each tensor, as a share of its largest number."""
    found = list(result) if isinstance(result, tuple | list) else [result]
    return [
        (a.detach().double() - b.detach()).abs().max().item() / max(b.abs().max().item(), 1e-30)
        for a, b in zip(found, expected, strict=True)
    ]


def _medians(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[tuple, list[tuple[float, float]]] = {}
    for row in rows:
        for who, value in row["ratio"].items():
            found.setdefault((row["cell"], row["mode"], who), []).append((value, row["most"][who]))
    return [
        {"cell": cell, "mode": mode, "against": who, "smallest": min(value for value, _ in pairs),
         "median": statistics.median(value for value, _ in pairs),
         "most": statistics.median(most for _, most in pairs)}
        for (cell, mode, who), pairs in found.items()
    ]  # fmt: skip


def _line(row: dict[str, Any]) -> str:
    ratios = "  ".join(f"{who} {value:6.2f}x" for who, value in row["ratio"].items())
    name = f"{row['cell']} {tuple(row['size'])} {row['mode']}"
    return f"{name:48} {row['ms']['elman']:9.3f} ms   {ratios}"


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", type=lambda text: text.split(","), default=CELLS)
    parser.add_argument(
        "--sizes", type=lambda text: [int(part) for part in text.split(",")],
        default=list(range(len(SIZES))), help="numbers of rows of SIZES",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, default=1.5, help="for each comparison")
    parser.add_argument("--no-jax", dest="jax", action="store_false")
    parser.add_argument("--no-checks", dest="checks", action="store_false")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    if options.jax:
        try:
            import jax  # noqa: F401
        except ImportError:
            print("jax is not installed (pip install elman[bench]); its column is left out")
            options.jax = False
    return options


if __name__ == "__main__":
    sys.exit(main())

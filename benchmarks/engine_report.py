"""The engine's measurements as tables and pictures, from the numbers that `engine.py` wrote.

    python benchmarks/engine_report.py

Measures nothing. Reads results/engine.json and writes engine.md and engine.png beside it, and the
README's picture, docs/images/speed.png.
"""

import json
from pathlib import Path
from typing import Any

from elman.pictures import figure, open_axes, png

RESULTS = Path(__file__).parent / "results"
README_PICTURE = Path(__file__).parents[1] / "docs" / "images" / "speed.png"

CELLS = {
    "rnn": "RNN", "gru": "GRU", "lstm": "LSTM", "layer-norm-lstm": "layer-norm LSTM",
    "mgu": "minimal gated unit", "concat": "concatenating cell",
}  # fmt: skip
PEERS = {"torch.nn": "torch.nn's layer", "loop": "the plain Python loop", "jax": "JAX, lax.scan"}
MODES = {"inference": "inference", "training": "forward + backward"}
COLOURS = {"torch.nn": "#0072B2", "loop": "#E69F00", "jax": "#999999"}
"""Of the palette by M. Okabe and K. Ito, which people tell apart whatever colours they see."""


def main() -> None:
    report = json.loads((RESULTS / "engine.json").read_text(encoding="utf-8"))
    (RESULTS / "engine.md").write_text(markdown(report), encoding="utf-8")
    picture(report, RESULTS / "engine.png")
    speed(report, README_PICTURE)


def markdown(report: dict[str, Any]) -> str:
    machine = report["machine"]
    lines = [
        "# elman.scan beside its peers",
        "",
        f"{machine['processor']} ({machine['vector_extensions']}), {machine['torch_threads']} "
        f"threads on {machine['cores_usable']} cores, torch {machine['torch']}, llvmlite "
        f"{machine['llvmlite']}, jax {machine['jax']}, Python {machine['python']}, "
        f"{machine['date']}. Best float32 matrix product (oneDNN, 2048 cubed): "
        f"{report['best_product_gflops']:.0f} GFLOP/s.",
        "",
        "Made by `make bench`; `python benchmarks/engine_report.py` writes this page again from "
        "engine.json, without measuring.",
        "",
        "A ratio is the time of the peer divided by the time of elman.scan, float32; above 1, "
        "elman.scan is faster. All run in turns in one process, and the ratio of one size is the "
        "median over the rounds. The table shows the median over the sizes, and the smallest in "
        "brackets. The number after the slash is the limit that the peer's time sets: the median "
        "if the products ran at the speed of the best matrix product and nothing else took time.",
        "",
        "- torch.nn: the layer of the same name. loop: the same step in a plain Python loop, "
        "`backend='reference'`. jax: `lax.scan` under `jit`.",
        "- mgu: minimal gated unit. concat: the concatenating cell of the PyTorch names tutorial.",
        "- Before it is timed, every result is compared with the Python loop in float64. Where a "
        "peer's result is off by more than the tolerance, no speed is printed: its place is empty.",
        "",
    ]
    lines += _summary(report["medians"])
    lines += [
        "",
        "A size is (T, B, I, H): T time steps, B rows (sequences side by side), I input features, "
        "H hidden units. Columns: milliseconds of elman.scan, milliseconds of its products alone "
        "at the best product's speed, and the ratios.",
        "",
    ]
    lines += _details(report["rows"])
    for title, part in (
        ("Loops alone, share of the best matrix product (forward, backward)", _loops(report)),
        ("Seconds to compile, forward and backward (T=10, T=10,000)", _compiling(report)),
        ("Microseconds of a call at T=8, B=1, I=H=32", _tiny(report)),
        ("Peak memory of a call in MB at (256, 64, 256, 256)", _memory(report)),
    ):
        if part:
            lines += ["", f"## {title}", "", *part]
    compiled = report.get("torch_compile")
    if compiled and "ms" in compiled:
        times = compiled["ms"]
        lines += [
            "",
            f"The unrolled loop of an LSTM through torch.compile at {tuple(compiled['size'])}: "
            f"{compiled['compile_seconds']:.0f} s to compile, then {times['torch.compile']:.2f} ms "
            f"a training step, elman.scan {times['elman']:.2f} ms.",
        ]
    return "\n".join(lines) + "\n"


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    return [
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def _summary(medians: list[dict[str, Any]]) -> list[str]:
    found: dict[tuple[str, str], dict[str, str]] = {}
    for entry in medians:
        text = f"{entry['median']:.2f} ({entry['smallest']:.2f}) / {entry['most']:.1f}"
        found.setdefault((entry["cell"], entry["against"]), {})[entry["mode"]] = text
    rows = [
        [cell, who, modes.get("inference", ""), modes.get("training", "")]
        for (cell, who), modes in found.items()
    ]
    return table(["cell", "against", "inference", "forward + backward"], rows)


def _details(rows: list[dict[str, Any]]) -> list[str]:
    peers = list(dict.fromkeys(who for row in rows for who in row["ratio"]))
    lines = []
    for row in rows:
        ratios = [f"{row['ratio'][who]:.2f}" if who in row["ratio"] else "" for who in peers]
        size = ", ".join(map(str, row["size"]))
        times = [f"{row['ms']['elman']:.3f}", f"{row['floor_ms']:.3f}"]
        lines.append([row["cell"], size, row["mode"], *times, *ratios])
    return table(["cell", "T, B, I, H", "mode", "ms", "products", *peers], lines)


def _loops(report: dict[str, Any]) -> list[str]:
    rows = [
        [entry["cell"], ", ".join(map(str, entry["size"])),
         *(f"{entry['gflops'][d]:.0f} GFLOP/s, {entry['of_best_product'][d]:.0%}"
           for d in ("forward", "backward"))]
        for entry in report.get("loops", [])
    ]  # fmt: skip
    return table(["cell", "T, B, I, H", "forward", "backward"], rows) if rows else []


def _compiling(report: dict[str, Any]) -> list[str]:
    rows = [
        [cell, *(f"{value:.2f}" for value in times.values())]
        for cell, times in report.get("compile_seconds", {}).items()
    ]
    return table(["cell", "T=10", "T=10,000"], rows) if rows else []


def _tiny(report: dict[str, Any]) -> list[str]:
    rows = [
        [what, f"{times['elman']:.0f}", f"{times['torch.nn']:.0f}"]
        for what, times in report.get("tiny_calls_us", {}).items()
    ]
    return table(["call", "elman", "torch.nn"], rows) if rows else []


def _memory(report: dict[str, Any]) -> list[str]:
    rows = [
        [entry["cell"], mode, f"{entry[mode]['elman']:.0f}", f"{entry[mode]['torch.nn']:.0f}",
         f"{entry[mode]['elman'] / max(entry[mode]['torch.nn'], 1e-9):.2f}"]
        for entry in report.get("memory", []) for mode in ("inference", "training")
    ]  # fmt: skip
    return table(["cell", "mode", "elman", "torch.nn", "share"], rows) if rows else []


def picture(report: dict[str, Any], path: Path) -> None:
    """Bars: median ratio of each cell to each peer, a whisker down to the smallest."""
    drawing = figure(10, 4.2)
    cells = list(dict.fromkeys(entry["cell"] for entry in report["medians"]))
    pair = drawing.subplots(1, 2, sharey=True)
    for axes, (mode, title) in zip(pair, MODES.items(), strict=True):
        open_axes(axes)
        for number, (who, label) in enumerate(PEERS.items()):
            entries = _of(report, mode, who)
            places = [cells.index(cell) + 0.27 * (number - 1) for cell in entries]
            heights = [entry["median"] for entry in entries.values()]
            down = [max(e["median"] - e["smallest"], 0) for e in entries.values()]
            axes.bar(places, heights, 0.25, label=label, color=COLOURS[who],
                     yerr=[down, [0] * len(down)], error_kw={"lw": 1, "alpha": 0.6})  # fmt: skip
            for x, height in zip(places, heights, strict=True):
                axes.text(x, height + 0.08, f"{height:.1f}", ha="center", fontsize=7)
        axes.axhline(1, color="black", lw=0.8)
        names = [CELLS.get(cell, cell).replace(" ", "\n") for cell in cells]
        axes.set_xticks(range(len(cells)), names, fontsize=8)
        axes.set_title(title)
        axes.set_ylim(0, 1.25 * max(entry["median"] for entry in report["medians"]))
    pair[0].set_ylabel("time of the peer / time of elman.scan")
    pair[1].legend(frameon=False, fontsize=8, loc="upper left")
    path.write_bytes(png(drawing))


def speed(report: dict[str, Any], path: Path) -> None:
    """One bar a cell, against torch.nn's layer where there is one and the Python loop elsewhere."""
    drawing = figure(9.5, 4.4)
    with_layer = [cell for cell in CELLS if cell in _of(report, "training", "torch.nn")]
    others = [c for c in CELLS if c in _of(report, "training", "loop") and c not in with_layer]
    groups = [
        ("torch.nn", "against torch.nn's layer of the same name", with_layer),
        ("loop", "torch.nn has no such layer: against the Python loop", others),
    ]
    pair = drawing.subplots(1, 2, sharex=True, sharey=True)
    for axes, (mode, title) in zip(pair, MODES.items(), strict=True):
        place, names = 0.0, {}
        axes.axvline(1, color="black", lw=1, ls="--", zorder=3)
        for who, about, cells in groups:
            axes.text(0, place, about, fontsize=9, va="center", zorder=4,
                      backgroundcolor="white")  # fmt: skip
            for cell in cells:
                place += 1
                names[place] = CELLS[cell]
                entry = _of(report, mode, who)[cell]
                axes.barh(place, entry["median"], 0.72, color=COLOURS[who])
                axes.plot([entry["smallest"]] * 2, [place - 0.36, place + 0.36], "k", lw=1.5)
                axes.text(entry["median"] + 0.08, place, f"{entry['median']:.1f}", va="center",
                          fontweight="bold")  # fmt: skip
            place += 1.2
        open_axes(axes)
        axes.grid(visible=False, axis="y")
        axes.set_axisbelow(True)
        axes.set_yticks(list(names), list(names.values()))
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(0, 1.15 * max(entry["median"] for entry in report["medians"]))
        axes.set_ylim(place - 0.5, -0.6)
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        axes.set_xlabel(
            "times as fast as the peer: 1 is equally fast, longer is better", fontsize=9
        )
    machine = report["machine"]
    drawing.suptitle("elman.scan: a step written in Python, run as a compiled loop on a CPU")
    drawing.supxlabel(
        f"Bars: median over {len(report['sizes'])} sizes. Black ticks: the smallest of them. "
        f"{machine['processor']} ({machine['vector_extensions']}), {machine['torch_threads']} "
        f"threads, float32, torch {machine['torch']}.",
        fontsize=8, color="#555555",
    )  # fmt: skip
    path.write_bytes(png(drawing))


def _of(report: dict[str, Any], mode: str, who: str) -> dict[str, dict[str, Any]]:
    """Medians of one mode against one peer, by cell."""
    return {
        entry["cell"]: entry for entry in report["medians"]
        if entry["mode"] == mode and entry["against"] == who
    }  # fmt: skip


if __name__ == "__main__":
    main()

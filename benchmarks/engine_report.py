"""The engine's measurements as a table and a picture."""

from pathlib import Path
from typing import Any


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
        "How many times as long a peer takes as elman.scan, float32: median over the sizes, and "
        "the smallest in brackets. After the slash what the peer's time allows: the median if the "
        "products ran at the speed of the best matrix product and nothing else took time.",
        "",
    ]
    lines += _summary(report["medians"])
    lines += [
        "",
        "Each size (T, B, I, H): milliseconds of elman.scan, of its products "
        "alone at the best product's speed, and the ratios.",
        "",
    ]
    lines += _details(report["rows"])
    for title, part in (
        ("Loops alone, share of the best matrix product (forward, backward)", _loops(report)),
        ("Seconds to compile, forward and backward (T=10, T=10,000)", _compiling(report)),
        ("Microseconds of a call at T=8, B=1, I=H=32", _tiny(report)),
        ("Peak memory of a call in MB", _memory(report)),
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
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
    peers = list(dict.fromkeys(entry["against"] for entry in report["medians"]))
    cells = list(dict.fromkeys(entry["cell"] for entry in report["medians"]))
    titles = {"inference": "inference", "training": "forward + backward"}
    for axis, (mode, title) in zip(axes, titles.items(), strict=True):
        for number, who in enumerate(peers):
            entries = {
                e["cell"]: e for e in report["medians"] if e["mode"] == mode and e["against"] == who
            }
            places = [cells.index(c) + 0.27 * (number - 1) for c in entries]
            heights = [e["median"] for e in entries.values()]
            down = [max(e["median"] - e["smallest"], 0) for e in entries.values()]
            axis.bar(places, heights, 0.25, label=who, yerr=[down, [0] * len(down)],
                     error_kw={"lw": 1, "alpha": 0.6})  # fmt: skip
            for x, height in zip(places, heights, strict=True):
                axis.text(x, height * 1.06, f"{height:.1f}", ha="center", fontsize=7)
        axis.axhline(1, color="black", lw=0.8)
        axis.set_yscale("log")
        axis.set_yticks([0.5, 1, 2, 5, 10, 20, 50], ["0.5", "1", "2", "5", "10", "20", "50"])
        axis.set_xticks(range(len(cells)), cells, rotation=20)
        axis.set_title(title)
    axes[0].set_ylabel("time of the peer / time of elman.scan")
    axes[1].legend(frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)

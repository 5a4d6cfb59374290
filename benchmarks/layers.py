"""elman's drop-in layers beside torch.nn's, ragged batches, and a converted model: `make bench`.

    python benchmarks/layers.py [--layers lstm,gru] [--sizes 0,1] [--seconds 1.5] [--out FOLDER]

No speed is printed for a result that differs from torch.nn's in float64. Writes layers.json and
layers.md. For two cores: OMP_NUM_THREADS=2 taskset -c 0,1 python ...
"""

import argparse
import copy
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from engine import SIZES
from engine_report import table
from side_by_side import machine, ratio, take_turns
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import elman

LAYERS = {"rnn": (nn.RNN, elman.RNN), "gru": (nn.GRU, elman.GRU), "lstm": (nn.LSTM, elman.LSTM)}
KINDS = ["plain", "bidirectional", "packed"]
TOLERANCE = 2e-4
"""Largest difference from torch.nn in float64, as a share of the largest number."""

RAGGED = (1000, 32, 64, 128)
"""(T, B, I, H) of the ragged batch; its lengths are drawn between 10 and T."""


def main() -> int:
    options = _parsed()
    report: dict[str, Any] = {"machine": machine(), "rows": [], "ragged": []}
    for name in options.layers:
        for number in options.sizes:
            for kind in KINDS:
                for row in compare(name, kind, SIZES[number], options.seconds):
                    report["rows"].append(row)
                    print(_line(row), flush=True)
        report["ragged"].append(ragged(name, options.seconds))
        print(report["ragged"][-1], flush=True)
    report["convert"] = converted(options.seconds)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "layers.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    (options.out / "layers.md").write_text(markdown(report), encoding="utf-8")
    print(markdown(report))
    return 0


def compare(
    name: str, kind: str, size: tuple[int, int, int, int], seconds: float
) -> list[dict[str, Any]]:
    """Inference and training of one layer in one size: torch.nn's time over elman's."""
    steps, rows, inputs, hidden = size
    theirs_class, ours_class = LAYERS[name]
    torch.manual_seed(0)
    theirs = theirs_class(inputs, hidden, bidirectional=kind == "bidirectional")
    ours = ours_class(inputs, hidden, bidirectional=kind == "bidirectional")
    ours.load_state_dict(theirs.state_dict())
    x: Any = torch.randn(steps, rows, inputs)
    if kind == "packed":
        lengths = torch.randint(max(1, steps // 10), steps + 1, (rows,))
        x = pack_padded_sequence(x, lengths, enforce_sorted=False)
    runs = {
        who: _runs(model, x, lambda model, x: _data(model(x)[0]))
        for who, model in {"elman": ours, "torch.nn": theirs}.items()
    }
    oracle = _runs(copy.deepcopy(theirs).double(), _to_double(x), lambda m, x: _data(m(x)[0]))
    return _timed({"layer": name, "kind": kind, "size": size}, runs, oracle, seconds)


def ragged(name: str, seconds: float) -> dict[str, Any]:
    """Time of a real step in a ragged batch over that in a full one, and torch.nn's packed time."""
    steps, rows, inputs, hidden = RAGGED
    theirs_class, ours_class = LAYERS[name]
    torch.manual_seed(0)
    theirs, ours = theirs_class(inputs, hidden), ours_class(inputs, hidden)
    ours.load_state_dict(theirs.state_dict())
    lengths = torch.randint(10, steps + 1, (rows,))
    x = torch.randn(steps, rows, inputs)
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    found: dict[str, Any] = {"layer": name, "size": RAGGED, "real_steps": int(lengths.sum())}
    for mode in ("inference", "training"):
        runs = {
            "full": getattr(_runs(ours, x, lambda m, x: m(x)[0]), mode),
            "ragged": getattr(_runs(ours, packed, lambda m, x: m(x)[0].data), mode),
            "torch.nn": getattr(_runs(theirs, packed, lambda m, x: m(x)[0].data), mode),
        }
        _require_equal(runs["ragged"](), runs["torch.nn"](), f"ragged {name} {mode}")
        times = take_turns(runs, seconds)
        full, real = steps * rows, found["real_steps"]
        found[mode] = {
            "ms": {who: 1e3 * statistics.median(t) for who, t in times.items()},
            "per_real_step": ratio(times["ragged"], times["full"]) * full / real,
            "torch_ratio": ratio(times["torch.nn"], times["ragged"]),
        }
    return found


class Classifier(nn.Module):
    """A usual model: embedding, GRU, and a linear map of the last state."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(100, 64)
        self.gru = nn.GRU(64, 128, batch_first=True)
        self.read_out = nn.Linear(128, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.read_out(self.gru(self.embedding(tokens))[1][-1])


def converted(seconds: float) -> list[dict[str, Any]]:
    """`convert` on a classifier, B=32, over sequences of several lengths."""
    rows = []
    for steps in (4, 20, 100, 500):
        torch.manual_seed(0)
        before = Classifier()
        after = elman.convert(copy.deepcopy(before))
        tokens = torch.randint(100, (32, steps))
        runs = {
            who: _runs(model, tokens, lambda model, x: model(x))
            for who, model in {"elman": after, "torch.nn": before}.items()
        }
        oracle = _runs(copy.deepcopy(before).double(), tokens, lambda model, x: model(x))
        what = {"layer": "gru", "kind": "classifier", "size": (steps, 32, 64, 128)}
        rows += _timed(what, runs, oracle, seconds)
    return rows


class _Runs:
    def __init__(self, inference: Callable[[], Any], training: Callable[[], Any]) -> None:
        self.inference, self.training = inference, training


def _runs(model: nn.Module, x: Any, call: Callable[[Any, Any], Tensor]) -> _Runs:
    def inference() -> Tensor:
        with torch.no_grad():
            return call(model, x)

    weights = torch.randn(inference().shape, generator=torch.Generator().manual_seed(1))
    weights = (weights / weights.numel() ** 0.5).to(next(model.parameters()).dtype)
    parameters = list(model.parameters())

    def training() -> tuple[Tensor, ...]:
        output = call(model, x)
        return (output, *torch.autograd.grad(output, parameters, weights))

    return _Runs(inference, training)


def _timed(
    what: dict[str, Any], runs: dict[str, _Runs], oracle: _Runs, seconds: float
) -> list[dict[str, Any]]:
    rows = []
    for mode in ("inference", "training"):
        for who, run in runs.items():
            _require_equal(getattr(run, mode)(), getattr(oracle, mode)(), f"{who} {what} {mode}")
        times = take_turns({who: getattr(run, mode) for who, run in runs.items()}, seconds)
        rows.append({
            **what, "mode": mode,
            "ms": {who: 1e3 * statistics.median(t) for who, t in times.items()},
            "ratio": ratio(times["torch.nn"], times["elman"]),
        })  # fmt: skip
    return rows


def _require_equal(found: Any, expected: Any, what: str) -> None:
    pairs = zip(
        found if isinstance(found, tuple) else (found,),
        expected if isinstance(expected, tuple) else (expected,),
        strict=True,
    )
    worst = max(
        ((a.double() - b.double()).abs().max() / b.abs().max().clamp(min=1e-30)).item()
        for a, b in pairs
    )
    if not worst < TOLERANCE:
        sys.exit(f"{what}: a result is off by {worst:.1e}")


def _data(output: Any) -> Tensor:
    return output.data if isinstance(output, PackedSequence) else output


def _to_double(x: Any) -> Any:
    return x._replace(data=x.data.double()) if isinstance(x, PackedSequence) else x.double()


def _line(row: dict[str, Any]) -> str:
    name = f"{row['layer']} {row['kind']} {tuple(row['size'])} {row['mode']}"
    return f"{name:56} {row['ms']['elman']:9.3f} ms   torch.nn {row['ratio']:6.2f}x"


def markdown(report: dict[str, Any]) -> str:
    found = report["machine"]
    lines = [
        "# elman's drop-in layers beside torch.nn's", "",
        f"{found['processor']}, {found['torch_threads']} threads on {found['cores_usable']} cores, "
        f"torch {found['torch']}, Python {found['python']}, {found['date']}. Made by "
        "`make bench`.", "",
        "A ratio is the time of torch.nn divided by the time of elman, float32; above 1, elman is "
        "faster. The two run in turns in one process. The table shows the median over the sizes, "
        "and the smallest in brackets. Before it is timed, every result is compared with that of "
        "torch.nn in float64.", "",
        "A size is (T, B, I, H): T time steps, B rows (sequences side by side), I input features, "
        "H hidden units.", "",
    ]  # fmt: skip
    groups: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in report["rows"]:
        modes = groups.setdefault((row["layer"], row["kind"]), {})
        modes.setdefault(row["mode"], []).append(row["ratio"])
    lines += table(["layer", "input", "inference", "forward + backward"], [
        [layer, kind, *(f"{statistics.median(v):.2f} ({min(v):.2f})" for v in modes.values())]
        for (layer, kind), modes in groups.items()
    ])  # fmt: skip
    lines += ["", f"## Ragged, {RAGGED}, lengths 10 to {RAGGED[0]}", ""]
    lines += table(
        ["layer", "mode", "time of a real step / that of a full batch", "torch.nn packed / elman"],
        [[entry["layer"], mode, f"{entry[mode]['per_real_step']:.2f}",
          f"{entry[mode]['torch_ratio']:.2f}"]
         for entry in report["ragged"] for mode in ("inference", "training")],
    )  # fmt: skip
    lines += ["", "## A classifier before and after `elman.convert`", ""]
    lines += table(["T, B, I, H", "mode", "elman ms", "torch.nn ms", "ratio"], [
        [", ".join(map(str, row["size"])), row["mode"], f"{row['ms']['elman']:.2f}",
         f"{row['ms']['torch.nn']:.2f}", f"{row['ratio']:.2f}"] for row in report["convert"]
    ])  # fmt: skip
    lines += ["", "## Every size", ""]
    lines += table(["layer", "input", "T, B, I, H", "mode", "elman ms", "ratio"], [
        [row["layer"], row["kind"], ", ".join(map(str, row["size"])), row["mode"],
         f"{row['ms']['elman']:.3f}", f"{row['ratio']:.2f}"] for row in report["rows"]
    ])  # fmt: skip
    return "\n".join(lines) + "\n"


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--layers", type=lambda text: text.split(","), default=list(LAYERS))
    parser.add_argument(
        "--sizes", type=lambda text: [int(part) for part in text.split(",")],
        default=list(range(len(SIZES))), help="numbers of rows of SIZES",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, default=1.0, help="for each comparison")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

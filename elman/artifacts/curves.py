"""The metrics of a run as a picture."""

import io
from pathlib import Path
from typing import Any

from elman.artifacts.files import write_atomically

TRAINING, VALIDATION, BEST = "#9aa5b1", "#0b6e8a", "#d1495b"


def draw_curves(records: list[dict[str, Any]], unit: str, title: str, path: Path) -> None:
    """Training and validation loss over what was seen, the best validation loss marked.

    records: lines of `metrics.jsonl`. unit: what a term of the loss is, such as "character".
    """
    if not records:
        return
    from matplotlib.figure import Figure  # a second of import time that most commands never need

    seen = [record[f"seen_{unit}s"] for record in records]
    scale, suffix = (1e6, "million ") if seen[-1] >= 2e6 else (1e3, "thousand ")
    seen = [value / scale for value in seen]
    validation = [record["valid_loss"] for record in records]
    figure = Figure(figsize=(7.2, 4.2), dpi=140, layout="constrained")
    axes = figure.add_subplot()
    training = [record["train_loss"] for record in records]
    marker = "o" if len(records) < 30 else None
    axes.plot(
        seen, training, color=TRAINING, marker=marker, ms=3, label="training (mean since last)"
    )
    axes.plot(seen, validation, color=VALIDATION, marker=marker, ms=3, label="validation")
    best = min(range(len(validation)), key=validation.__getitem__)
    axes.plot(seen[best], validation[best], "o", color=BEST, ms=7, label="kept model")
    axes.annotate(
        f"{validation[best]:.3f}", (seen[best], validation[best]), xytext=(-4, 8),
        textcoords="offset points", ha="right", color=BEST,
    )  # fmt: skip
    axes.set_xlabel(f"{suffix}{unit}s seen")
    axes.set_ylabel(f"loss, nats per {unit}")
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_atomically(path, buffer.getvalue())

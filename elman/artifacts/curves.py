"""The metrics of a run as a picture."""

from pathlib import Path
from typing import Any

from elman import pictures
from elman.artifacts.files import write_atomically


def draw_curves(
    records: list[dict[str, Any]], unit: str, loss_name: str, title: str, path: Path
) -> None:
    """Training and validation loss over what was seen, the best validation loss marked.

    records: lines of `metrics.jsonl`. unit: what a term of the loss is, such as "character".
    """
    if not records:
        return
    seen = [record[f"seen_{unit}s"] for record in records]
    scale, suffix = (1e6, "million ") if seen[-1] >= 2e6 else (1e3, "thousand ")
    seen = [value / scale for value in seen]
    validation = [record["valid_loss"] for record in records]
    figure = pictures.figure(7.2, 4.2)
    axes = figure.add_subplot()
    training = [record["train_loss"] for record in records]
    marker = "o" if len(records) < 30 else None
    axes.plot(
        seen, training, color=pictures.GREY, marker=marker, ms=3, label="training (mean since last)"
    )
    axes.plot(seen, validation, color=pictures.BLUE, marker=marker, ms=3, label="validation")
    best = min(range(len(validation)), key=validation.__getitem__)
    axes.plot(seen[best], validation[best], "o", color=pictures.RED, ms=7, label="kept model")
    axes.annotate(
        f"{validation[best]:.3f}", (seen[best], validation[best]), xytext=(-4, 8),
        textcoords="offset points", ha="right", color=pictures.RED,
    )  # fmt: skip
    axes.set_xlabel(f"{suffix}{unit}s seen")
    axes.set_ylabel(f"loss, {loss_name}")
    axes.set_title(title, loc="left", fontsize=10)
    pictures.open_axes(axes)
    axes.legend(frameon=False)
    write_atomically(path, pictures.png(figure))

"""The confusion matrix as a picture."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from elman import pictures
from elman.tasks.classify.use import metrics
from elman.tasks.classify.use.evaluation import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LONGEST = 24  # characters of a label that are shown


@dataclass(frozen=True)
class _Size:
    """Of a matrix up to `classes` wide: inches of a cell, points of the letters, and the smallest
    percentage that is written into a cell."""

    classes: float
    cell: float
    font: float
    least: float


_SIZES = (
    _Size(6, 0.8, 10, 0),
    _Size(12, 0.55, 9, 1),
    _Size(25, 0.36, 7.5, 1),
    _Size(np.inf, 0.2, 6, 5),
)


def confusion_matrix(evaluation: Evaluation, part: str = "test") -> bytes:
    """PNG: a row for each right label, a column for each predicted one, coloured by the share of
    the row; blue is right, red is wrong. part: what was measured, for the title."""
    order = evaluation.order
    counts = evaluation.counts[np.ix_(order, order)]
    names = [_shortened(evaluation.labels[number]) for number in order]
    size = next(size for size in _SIZES if len(order) <= size.classes)
    letters = 0.011 * size.font * max(map(len, names))
    side = len(order) * size.cell + letters
    figure = pictures.figure(max(6.0, side + 1.3), max(3.8, side + 1.2))
    axes = figure.add_subplot()
    _colour(axes, counts)
    _write_percentages(axes, counts, size)
    _name_the_labels(axes, names, counts.sum(1), size)
    majority = _shortened(evaluation.majority)
    baseline = metrics.accuracy(evaluation.majority_counts)
    axes.set_title(
        f"{part}, {evaluation.examples:,} examples: accuracy {evaluation.accuracy:.3f}, macro F1 "
        f"{evaluation.macro_f1:.3f}\n(always {majority}: accuracy {baseline:.3f})",
        loc="left", fontsize=10 if len(order) <= 25 else 14,
    )  # fmt: skip
    with warnings.catch_warnings():
        # Labels in scripts that matplotlib's font lacks become boxes; a warning for each character
        # would not help.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        return pictures.png(figure)


def _colour(axes: "Axes", counts: np.ndarray) -> None:
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    shares = _shares(counts)
    diagonal = np.eye(len(counts), dtype=bool)
    # A few percent of mistakes must be seen beside a row's ninety: not the share but its square
    # root is the depth of the colour.
    for hidden, colour in ((~diagonal, pictures.BLUE), (diagonal, pictures.RED)):
        colours = LinearSegmentedColormap.from_list("", ["white", colour])
        axes.imshow(np.ma.array(shares, mask=hidden), colours, PowerNorm(0.5, 0, 1))
    edges = np.arange(len(counts) + 1) - 0.5
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(which="minor", color="#e4e8ec", linewidth=0.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


def _write_percentages(axes: "Axes", counts: np.ndarray, size: _Size) -> None:
    percent = 100 * _shares(counts)
    for row, column in zip(*np.nonzero(counts), strict=True):
        value = percent[row, column]
        if value >= size.least:
            axes.text(
                column, row, f"{value:.0f}" if value >= 0.5 else "<1", ha="center", va="center",
                fontsize=size.font, color="white" if value > 40 else "#222222",
            )  # fmt: skip


def _name_the_labels(axes: "Axes", names: list[str], support: np.ndarray, size: _Size) -> None:
    places = range(len(names))
    counted = [f"{name} ({count:,})" for name, count in zip(names, support, strict=True)]
    axes.set_yticks(places, counted, fontsize=size.font)
    if max(map(len, names)) * 0.011 * size.font < size.cell:
        axes.set_xticks(places, names, fontsize=size.font)
    else:
        axes.set_xticks(
            places, names, fontsize=size.font, rotation=90 if size.cell < 0.3 else 45, ha="right",
            va="center" if size.cell < 0.3 else "top", rotation_mode="anchor",
        )  # fmt: skip
    axes.set_ylabel("right label (examples)")
    axes.set_xlabel("predicted label; numbers are percent of the row")


def _shares(counts: np.ndarray) -> np.ndarray:
    """Of each row; zero in a row without examples."""
    shares: np.ndarray = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return shares


def _shortened(label: str) -> str:
    # matplotlib reads what stands between dollar signs as mathematics.
    plain = label.replace("$", r"\$")
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 3] + "..."

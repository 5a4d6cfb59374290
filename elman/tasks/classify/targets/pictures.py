"""Tests as pictures."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from elman import pictures
from elman.tasks.classify.targets import metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LONGEST = 24  # characters of a label that are shown
_MOST_BARS = 40  # labels


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


def confusion_matrix(counts: np.ndarray, labels: Sequence[str], title: str) -> bytes:
    """PNG: a row for each right label, a column for each predicted one, coloured by the share of
    the row; blue is right, red is wrong."""
    names = [_plain(shortened(label)) for label in labels]
    size = next(size for size in _SIZES if len(names) <= size.classes)
    letters = 0.011 * size.font * max(map(len, names))
    side = len(names) * size.cell + letters
    figure = pictures.figure(max(6.0, side + 1.3), max(3.8, side + 1.2))
    axes = figure.add_subplot()
    _colour(axes, counts)
    _write_percentages(axes, counts, size)
    _name_the_labels(axes, names, counts.sum(1), size)
    axes.set_title(_plain(title), loc="left", fontsize=10 if len(names) <= 25 else 14)
    return _png(figure)


def _png(figure: "Figure") -> bytes:
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


def shortened(label: str) -> str:
    return label if len(label) <= _LONGEST else label[: _LONGEST - 3] + "..."


def _plain(text: str) -> str:
    """matplotlib reads what stands between dollar signs as mathematics."""
    return text.replace("$", r"\$")


def predicted_and_true(said: np.ndarray, actual: np.ndarray, title: str) -> bytes:
    """PNG: a point for each example, `(N, 3)` predicted with its interval over `(N,)` true; on the
    grey line both are equal."""
    value, low, high = said.T
    figure = pictures.figure(6.4, 5.6)
    axes = figure.add_subplot()
    ends = [min(actual.min(), value.min()), max(actual.max(), value.max())]
    axes.axline((ends[0], ends[0]), slope=1, color=pictures.GREY, linewidth=1, zorder=1)
    inside = (low <= actual) & (actual <= high)
    faint = max(0.08, min(0.7, 60 / len(actual)))
    for which, colour, name in (
        (inside, pictures.BLUE, "interval holds the true number"),
        (~inside, pictures.RED, "interval misses it"),
    ):
        x, y = actual[which], value[which]
        axes.vlines(x, low[which], high[which], color=colour, alpha=faint / 2, linewidth=1)
        axes.plot(
            x, y, "o", color=colour, markersize=3.5, alpha=min(1.0, 2 * faint),
            label=f"{name} ({which.mean():.0%})",
        )  # fmt: skip
    room = 0.04 * (ends[1] - ends[0]) or 1.0
    axes.set_xlim(ends[0] - room, ends[1] + room)
    axes.set_xlabel("true number")
    axes.set_ylabel("predicted number, with its interval")
    axes.set_title(title, loc="left", fontsize=10)
    pictures.open_axes(axes)
    axes.legend(frameon=False, loc="upper left", fontsize=9)
    return _png(figure)


def bars_of_labels(labels: Sequence[str], classes: metrics.PerClass, title: str) -> bytes:
    """PNG: the F1 of each label that occurs, the commonest first; a tick at its recall."""
    order = np.argsort(-classes.support, kind="stable")
    order = order[classes.support[order] > 0][:_MOST_BARS]
    names = [f"{_plain(shortened(labels[i]))} ({classes.support[i]:,})" for i in order]
    figure = pictures.figure(6.4, max(2.4, 1.2 + 0.24 * len(order)))
    axes = figure.add_subplot()
    places = np.arange(len(order))
    axes.barh(places, classes.f1[order], color=pictures.BLUE, height=0.7, label="F1")
    for measure, colour in (("precision", pictures.GREY), ("recall", pictures.RED)):
        axes.plot(getattr(classes, measure)[order], places, "|", color=colour, markersize=9,
                  markeredgewidth=2, label=measure)  # fmt: skip
    axes.set_yticks(places, names, fontsize=8)
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("F1, with precision and recall; in brackets: examples")
    axes.set_title(_plain(title), loc="left", fontsize=10)
    pictures.open_axes(axes)
    figure.legend(frameon=False, loc="outside lower right", fontsize=8, ncols=3)
    return _png(figure)

"""Figures in one style, as PNG bytes. matplotlib is loaded when the first one is drawn."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY, BLUE, RED = "#9aa5b1", "#0b6e8a", "#d1495b"
"""What is given or for comparison; what the model says; what to look at."""


def figure(width: float, height: float) -> "Figure":
    """An empty figure, width and height in inches."""
    from matplotlib.figure import Figure  # a second of import time that most commands never need

    return Figure(figsize=(width, height), dpi=140, layout="constrained")


def open_axes(axes: "Axes") -> None:
    """A light grid and no frame above and on the right."""
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()

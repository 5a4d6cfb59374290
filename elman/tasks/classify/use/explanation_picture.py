"""What each stretch of a signal did to its label, as a picture."""

from collections.abc import Sequence

import numpy as np

from elman import pictures
from elman.tasks.classify.use.explanation import Explanation

MOST = 6
"""Examples in one picture."""
_CHANNELS = 12


def explained_signals(signals: Sequence[np.ndarray], explanations: Sequence[Explanation]) -> bytes:
    """PNG: each signal `(T, C)` over time, a row for each channel. Behind it blue stretches speak
    for the label and red ones against it; the depth is the effect beside the example's largest."""
    shown = list(zip(signals, explanations, strict=True))[:MOST]
    rows = [
        (number, channel)
        for number, (signal, _) in enumerate(shown)
        for channel in range(min(signal.shape[1], _CHANNELS))
    ]
    figure = pictures.figure(7.2, 0.6 + (1.9 if len(rows) == len(shown) else 1.1) * len(rows))
    panes = np.atleast_1d(figure.subplots(len(rows), 1, squeeze=False)[:, 0])
    for axes, (number, channel) in zip(panes, rows, strict=True):
        signal, explained = shown[number]
        largest = max((abs(piece.effect) for piece in explained.pieces), default=0.0) or 1.0
        for piece in explained.pieces:
            if piece.channel == channel:
                axes.axvspan(
                    piece.start - 0.5, piece.stop - 0.5, lw=0,
                    color=pictures.BLUE if piece.effect > 0 else pictures.RED,
                    alpha=0.75 * abs(piece.effect) / largest,
                )  # fmt: skip
        axes.plot(
            signal[:, channel], color="#222222", lw=1.1, marker="." if len(signal) < 3 else ""
        )
        axes.set_xlim(-0.5, len(signal) - 0.5)
        pictures.open_axes(axes)
        if signal.shape[1] > 1:
            axes.set_ylabel(f"channel {channel + 1}", fontsize=8)
        if channel == 0:
            label = explained.label.replace("$", r"\$")
            axes.set_title(
                f"example {number + 1}: {label}, {explained.probability:.1%}; a full colour is "
                f"{largest:.2g} nats of log-odds",
                loc="left", fontsize=9,
            )  # fmt: skip
    panes[-1].set_xlabel("time step; blue: speaks for the label, red: against it", fontsize=9)
    return pictures.png(figure)

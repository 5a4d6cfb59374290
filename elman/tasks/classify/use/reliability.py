"""How far a model may be believed, as a picture."""

import numpy as np

from elman import pictures
from elman.tasks.classify.targets import metrics

_Z = 1.96  # deviations that hold 95 % of a normal distribution


def reliability_diagram(probabilities: np.ndarray, labels: np.ndarray, part: str = "test") -> bytes:
    """PNG: the share of predictions that are right over the probability that the model gave them,
    in the ranges of the calibration error, and below it how many examples each range has.

    On the diagonal the model is as sure as it should be; below it, surer. Lines are 95 % intervals
    of the share (E. B. Wilson, 1927), so that few examples do not look like much.

    probabilities: `(N, K)`. labels: `(N,)`. part: what was measured, for the title.
    """
    found = metrics.reliability(probabilities, labels)
    some = found.examples > 0
    count, right = found.examples[some], found.right[some]
    confidence, share = found.confidence[some] / count, right / count
    low, high = wilson(right, count)
    figure = pictures.figure(5.6, 5.8)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3.2, 1])
    above.plot([0, 1], [0, 1], "--", color=pictures.GREY, lw=1, label="as sure as it should be")
    above.vlines(confidence, low, high, color=pictures.BLUE, alpha=0.45, lw=3)
    above.plot(confidence, share, "o", color=pictures.BLUE, ms=6, label="the model")
    above.set_ylabel("share that is right")
    above.set_ylim(-0.02, 1.04)
    above.legend(frameon=False, loc="upper left")
    error = metrics.calibration_error(probabilities, labels)
    accuracy = float((probabilities.argmax(1) == labels).mean())
    above.set_title(
        f"{part}, {len(labels):,} examples: calibration error {error:.3f}, accuracy "
        f"{accuracy:.3f},\nmean probability of the predicted label "
        f"{probabilities.max(1).mean():.3f}",
        loc="left", fontsize=10,
    )  # fmt: skip
    width = 1 / metrics.BINS
    middles = (np.arange(metrics.BINS) + 0.5) * width
    below.bar(middles, found.examples, 0.9 * width, color=pictures.GREY)
    for middle, number in zip(middles[some], count, strict=True):
        below.annotate(
            f"{number:,}", (middle, number), xytext=(0, 2), textcoords="offset points",
            ha="center", fontsize=6.5,
        )  # fmt: skip
    below.set_ylim(0, 1.18 * found.examples.max())
    below.set_ylabel("examples")
    below.set_xlabel("probability of the predicted label")
    below.set_xlim(0, 1)
    for axes in (above, below):
        pictures.open_axes(axes)
    return pictures.png(figure)


def wilson(right: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the 95 % score interval of a share (E. B. Wilson, 1927, J. Am. Stat. Assoc. 22),
    of `right` in `count` trials, elementwise."""
    share = right / count
    scale = 1 + _Z**2 / count
    middle = (share + _Z**2 / (2 * count)) / scale
    half = _Z * np.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2)) / scale
    return middle - half, middle + half

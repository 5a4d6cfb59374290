"""Intervals from the errors on the validation part: split conformal prediction."""

import numpy as np


def conformal_margins(scores: np.ndarray, counted: np.ndarray, coverage: float) -> np.ndarray:
    r"""`(H, C)`: how far an interval must reach so that it held a share `coverage` of the past.

    scores: `(W, H, C)` by how much each value lay outside the uncorrected interval, negative if
    inside: for a point :math:`|y - \hat y|`, for quantiles :math:`\max(q_{low} - y, y - q_{high})`
    (Y. Romano et al., arXiv 1905.03222). counted: which of them are known.

    The margin is the :math:`\lceil (n + 1)\,\mathrm{coverage} \rceil`-th smallest of the n scores,
    which covers new values of exchangeable data with at least that probability; the largest when n
    is too small for that. Windows of a series overlap and drift, so the coverage is measured on the
    test part, too.
    """
    ranked = np.sort(np.where(counted, scores, np.inf), axis=0)
    count = counted.sum(0)
    rank = np.minimum(np.ceil((count + 1) * coverage), count).astype(np.int64)
    found = np.take_along_axis(ranked, np.maximum(rank - 1, 0)[None], axis=0)[0]
    return np.where(count > 0, found, 0.0)

"""Text as numbers: one code point for each character."""

import numpy as np

UNICODE = 0x110000
"""The number of code points."""


def code_points(text: str) -> np.ndarray:
    """`(N,)` int32; half of a surrogate pair stands for itself, so that a message can name it."""
    return np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), dtype="<i4")

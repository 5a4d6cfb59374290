"""Missing values of signals, and what stands in their place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.errors import RunError

_OFTEN = 1e-3  # the share of missing values from which on they may tell something


@dataclass(frozen=True)
class Gaps:
    """In place of a missing value (NaN): the line between its neighbours, or the nearest value.

    usual: `(C,)`, what stands for a channel of which an example shows nothing: its mean in
    training. told: numbers of the channels of which training lacked some values; for each of them,
    another channel says where (1).
    """

    usual: tuple[float, ...]
    told: tuple[int, ...] = ()

    @classmethod
    def of(cls, training: Sequence[np.ndarray]) -> "Gaps":
        """From the signals `(T, C)` of the training part."""
        values = np.concatenate(training)
        known = ~np.isnan(values)
        largest = np.abs(values, where=known, out=np.zeros_like(values)).max(0)
        size = np.where(largest > 0, largest, 1.0)  # so that no sum overflows
        shares = np.where(known, values / size, 0.0).sum(0) / np.maximum(known.sum(0), 1)
        told = np.flatnonzero((~known).mean(0) > _OFTEN)
        return cls(tuple((shares * size).tolist()), tuple(told.tolist()))

    @property
    def channels(self) -> int:
        """Of a signal when gaps are filled and told."""
        return len(self.usual) + len(self.told)

    def fill(self, signal: np.ndarray) -> np.ndarray:
        """`(T, C)` to `(T, C + told)`."""
        missing = np.isnan(signal)
        if missing.any():
            signal = signal.copy()
            for channel in np.flatnonzero(missing.any(0)):
                signal[:, channel] = _filled(signal[:, channel], self.usual[channel])
        told = missing[:, list(self.told)].astype(signal.dtype)
        return np.concatenate([signal, told], 1) if self.told else signal

    def to_json(self) -> dict[str, Any]:
        return {"usual": list(self.usual), "told": list(self.told)}

    @classmethod
    def from_json(cls, value: object, channels: int) -> "Gaps":
        """What `to_json` gave; nothing to tell for a run that kept none.

        Raises:
            RunError: something else.
        """
        if value is None:
            return cls((0.0,) * channels)
        fields = value if isinstance(value, dict) else {}
        usual, told = fields.get("usual"), fields.get("told")
        if (
            isinstance(usual, list)
            and [type(number) for number in usual] == [float] * channels
            and np.isfinite(usual).all()
            and isinstance(told, list)
            and all(type(number) is int and 0 <= number < channels for number in told)
            and told == sorted(set(told))
        ):
            return cls(tuple(usual), tuple(told))
        raise RunError(
            "vocabulary.json must hold, under gaps, the usual value of each channel and the "
            "numbers of channels told (ascending); restore it or train anew"
        )


def trimmed(signal: np.ndarray) -> np.ndarray:
    """Without the steps at the end at which no channel has a value: people pad signals so."""
    known = np.flatnonzero(~np.isnan(signal).all(1))
    return signal[: known[-1] + 1] if len(known) else signal[:0]


def _filled(column: np.ndarray, usual: float) -> np.ndarray:
    known = np.flatnonzero(~np.isnan(column))
    if not len(known):
        return np.full_like(column, usual)
    filled: np.ndarray = np.interp(np.arange(len(column)), known, column[known])
    return filled

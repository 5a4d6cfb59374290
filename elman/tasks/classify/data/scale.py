"""How signals become the float32 numbers of a model without losing what tells them apart."""

from dataclasses import dataclass

import numpy as np

from elman.errors import ArgumentError, RunError

_FAR = 1e3
"""How many deviations values may be from zero: float32 keeps seven digits, so that four of them are
left for the differences."""
_SMALL, _LARGE = 1e-30, 1e30  # sizes with which float32 can still calculate
_ROUNDING = 1e-14  # of the largest value: deviations below it come from rounding in float64


@dataclass(frozen=True)
class Scale:
    """Values of signals `(T, C)` are counted from `centers` in `units`, one for each channel."""

    centers: tuple[float, ...]
    units: tuple[float, ...]

    @classmethod
    def of(cls, training: np.ndarray) -> "Scale":
        """The scale for the values `(N, C)` of the training part. A channel that float32 holds well
        stays as it is, and one that never changes keeps its zero, so that no rounding errors are
        what is left of it."""
        training = training.astype(np.float64)
        largest = np.abs(training).max(0)
        size = np.where(largest > 0, largest, 1.0)
        shares = training / size  # whose squares do not overflow
        means, deviations = shares.mean(0) * size, shares.std(0) * size
        constant = deviations <= _ROUNDING * largest
        small = np.where(constant, size, deviations) < _SMALL
        held = (constant | (largest / _FAR <= deviations)) & ~small & (largest <= _LARGE)
        centers = np.where(held | constant, 0.0, means)
        units = np.where(held, 1.0, np.where(constant, size, deviations))
        return cls(tuple(centers.tolist()), tuple(units.tolist()))

    def apply(self, signal: np.ndarray) -> np.ndarray:
        """`(T, C)` float32.

        Raises:
            ArgumentError: a value is too far from those of the training part.
        """
        with np.errstate(over="ignore"):
            scaled = (signal.astype(np.float64) - self.centers) / self.units
            numbers = scaled.astype(np.float32)
        if not np.isfinite(numbers).all():
            row, channel = np.argwhere(~np.isfinite(numbers))[0]
            raise ArgumentError(
                f"values of channel {channel + 1} were expected near {self.centers[channel]:.6g}, "
                f"in units of {self.units[channel]:.3g}, as in training, got "
                f"{signal[row, channel]:.6g}, too far away for float32; correct or scale it"
            )
        return numbers

    def to_json(self) -> dict[str, list[float]]:
        return {"centers": list(self.centers), "units": list(self.units)}

    @classmethod
    def from_json(cls, value: object, channels: int) -> "Scale | None":
        """What `to_json` gave; None for a run that kept none.

        Raises:
            RunError: something else.
        """
        if value is None:
            return None
        fields = value if isinstance(value, dict) else {}
        found = fields.get("centers"), fields.get("units")
        for numbers in found:
            if not isinstance(numbers, list) or [type(n) for n in numbers] != [float] * channels:
                break
        else:
            centers, units = (np.array(numbers, dtype=np.float64) for numbers in found)
            if np.isfinite([centers, units]).all() and (units > 0).all():
                return cls(tuple(centers.tolist()), tuple(units.tolist()))
        raise RunError(
            "vocabulary.json must hold the center and the unit (above 0) of each channel under "
            "scale; restore it or train anew"
        )

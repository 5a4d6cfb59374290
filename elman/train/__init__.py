"""Training: settings, schedule, and the loop."""

from elman.train.fit import fit, resume

__all__ = ["fit", "resume"]

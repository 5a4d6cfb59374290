"""The exceptions of elman.

Every message is one line with three parts: what was expected, what came, what to do.
`ElmanError` catches them all. The command line turns each into one line on standard error
and ends with the class's `exit_code`: 2 for wrong usage, 1 for a run that failed.
"""


class ElmanError(Exception):
    """Base class of all errors that elman raises on purpose."""

    exit_code = 1


class ArgumentError(ElmanError, ValueError):
    """A value that a function, a flag or a settings file was given is not usable."""

    exit_code = 2


class ShapeError(ArgumentError):
    """A tensor has the wrong shape, dtype or device."""


class StepError(ElmanError, ValueError):
    """A step function broke its contract `(x_t, state) -> (y_t, state)`."""


class UnsupportedStep(ElmanError, NotImplementedError):
    """The named backend can't run this step; the message names the operation and its line."""


class DataError(ElmanError):
    """A data file is missing, unreadable, or holds what it should not."""


class RunError(ElmanError):
    """A run folder is missing, damaged, of another format, or in the way."""


class TrainingError(ElmanError):
    """Training had to stop, for example because the loss is no longer a finite number."""


class Interrupted(ElmanError):
    """Training was asked to stop (Ctrl-C, SIGTERM) and has saved everything needed to go on."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number

"""How fast training goes, and how long it will take."""

from collections import deque
from itertools import islice

from elman.artifacts.checkpoint import Progress
from elman.train.schedule import Schedule

_WINDOW = 300  # steps that tell the pace: examples of different lengths take different times
_FIRST = 3  # steps that do not, once there are others: they wait for loops to be compiled


class Pace:
    """Told of every step and evaluation when it is done, with the time on a clock, in seconds.

    Steps and evaluations are timed apart. So an evaluation, which may take as long as a hundred
    steps, does not make the steps look slow, and those still to come are in the time that is left.
    """

    def __init__(self, schedule: Schedule, progress: Progress, now: float) -> None:
        self._schedule, self._progress = schedule, progress
        self._times: deque[tuple[float, int]] = deque(maxlen=_WINDOW)  # seconds, terms of the loss
        self._evaluation = 0.0
        self._count, self._seen, self._seconds = 0, progress.seen, progress.seconds
        self._last = self._last_step = now

    def stepped(self, now: float) -> None:
        self._times.append((now - self._last, self._progress.seen - self._seen))
        self._count, self._seen = self._count + 1, self._progress.seen
        self._seconds = self._progress.seconds
        self._last = self._last_step = now

    def evaluated(self, now: float) -> None:
        self._evaluation = now - self._last
        self._last = now

    def elapsed(self) -> float:
        """Seconds of training so far, in all processes, with the evaluation that just ended."""
        return self._seconds + self._last - self._last_step

    def left(self) -> float | None:
        """Seconds to the end of the budget; None before the first step. Patience may end a run
        earlier."""
        if not self._times:
            return None
        ends = []
        if (last := self._schedule.last_step) is not None:
            seconds, _ = self._lately()
            done, every = self._progress.step, self._schedule.evaluate_every
            # The last step is evaluated, too, if it is not its turn anyway.
            evaluations = last // every - done // every + (last % every > 0 and done < last)
            ends.append((last - done) * seconds + evaluations * self._evaluation)
        if (minutes := self._schedule.settings.minutes) is not None:
            ends.append(60.0 * minutes - self.elapsed())
        return max(0.0, min(ends, default=0.0))

    def speed(self) -> float:
        """Terms of the loss a second, evaluations not counted; 0 before the first step."""
        seconds, terms = self._lately()
        return terms / seconds if seconds else 0.0

    def _lately(self) -> tuple[float, float]:
        """The means of a step: its seconds and its terms."""
        first = max(0, min(_FIRST - (self._count - len(self._times)), len(self._times) - 1))
        lately = list(islice(self._times, first, None))
        count = max(len(lately), 1)
        return sum(time for time, _ in lately) / count, sum(terms for _, terms in lately) / count


def clock(seconds: float) -> str:
    """As 0:07, 12:30 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

"""`constants`: what a row sees at every step, as a part of the state that never changes.

Every backend then knows them: they are sorted, cut and masked with their rows, and their gradient
is the cotangent that the state's part has gathered when it arrives at the first step.
"""

from typing import Any


class StepWithConstants:
    """A step `(x_t, state, constants)` as a step of the state `(state, constants)`."""

    def __init__(self, step: Any) -> None:
        self.step = step
        self.__qualname__ = getattr(step, "__qualname__", type(step).__qualname__)

    def __call__(self, x: Any, carried: tuple[Any, Any]) -> Any:
        state, constants = carried
        result = self.step(x, state, constants)
        if not isinstance(result, tuple) or len(result) != 2:
            return result  # for the backend to say what is wrong with it
        return result[0], (result[1], constants)

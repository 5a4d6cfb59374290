"""What the training loop asks of a task, and what makes a task known to the rest of elman."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from elman.errors import RunError
from elman.nest import Nest
from elman.tasks.setup import Setup
from elman.tasks.shared.trained import Trained


@dataclass(frozen=True)
class StepLoss:
    """The loss of one training step.

    mean: scalar to differentiate. terms: how many predictions it is the mean of.
    carry: state that the next step goes on from, cut off from this step's graph.
    """

    mean: Tensor
    terms: int
    carry: Nest


class Task(Protocol):
    """A model and the data that it learns from.

    steps_per_epoch: training steps in which every training example is seen about once.
    unit: what one term of the loss stands for, such as "character".
    loss_name: what the loss measures, such as "nats per character".
    highlights: keys of `validate` that are worth a place in the line about an evaluation.
    notes: things about this data and these settings that the user should know.
    can_choose: the validation part is large enough to tell which weights are better.
    """

    name: str
    unit: str
    loss_name: str
    highlights: tuple[str, ...]
    steps_per_epoch: int
    notes: list[str]
    can_choose: bool

    @property
    def model(self) -> nn.Module: ...

    def initial_carry(self) -> Nest:
        """The nest that the first step carries in; also the shape of every later one."""
        ...

    def loss(self, step: int, carry: Nest) -> StepLoss:
        """The training loss of step number `step`, a function of its arguments and the weights."""
        ...

    def validate(self) -> dict[str, Any]:
        """Validation metrics for `metrics.jsonl`; "valid_loss" decides which model is kept."""
        ...


@dataclass(frozen=True)
class Prepared:
    """What a task writes into a new run: its vocabulary, and the checksums of its data.

    budget: of a run that was given none, if this data asks for another one than the kind's.
    """

    vocabulary: dict[str, Any]
    data: dict[str, Any]
    budget: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Restored:
    """The same, read back from a run that nobody vouches for. folder: where the encoded data is."""

    vocabulary: object
    data: dict[str, Any]
    folder: Path

    def text(self, name: str) -> str:
        """A text of the [data] table, such as a checksum.

        Raises:
            RunError: there is none of that name.
        """
        value = self.data.get(name)
        if not isinstance(value, str):
            raise RunError(
                f"config.toml: the [data] table must hold {name}; restore it or train anew"
            )
        return value


@dataclass(frozen=True)
class Outcome:
    """What is found out once, when training has ended: the test.

    results: what `results.json` holds. files: pictures and tables by name.
    """

    results: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)


class TaskKind(Protocol):
    """One row of `TASKS`: how a task comes from data, and a usable model from a run.

    settings: the dataclass of the task's own settings. evaluation: the dataclass of the options
    that its `evaluate` takes. training: training settings whose defaults differ for this task.
    budget: the budget of a run that was given none.
    """

    name: str
    training: Mapping[str, Any]
    budget: Mapping[str, Any]

    @property
    def settings(self) -> type[Any]: ...

    @property
    def evaluation(self) -> type[Any]: ...

    def prepare(self, data: list[str], settings: Any, setup: Setup, folder: Path) -> Prepared:
        """Read the data once and write it, encoded, to `folder`."""
        ...

    def restore(self, saved: Restored) -> Any:
        """What the run keeps of its data, for `open_task` and `open_trained`: read once, and only
        as far as they ask for it, since a run may be copied without its data."""
        ...

    def open_task(self, settings: Any, kept: Any, setup: Setup) -> Task: ...

    def open_trained(self, settings: Any, kept: Any, setup: Setup) -> Trained[Any]:
        """The object that `elman.load` returns, its `model` with weights still to be filled in."""
        ...

    def finish(self, trained: Any) -> Outcome | None:
        """The test of a model whose training has ended; None if the task has none. It may be made
        again after an interruption, so the same model must give the same outcome."""
        ...

"""How a model is trained: the settings that all tasks share."""

from dataclasses import dataclass

from elman.engine import BACKENDS
from elman.settings import setting


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    steps: int | None = setting(None, "budget in training steps", minimum=1)
    epochs: float | None = setting(None, "budget in passes over the training data", above=0.0)
    minutes: float | None = setting(None, "budget in minutes of training", above=0.0)
    learning_rate: float = setting(0.003, "peak learning rate of AdamW", above=0.0)
    final_learning_rate: float = setting(
        0.05, "learning rate at the end, as a share of the peak", minimum=0.0, maximum=1.0
    )
    warmup: float = setting(
        0.05,
        "share of the budget in which the learning rate rises to its peak",
        minimum=0.0,
        below=1.0,
    )
    weight_decay: float = setting(0.01, "weight decay of AdamW", minimum=0.0)
    clip: float = setting(1.0, "largest norm of the gradient; 0 = no clipping", minimum=0.0)
    least_steps: int = setting(
        0, "a budget in epochs is at least so many steps, whatever the size of the data", minimum=0
    )
    evaluate_every: int = setting(
        250,
        "steps between evaluations; 0 = one epoch, but at most 50 times in the budget",
        minimum=0,
    )
    patience: int = setting(
        0,
        "evaluations without a better validation loss that end the run, in the second half of its "
        "budget; 0 = never",
        minimum=0,
    )
    keep: str = setting(
        "auto",
        "weights that are kept: best on validation, last, or auto: best if the validation part is "
        "large enough to tell",
        choices=("auto", "best", "last"),
    )
    save_every: int = setting(250, "steps between checkpoints", minimum=1)
    seed: int = setting(0, "seed of weights, batches and dropout", minimum=0, maximum=2**62)
    device: str = setting("cpu", "where to train: cpu, cuda, cuda:0, ...")
    threads: int | None = setting(None, "CPU threads (default: all cores)", minimum=1, maximum=1024)
    backend: str = setting("auto", f"what runs the loop over time: {', '.join(BACKENDS)}")


BUDGET = ("steps", "epochs", "minutes")
"""Settings that say how long to train; the first one reached ends the run."""
CHANGEABLE = (*BUDGET, "patience", "threads")
"""Settings that a run may get anew when it is resumed."""

"""What a language model is made of, how its text is read, and how it is scored."""

from dataclasses import dataclass

from elman.settings import changed, setting
from elman.tasks.cell import PERCEPTRON, cell_setting
from elman.tasks.shared.stack import StackSettings


@dataclass(frozen=True, kw_only=True)
class LanguageSettings(StackSettings):
    cell: str = cell_setting("lstm", also=f"{PERCEPTRON} for a perceptron without hidden state; ")
    hidden_size: int = changed(StackSettings, "hidden_size", 256)
    embedding_size: int = setting(
        0, "size of a learned vector for each character; 0 = one-hot", minimum=0
    )
    window: int = setting(16, "characters that the mlp sees (mlp only)", minimum=1)
    level: str = setting("char", "what a token is", choices=("char", "byte"))
    sequence_length: int = setting(
        64, "steps that gradients go back through time (truncation)", minimum=1
    )
    batch_size: int = setting(32, "streams, or windows, read side by side", minimum=1)
    sampling: str = setting(
        "streams",
        "streams: parallel streams read in order, the state carried from batch to batch; "
        "windows: random windows from the first state",
        choices=("streams", "windows"),
    )
    valid_fraction: float = setting(
        0.1, "share of the text, at its end, kept for validation", above=0.0, below=1.0
    )


@dataclass(frozen=True, kw_only=True)
class ScoringSettings:
    """How a text is scored."""

    window: int = setting(256, "length of the windows from the first state", minimum=1)
    unknown: str = setting(
        "error",
        "characters never seen in training: error stops, skip leaves them out",
        choices=("error", "skip"),
    )

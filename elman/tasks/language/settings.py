"""What a language model is made of, how its text is read, and how it is scored."""

from dataclasses import dataclass, replace

from elman.errors import ArgumentError
from elman.settings import changed, setting
from elman.tasks.cell import PERCEPTRON, cell_setting
from elman.tasks.shared.stack import StackSettings

ONE_HOT = 512
"""The largest vocabulary that is read one-hot where no size of an embedding is given. A one-hot
token of V numbers costs the first layer a product with V columns: little among letters and bytes,
most of the time of a step among thousands of characters."""
EMBEDDED = 128
"""The size of the vectors in a larger one."""
DROPOUT = 0.15
"""In a larger one: so many vectors learn a text of a novel's length by heart within minutes."""


@dataclass(frozen=True)
class Tokens:
    """How tokens are read and scored. embedding_size: 0 = one-hot. tied: one table for both."""

    vocabulary_size: int
    embedding_size: int
    tied: bool

    @property
    def input_size(self) -> int:
        """Features of a token as the first layer reads it."""
        return self.embedding_size or self.vocabulary_size


@dataclass(frozen=True, kw_only=True)
class LanguageSettings(StackSettings):
    cell: str = cell_setting("lstm", also=f"{PERCEPTRON} for a perceptron without hidden state; ")
    hidden_size: int = changed(StackSettings, "hidden_size", 256)
    dropout: float | None = changed(  # type: ignore[assignment]
        StackSettings,
        "dropout",
        None,
        help="share of values zeroed before, between and after layers [default: 0, but "
        f"{DROPOUT} for more than {ONE_HOT} characters]",
    )
    embedding_size: int | None = setting(
        None,
        "size of a learned vector for each character; 0 = one-hot [default: one-hot, but "
        f"{EMBEDDED} for more than {ONE_HOT} characters]",
        minimum=0,
    )
    tied: bool | None = setting(
        None,
        "these vectors also score the next character [default: yes for more than "
        f"{ONE_HOT} characters]",
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

    def for_vocabulary(self, size: int) -> "LanguageSettings":
        """The same with a number for dropout, which the layers need."""
        usual = DROPOUT if size > ONE_HOT else 0.0
        return replace(self, dropout=usual if self.dropout is None else self.dropout)

    def tokens(self, vocabulary_size: int) -> Tokens:
        """What the settings, and where they say nothing the size of the vocabulary, ask for.

        Raises:
            ArgumentError: one-hot tokens have no vectors to be scored by.
        """
        large = vocabulary_size > ONE_HOT
        size = self.embedding_size
        if size is None:
            size = EMBEDDED if large or self.tied else 0
        if self.tied and not size:
            raise ArgumentError(
                "--tied scores characters by their learned vectors, but --embedding-size 0 reads "
                "them one-hot; leave one of the two out"
            )
        tied = bool(size) and large if self.tied is None else self.tied
        return Tokens(vocabulary_size, size, tied)


@dataclass(frozen=True, kw_only=True)
class ScoringSettings:
    """How a text is scored."""

    window: int = setting(256, "length of the windows from the first state", minimum=1)
    unknown: str = setting(
        "error",
        "characters never seen in training: error stops, skip leaves them out",
        choices=("error", "skip"),
    )


@dataclass(frozen=True, kw_only=True)
class LineSettings:
    """How lines are scored one by one."""

    unknown: str = setting(
        "impossible",
        "characters never seen in training: impossible makes a line's nats infinite, skip leaves "
        "them out of its score, error stops",
        choices=("impossible", "skip", "error"),
    )

"""The commands of the language task."""

from dataclasses import replace
from typing import Annotated, Any

import typer

from elman.app.generate import generate
from elman.app.infill import infill
from elman.app.options import TrainOptions, trains
from elman.app.scores import score
from elman.app.training import Report, train_run
from elman.artifacts.load import SavedRun
from elman.artifacts.run_folder import RunFolder
from elman.tasks import TASKS
from elman.tasks.language import Evaluation, TrainedLanguage
from elman.tasks.language.data.sources import read_bytes, read_text
from elman.tasks.language.use.score import Loss

MEASURES = (
    "nats, bits and perplexity, with the state carried through the whole text and over windows "
    "that each begin anew (how models that see a fixed window are scored)."
)


def add_commands(app: typer.Typer, train: typer.Typer) -> None:
    """Put this task's commands into the program."""
    train.command("language")(train_language)
    app.command("generate")(generate)
    app.command("score")(score)
    app.command("infill")(infill)


@trains(TASKS["language"])
def train_language(
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATA]...",
            help="UTF-8 text files or folders, or - for standard input. "
            "Without any: Python's own language reference.",
        ),
    ],
    options: TrainOptions,
) -> None:
    """Train a model of text that can then write and score text.

    Examples:

    elman train language book.txt --minutes 3

    elman train language book.txt --cell gru --hidden-size 512 --layers 2 --dropout 0.3 --epochs 10

    elman train language book.txt --cell my_cells.py:LeakyCell
    """
    train_run("language", data, options, report)


def report(folder: RunFolder, model: TrainedLanguage) -> Report:
    """The results of training, and what to do next."""
    best = min(folder.read_metrics(), key=lambda record: record["valid_loss"])
    unit = model.vocabulary.unit
    return Report(
        f"best validation loss {best['valid_loss']:.4f} nats per {unit} "
        f"({best[f'bits_per_{unit}']:.4f} bits, perplexity {best['perplexity']:.3f}) "
        f"at step {best['step']}"
        + (f"; {best['nats_per_character']:.4f} nats per character" if unit == "byte" else ""),
        [f"next: elman generate {folder}"],
    )


def evaluate(
    run: SavedRun, model: TrainedLanguage, data: str | None, given: dict[str, Any]
) -> Evaluation:
    """`elman evaluate` for a language run."""
    return model.evaluate(None if data is None else _text_of(data, model), **given)


def _text_of(data: str, model: TrainedLanguage) -> str:
    """A file's text as the model reads it: one of bytes takes every file."""
    if model.vocabulary.level == "byte":
        return b"".join(read_bytes([data])).decode("utf-8", errors="surrogateescape")
    return "".join(read_text([data], instead=""))


def table(evaluation: Evaluation) -> str:
    """Both ways of scoring, one line for each; of bytes, also per character."""
    ways = {
        "state carried through the text": evaluation.carried,
        f"windows of {evaluation.window} from the first state": evaluation.windows,
    }
    of_characters = [
        replace(loss, nats=loss.nats_per_character, tokens=loss.characters, unit="character")
        for loss in ways.values()
    ]
    lines: list[str] = []
    for losses in (list(ways.values()), of_characters):
        if lines and losses[0].unit == evaluation.carried.unit:
            break
        per, counted = f"per {losses[0].unit}", f"{losses[0].unit}s"
        lines.append(f"{per:<36} {'nats':>8} {'bits':>8} {'perplexity':>11} {counted:>10}")
        lines += [_row(name, loss) for name, loss in zip(ways, losses, strict=True)]
    return "\n".join(lines)


def _row(name: str, loss: Loss) -> str:
    numbers = f"{loss.nats:8.4f} {loss.bits:8.4f} {loss.perplexity:11.4f} {loss.tokens:>10,}"
    return f"{name:<36} {numbers}"

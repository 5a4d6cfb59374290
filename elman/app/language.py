"""The commands of the language task."""

import json
import secrets
from enum import StrEnum
from typing import Annotated

import typer

from elman.app import terminal
from elman.app.options import (
    Device,
    OwnCell,
    Run,
    TrainOptions,
    trains,
)
from elman.app.training import named_cell, report_files, train_run
from elman.artifacts.load import load
from elman.artifacts.run_folder import RunFolder
from elman.errors import ArgumentError
from elman.tasks import TASKS
from elman.tasks.language import Evaluation, Sampling, TrainedLanguage
from elman.tasks.language.data.sources import read_bytes, read_text
from elman.tasks.language.use.score import Loss


class Unknown(StrEnum):
    error = "error"
    skip = "skip"


UnknownPolicy = Annotated[
    Unknown, typer.Option(help="Characters that the model has never seen: stop, or leave them out.")
]


def add_commands(app: typer.Typer, train: typer.Typer) -> None:
    """Put this task's commands into the program."""
    train.command("language")(train_language)
    app.command("generate")(generate)


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
    if trained := train_run("language", data, options):
        report(*trained)


def report(folder: RunFolder, model: TrainedLanguage) -> None:
    """What came out of training, and what to do next."""
    best = min(folder.read_metrics(), key=lambda record: record["valid_loss"])
    unit = model.vocabulary.unit
    report_files(folder.path)
    terminal.result(
        f"best validation loss {best['valid_loss']:.4f} nats per {unit} "
        f"({best[f'bits_per_{unit}']:.4f} bits, perplexity {best['perplexity']:.3f}) "
        f"at step {best['step']}"
    )
    terminal.note(f"next: elman generate {folder}")


def evaluate(
    model: TrainedLanguage,
    data: str | None,
    as_json: bool,
    *,
    window: int = 256,
    unknown: str = "error",
) -> None:
    """`elman evaluate` for a language run."""
    text = None if data is None else _text_of(data, model)
    evaluation = model.evaluate(text, window=window, unknown=unknown)
    terminal.result(json.dumps(evaluation.to_json()) if as_json else _table(evaluation))


def _text_of(data: str, model: TrainedLanguage) -> str:
    """A file's text as the model reads it: one of bytes takes every file."""
    if model.vocabulary.level == "byte":
        return b"".join(read_bytes([data])).decode("utf-8", errors="surrogateescape")
    return "".join(read_text([data], instead=""))


def generate(
    run: Run,
    prompt: Annotated[
        str, typer.Option(help="Text to go on from; the model reads all of it.")
    ] = "",
    length: Annotated[int, typer.Option(min=0, help="Characters (or bytes) to write.")] = 500,
    temperature: Annotated[
        float, typer.Option(help="Below 1 safer, above 1 wilder, 0 the likeliest each time.")
    ] = 0.8,
    top_k: Annotated[
        int | None, typer.Option(metavar="K", help="Draw from the K likeliest characters only.")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(metavar="P", help="Draw from the likeliest that together reach P."),
    ] = None,
    min_p: Annotated[
        float | None,
        typer.Option(metavar="P", help="Draw from those P times as likely as the best."),
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Same seed, same text.")] = None,
    stop: Annotated[str | None, typer.Option(metavar="TEXT", help="End before this text.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="How many texts to write.")] = 1,
    unknown: UnknownPolicy = Unknown.error,
    cell: OwnCell = None,
    device: Device = "cpu",
) -> None:
    """Write text with a trained model.

    Examples:

    elman generate runs/language-001 --prompt "The class" --length 300

    elman generate runs/language-001 --temperature 0.5 --samples 3 --seed 1
    """
    model = _language(run, cell, device)
    if seed is None:
        seed = secrets.randbelow(2**31)
        terminal.note(f"seed: {seed}")
    sampling = Sampling(temperature, top_k, top_p, min_p)
    for index in range(samples):
        if samples > 1:
            terminal.result(f"--- sample {index + 1} (seed {seed + index})")
        pieces = model.stream(prompt, length, sampling, stop, seed + index, unknown.value)
        terminal.result(prompt, end="")
        for piece in pieces:
            terminal.result(piece, end="")
        terminal.result("")


def _language(run: str, cell: str | None, device: str) -> TrainedLanguage:
    model = load(run, cell=named_cell(cell), device=device)
    if not isinstance(model, TrainedLanguage):
        raise ArgumentError(f"{run} is no language run; `elman generate` writes text with one")
    return model


def _table(evaluation: Evaluation) -> str:
    def row(name: str, loss: Loss) -> str:
        numbers = f"{loss.nats:8.4f} {loss.bits:8.4f} {loss.perplexity:11.4f} {loss.tokens:>10,}"
        return f"{name:<32} {numbers}"

    unit = evaluation.carried.unit
    per = f"per {unit}"
    return "\n".join(
        [
            f"{per:<32} {'nats':>8} {'bits':>8} {'perplexity':>11} {unit + 's':>10}",
            row("state carried through the text", evaluation.carried),
            row(f"windows of {evaluation.window} from zero state", evaluation.windows),
        ]
    )

"""The commands of the language task."""

import secrets
from typing import Annotated, Any

import typer

from elman.app import terminal
from elman.app.loading import load_as
from elman.app.options import (
    AsJson,
    Device,
    OwnCell,
    Run,
    Threads,
    TrainOptions,
    options_of,
    takes,
    trains,
)
from elman.app.training import Report, train_run
from elman.artifacts.load import SavedRun
from elman.artifacts.run_folder import RunFolder
from elman.settings import build
from elman.tasks import TASKS
from elman.tasks.language import Evaluation, Sampling, TrainedLanguage
from elman.tasks.language.data.sources import read_bytes, read_text
from elman.tasks.language.settings import ScoringSettings
from elman.tasks.language.use.generate import LENGTH
from elman.tasks.language.use.score import Loss

MEASURES = (
    "nats, bits and perplexity, with the state carried through the whole text and over windows "
    "that each begin anew (how models that see a fixed window are scored)."
)


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
    train_run("language", data, options, report)


def report(folder: RunFolder, model: TrainedLanguage) -> Report:
    """The results of training, and what to do next."""
    best = min(folder.read_metrics(), key=lambda record: record["valid_loss"])
    unit = model.vocabulary.unit
    return Report(
        f"best validation loss {best['valid_loss']:.4f} nats per {unit} "
        f"({best[f'bits_per_{unit}']:.4f} bits, perplexity {best['perplexity']:.3f}) "
        f"at step {best['step']}",
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


@takes([*options_of(Sampling), *options_of(ScoringSettings, only=["unknown"])])
def generate(
    run: Run,
    given: dict[str, Any],
    prompt: Annotated[
        str, typer.Option(help="Text to go on from; the model reads all of it.")
    ] = "",
    length: Annotated[int, typer.Option(min=0, help="Characters (or bytes) to write.")] = LENGTH,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Same seed, same text.")] = None,
    stop: Annotated[str | None, typer.Option(metavar="TEXT", help="End before this text.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="How many texts to write.")] = 1,
    as_json: AsJson = False,
    cell: OwnCell = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Write text with a trained model.

    Examples:

    elman generate runs/language-001 --prompt "The class" --length 300

    elman generate runs/language-001 --temperature 0.5 --samples 3 --seed 1
    """
    model = load_as(
        TrainedLanguage, run, cell, device,
        "is no language run; `elman generate` writes text with one",
    )  # fmt: skip
    sampling = build(Sampling, given, "generate")
    unknown = given.get("unknown", ScoringSettings.unknown)
    if seed is None:
        seed = secrets.randbelow(2**31)
        terminal.note(f"seed: {seed}")
    if as_json:
        drawn = [
            {"seed": n, "text": "".join(model.stream(prompt, length, sampling, stop, n, unknown))}
            for n in range(seed, seed + samples)
        ]
        terminal.result_as_json({"prompt": prompt, "samples": drawn})
        return
    for index in range(samples):
        if samples > 1:
            terminal.result(f"--- sample {index + 1} (seed {seed + index})")
        pieces = model.stream(prompt, length, sampling, stop, seed + index, unknown)
        terminal.result(prompt, end="")
        for piece in pieces:
            terminal.result(piece, end="")
        terminal.result("")


def table(evaluation: Evaluation) -> str:
    """Both ways of scoring, one line for each."""

    def row(name: str, loss: Loss) -> str:
        numbers = f"{loss.nats:8.4f} {loss.bits:8.4f} {loss.perplexity:11.4f} {loss.tokens:>10,}"
        return f"{name:<36} {numbers}"

    unit = evaluation.carried.unit
    per = f"per {unit}"
    return "\n".join(
        [
            f"{per:<36} {'nats':>8} {'bits':>8} {'perplexity':>11} {unit + 's':>10}",
            row("state carried through the text", evaluation.carried),
            row(f"windows of {evaluation.window} from the first state", evaluation.windows),
        ]
    )

"""The commands of the language task, and `resume`."""

import json
import secrets
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import tomli_w
import typer

from elman.app import terminal
from elman.app.options import read_config_file, with_settings
from elman.app.watch import Watcher
from elman.artifacts.load import load
from elman.artifacts.run_folder import open_run
from elman.settings import build, given, names, refuse_unknown
from elman.tasks.cell import CellClass, find_cell
from elman.tasks.language import Evaluation, LanguageSettings, Sampling, TrainedLanguage
from elman.tasks.language.score import Loss
from elman.tasks.language.sources import decode_chunks, read_chunks
from elman.train.fit import resume as resume_run
from elman.train.fit import start
from elman.train.settings import TrainingSettings


class Unknown(StrEnum):
    error = "error"
    skip = "skip"


Run = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, as `elman train` makes.")]
OwnCell = Annotated[
    str | None,
    typer.Option(
        "--cell", metavar="NAME", help="Your own cell again, if the run was trained with one."
    ),
]
UnknownPolicy = Annotated[
    Unknown, typer.Option(help="Characters that the model has never seen: stop, or leave them out.")
]
Device = Annotated[str, typer.Option(help="Where to run: cpu, cuda, ...")]


def add_commands(app: typer.Typer, train: typer.Typer) -> None:
    """Put this task's commands into the program."""
    train.command("language")(train_language)
    app.command("resume")(resume)
    app.command("evaluate")(evaluate)
    app.command("generate")(generate)


@with_settings(LanguageSettings, TrainingSettings)
def train_language(
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATA]...",
            help="UTF-8 text files or folders, or - for standard input. "
            "Without any: Python's own language reference.",
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Run folder [default: runs/language-001, counting up]"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an older run in FOLDER.")] = False,
    config: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="TOML file with settings, named as the flags."),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the settings as TOML and exit.")
    ] = False,
    **flags: Any,
) -> None:
    """Train a model of text that can then write and score text.

    Examples:

    elman train language book.txt --minutes 3

    elman train language book.txt --cell gru --hidden-size 512 --layers 2 --dropout 0.3 --epochs 10

    elman train language book.txt --cell my_cells.py:LeakyCell
    """
    settings = read_config_file(config) if config else {}
    refuse_unknown(settings, names(LanguageSettings, TrainingSettings), str(config))
    if config:  # checked by itself first, so that a message names the file
        build(LanguageSettings, settings, config)
        build(TrainingSettings, settings, config)
    settings |= flags
    if print_config:
        parts = (build(cls, settings, "settings") for cls in (LanguageSettings, TrainingSettings))
        terminal.result(tomli_w.dumps({k: v for part in parts for k, v in given(part).items()}), "")
        return
    watcher = Watcher()
    try:
        folder = start("language", data, run, force=force, listener=watcher, **settings)
        cell = _cell(settings.get("cell"))
        model = resume_run(folder.path, cell=cell, listener=watcher)
    finally:
        watcher.close()
    _report(folder.path, model)


def resume(
    run: Run,
    steps: Annotated[int | None, typer.Option(metavar="N", help="New budget: steps in all")] = None,
    epochs: Annotated[float | None, typer.Option(metavar="N", help="New budget: epochs")] = None,
    minutes: Annotated[float | None, typer.Option(metavar="N", help="New budget: minutes")] = None,
    cell: OwnCell = None,
) -> None:
    """Go on with a run where it stopped, or with a larger budget.

    Examples:

    elman resume runs/language-001

    elman resume runs/language-001 --steps 10000
    """
    watcher = Watcher()
    before = open_run(run).read_metrics()
    try:
        model = resume_run(
            run, cell=_cell(cell), listener=watcher, steps=steps, epochs=epochs, minutes=minutes
        )
    finally:
        watcher.close()
    if before == open_run(run).read_metrics():
        terminal.note(
            "the run is finished: its budget is used up; give a larger one, for example --steps, "
            "to go on"
        )
    _report(Path(run), model)


def evaluate(
    run: Run,
    file: Annotated[
        str | None,
        typer.Argument(metavar="[FILE]", help="UTF-8 text; without it the run's validation part."),
    ] = None,
    window: Annotated[
        int, typer.Option(min=1, help="Length of the windows from zero state.")
    ] = 256,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    unknown: UnknownPolicy = Unknown.error,
    cell: OwnCell = None,
    device: Device = "cpu",
) -> None:
    """Measure how well a model predicts a text it was not trained on.

    Two ways: with the state carried through the whole text, and over windows that each begin with
    a zero state (how models that see a fixed window are scored).

    Examples:

    elman evaluate runs/language-001

    elman evaluate runs/language-001 other.txt --window 128 --json
    """
    model = _language(run, cell, device)
    text = None if file is None else "".join(decode_chunks(read_chunks([file])))
    evaluation = model.evaluate(text, window=window, unknown=unknown.value)
    if as_json:
        terminal.result(json.dumps(evaluation.to_json()))
    else:
        terminal.result(_table(evaluation))


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
    return load(run, cell=_cell(cell), device=device)


def _cell(name: object) -> CellClass | None:
    return find_cell(name) if isinstance(name, str) else None


def _report(folder: Path, model: TrainedLanguage) -> None:
    """What came out, and what to do next."""
    records = open_run(folder).read_metrics()
    best = min(records, key=lambda record: record["valid_loss"])
    unit = model.vocabulary.unit
    terminal.note(f"model: {folder / 'model.safetensors'}   curves: {folder / 'curves.png'}")
    terminal.result(
        f"best validation loss {best['valid_loss']:.4f} nats per {unit} "
        f"({best[f'bits_per_{unit}']:.4f} bits, perplexity {best['perplexity']:.3f}) "
        f"at step {best['step']}"
    )
    terminal.note(f"next: elman generate {folder}")


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

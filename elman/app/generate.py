"""The command `elman generate`: texts that are drawn, the likeliest ones, and a conversation."""

import secrets
from dataclasses import asdict
from typing import Annotated, Any

import typer

from elman.app import terminal
from elman.app.conversation import Conversation
from elman.app.loading import load_as
from elman.app.options import AsJson, Device, OwnCell, Run, Threads, options_of, takes
from elman.errors import ArgumentError
from elman.settings import build, names
from elman.tasks.language import Sampling, TrainedLanguage
from elman.tasks.language.settings import ScoringSettings
from elman.tasks.language.use.beam import BeamSettings
from elman.tasks.language.use.generate import LENGTH, Writer, until


@takes(
    [
        *options_of(Sampling),
        *options_of(BeamSettings, {"beam": None}),
        *options_of(ScoringSettings, only=["unknown"]),
    ]
)
def generate(
    run: Run,
    given: dict[str, Any],
    prompt: Annotated[
        str, typer.Option(help="Text to go on from; the model reads all of it.")
    ] = "",
    length: Annotated[
        int, typer.Option(min=0, help="Characters (or other tokens of the model) to write.")
    ] = LENGTH,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Same seed, same text.")] = None,
    stop: Annotated[str | None, typer.Option(metavar="TEXT", help="End before this text.")] = None,
    samples: Annotated[
        int, typer.Option(min=1, help="How many texts to write; with --beam the best of them.")
    ] = 1,
    log_probability: Annotated[
        bool,
        typer.Option(
            "--log-probability", help="Tell the log-probability of each text, in nats, on stderr."
        ),
    ] = False,
    interactive: Annotated[
        bool,
        typer.Option(
            "--interactive",
            help="Read a line, go on from it, and so forth, the state carried on; /help tells "
            "the commands, Ctrl-D ends.",
        ),
    ] = False,
    as_json: AsJson = False,
    cell: OwnCell = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Write text with a trained model, each character as it comes.

    Examples:

    elman generate runs/language-001 --prompt "The class" --length 300

    elman generate runs/language-001 --temperature 0.5 --samples 3 --seed 1

    elman generate runs/language-001 --prompt "The " --beam 8 --stop "." --log-probability

    elman generate runs/language-001 --allow "0-9 +=" --length 20

    elman generate runs/language-001 --interactive
    """
    _refuse_idle(given, interactive, seed, samples, as_json)
    sampling, beam = build(Sampling, given, "generate"), build(BeamSettings, given, "generate")
    unknown = given.get("unknown", ScoringSettings.unknown)
    model = load_as(
        TrainedLanguage, run, cell, device,
        "is no language run; `elman generate` writes text with one",
    )  # fmt: skip
    if "beam" in given:
        found = model.beam_search(
            prompt, length, beam=beam.beam, length_penalty=beam.length_penalty,
            allow=sampling.allow, stop=stop, unknown=unknown,
        )  # fmt: skip
        if as_json:
            best = [asdict(one) for one in found[:samples]]
            terminal.result_as_json({"prompt": prompt, "samples": best})
            return
        for number, one in enumerate(found[:samples], 1):
            if samples > 1:
                terminal.result(f"--- {number} of {len(found)}")
            terminal.result(prompt + one.text)
            if log_probability:
                _tell(one.log_probability, one.tokens)
        return
    if seed is None:
        seed = secrets.randbelow(2**31)
        terminal.note(f"seed: {seed}")
    if interactive:
        Conversation(model.writer(seed), sampling, length, stop, unknown).run(prompt)
        return
    drawn = []
    for index in range(samples):
        writer = model.writer(seed + index)
        writer.read(prompt, unknown)
        pieces = until(writer.write(length, sampling), stop)
        if as_json:
            text = "".join(pieces)
            drawn.append({"seed": seed + index, "text": text, **_measured(writer)})
            continue
        if samples > 1:
            terminal.result(f"--- sample {index + 1} (seed {seed + index})")
        terminal.result(prompt, end="")
        for piece in pieces:
            terminal.result(piece, end="")
        terminal.result("")
        if log_probability:
            _tell(writer.log_probability, writer.written)
    if as_json:
        terminal.result_as_json({"prompt": prompt, "samples": drawn})


def _measured(writer: Writer) -> dict[str, Any]:
    return {"log_probability": writer.log_probability, "tokens": writer.written}


def _refuse_idle(
    given: dict[str, Any], interactive: bool, seed: int | None, samples: int, as_json: bool
) -> None:
    """Raise on an option that would do nothing beside the others."""
    if interactive and as_json:
        raise ArgumentError("--interactive is a conversation, which --json can't print; leave one")
    if interactive and ("beam" in given or samples > 1):
        other = "--beam" if "beam" in given else "--samples"
        raise ArgumentError(f"--interactive writes one text at a time; leave {other} out")
    if "beam" not in given:
        if "length_penalty" in given:
            raise ArgumentError("--length-penalty is for beam search; give --beam, or leave it out")
        return
    drawing = [name for name in names(Sampling) if name in given and name != "allow"]
    drawing += ["seed"] if seed is not None else []
    if drawing:
        raise ArgumentError(
            f"--beam searches for the likeliest text, but --{drawing[0].replace('_', '-')} says "
            f"how to draw one; leave one of the two out"
        )
    if samples > given["beam"]:
        raise ArgumentError(
            f"--samples must be at most --beam, {given['beam']}, got {samples}; widen the beam"
        )


def _tell(log_probability: float, tokens: int) -> None:
    mean = log_probability / max(tokens, 1)
    terminal.note(f"log-probability {log_probability:.4f} nats, {mean:.4f} a token")

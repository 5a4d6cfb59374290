"""The classic program: which language does a surname come from?

A recurrent network reads a name one character at a time and then names its language. Batch 1,
plain SGD, one random name of a random language an iteration, as in the well-known tutorial; but
the accuracy and the confusion matrix are those of names that were held out from training.

    python examples/names.py --data data/names
    python examples/names.py --data data/names --iterations 20000 --predict Satoshi Dupont
    python examples/names.py --data data/names --scan     # the compiled loop, and what it gains

DATA holds one file for every language, `Language.txt`, with one name a line (see docs/data.md).
"""

import argparse
import math
import random
import statistics
import sys
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

import elman
from elman.cells import ConcatenatingCell

Reader = Callable[[ConcatenatingCell, str], Tensor]
"""Log-probabilities `(1, languages)` after the last character of a name."""

ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ .,;'-"


def to_ascii(text: str) -> str:
    """Plain letters: "Ślusàrski" becomes "Slusarski". NFD splits a letter from its marks."""
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(c for c in decomposed if unicodedata.category(c) != "Mn" and c in ALPHABET)


def one_hot(name: str) -> Tensor:
    """`(T, 1, len(ALPHABET))`: one row for each character, batch 1."""
    indices = torch.tensor([ALPHABET.index(c) for c in name], dtype=torch.long)
    return nn.functional.one_hot(indices, len(ALPHABET)).float()[:, None]


@dataclass
class Names:
    """Names by language, in two parts that share no (language, name) pair."""

    training: dict[str, list[str]]
    held_out: dict[str, list[str]]

    @property
    def languages(self) -> list[str]:
        return sorted(self.training)


def read_names(folder: Path, share: float, draw: random.Random) -> Names:
    files = sorted(folder.glob("*.txt"))
    if len(files) < 2:
        sys.exit(f"error: {folder} must hold one .txt file for each of two or more languages")
    lines, names = 0, Names({}, {})
    for file in files:
        raw = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        lines += len(raw)
        # Repeats are dropped before the split: a name in both parts would be a test of memory.
        distinct = sorted({name for name in map(to_ascii, raw) if name})
        draw.shuffle(distinct)
        cut = max(1, round(len(distinct) * share))
        names.held_out[file.stem], names.training[file.stem] = distinct[:cut], distinct[cut:]
        if not names.training[file.stem]:
            sys.exit(f"error: {file} has too few names to hold some out; give it more")
    kept = sum(map(len, names.training.values())), sum(map(len, names.held_out.values()))
    print(f"{len(files)} languages, {lines} lines, {lines - sum(kept)} repeats or empty dropped,")
    print(f"{kept[0]} names to train on, {kept[1]} held out")
    return names


def read_through(cell: ConcatenatingCell, name: str) -> Tensor:
    """The classic loop, one character after another."""
    hidden = cell.initial_state(1)
    for character in one_hot(name):
        output, hidden = cell(character, hidden)
    return output


def scan_through(cell: ConcatenatingCell, name: str) -> Tensor:
    """The same through the compiled loop."""
    output, _ = elman.scan(cell, one_hot(name), cell.initial_state(1))
    return output[-1]


def show_speed(cell: ConcatenatingCell, names: Names, rounds: int = 300) -> None:
    """Forward and backward of the same names both ways, in turn: the gradients must agree."""
    every = [name for own in names.training.values() for name in own]
    times: dict[Reader, list[float]] = {read_through: [], scan_through: []}
    for name in random.Random(0).choices(every, k=rounds):
        gradients = []
        for reader, taken in times.items():
            begin = time.perf_counter()
            loss = reader(cell, name)[0, 0]
            gradients.append(torch.autograd.grad(loss, list(cell.parameters())))
            taken.append(time.perf_counter() - begin)
        for a, b in zip(*gradients, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    loop, scan = (1e3 * statistics.median(taken) for taken in times.values())
    print(
        f"forward and backward of a name: {loop:.2f} ms by the loop, {scan:.2f} ms through "
        f"elman.scan, {loop / scan:.1f} times as fast, with the same gradients"
    )


def train_once(
    cell: ConcatenatingCell, languages: list[str], names: Names, rate: float, draw: random.Random,
    reader: Reader,
) -> tuple[str, str, str, float]:  # fmt: skip
    """One iteration: a random language, a random name of it, one step of gradient descent."""
    language = draw.choice(languages)
    name = draw.choice(names.training[language])
    output = reader(cell, name)
    loss = nn.functional.nll_loss(output, torch.tensor([languages.index(language)]))
    cell.zero_grad()
    loss.backward()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter -= rate * parameter.grad
    return name, language, languages[int(output.argmax())], loss.item()


def train(cell: ConcatenatingCell, names: Names, options: argparse.Namespace) -> list[float]:
    """Mean losses, one for every `options.plot_every` iterations."""
    draw, begin = random.Random(options.seed), time.monotonic()
    languages, means, total = names.languages, [], 0.0
    reader = scan_through if options.scan else read_through
    for iteration in range(1, options.iterations + 1):
        name, language, guess, loss = train_once(
            cell, languages, names, options.learning_rate, draw, reader
        )
        if not math.isfinite(loss):
            sys.exit(f"error: the loss became {loss}; try a smaller --learning-rate")
        total += loss
        if iteration % options.plot_every == 0:
            means.append(total / options.plot_every)
            total = 0.0
        if iteration % options.print_every == 0:
            minutes, seconds = divmod(int(time.monotonic() - begin), 60)
            verdict = "✓" if guess == language else f"✗ ({language})"
            print(
                f"{iteration:>7} {100 * iteration / options.iterations:3.0f}% "
                f"{minutes}m {seconds:02d}s  {loss:.4f}  {name} / {guess} {verdict}",
                flush=True,
            )
    return means


@torch.no_grad()
def predict(cell: ConcatenatingCell, languages: list[str], name: str) -> None:
    """Print the three most likely languages of a name."""
    plain = to_ascii(name)
    if not plain:
        print(f"\n{name}: no letter that the model knows")
        return
    probabilities = read_through(cell, plain)[0].exp()
    print(f"\n{name}")
    for value, index in zip(*probabilities.topk(min(3, len(languages))), strict=True):
        print(f"  {value:6.1%}  {languages[int(index)]}")


@torch.no_grad()
def confusion(cell: ConcatenatingCell, names: Names) -> Tensor:
    """`(languages, languages)` counts on the held-out names: row is right, column is guessed."""
    counts = torch.zeros(len(names.languages), len(names.languages))
    for row, language in enumerate(names.languages):
        for name in names.held_out[language]:
            counts[row, int(read_through(cell, name).argmax())] += 1
    return counts


def draw_loss(means: list[float], every: int, path: Path) -> None:
    figure = Figure(figsize=(7, 4), dpi=140, layout="constrained")
    axes = figure.add_subplot()
    axes.plot([every * (i + 1) for i in range(len(means))], means, color="#0b6e8a")
    axes.set_xlabel("iterations")
    axes.set_ylabel(f"training loss, nats (mean of {every:,})")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def draw_confusion(counts: Tensor, languages: list[str], path: Path) -> None:
    shares = counts / counts.sum(1, keepdim=True)
    figure = Figure(figsize=(8, 7), dpi=140, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    labels = [f"{name} ({int(n)})" for name, n in zip(languages, counts.sum(1), strict=True)]
    axes.set_yticks(range(len(languages)), labels)
    axes.set_xticks(range(len(languages)), languages, rotation=60, ha="right")
    for row, column in (shares >= 0.1).nonzero().tolist():
        share = shares[row, column].item()
        colour = "white" if share > 0.5 else "#333333"
        text = f"{100 * share:.0f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    axes.set_ylabel("right language (held-out names)")
    axes.set_xlabel("guessed language")
    figure.colorbar(image, label="share of the row", shrink=0.8)
    figure.savefig(path)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of Language.txt files")
    parser.add_argument("--iterations", type=int, default=100_000)
    parser.add_argument("--learning-rate", type=float, default=0.005)
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--held-out", type=float, default=0.15, help="share of names for testing")
    parser.add_argument("--print-every", type=int, default=5_000)
    parser.add_argument("--plot-every", type=int, default=1_000)
    parser.add_argument(
        "--scan", action="store_true", help="train through elman.scan, and print the speed-up"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("names_run"), help="for the pictures")
    parser.add_argument("--predict", nargs="*", default=["Dovesky", "Jackson", "Satoshi"])
    options = parser.parse_args(arguments)
    if not options.data.is_dir():
        parser.error(f"no folder {options.data}; docs/data.md tells where the names are")
    if min(options.iterations, options.hidden_size, options.plot_every, options.print_every) < 1:
        parser.error("--iterations, --hidden-size, --plot-every, --print-every must be at least 1")
    if not 0 < options.held_out < 1:
        parser.error(f"--held-out must lie between 0 and 1, got {options.held_out}")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)  # one row of 128 units: threads would only wait for one another
    names = read_names(options.data, options.held_out, random.Random(options.seed))
    languages = names.languages
    cell = ConcatenatingCell(len(ALPHABET), options.hidden_size, len(languages))
    if options.scan:
        show_speed(cell, names)
    try:
        means = train(cell, names, options)
    except KeyboardInterrupt:
        print("\nstopped; this is what it has learnt so far")
        means = []

    counts = confusion(cell, names)
    recall = counts.diag() / counts.sum(1)
    accuracy = (counts.diag().sum() / counts.sum()).item()
    print(f"\nheld-out names: {accuracy:.1%} right; mean over languages {recall.mean().item():.1%}")
    options.output.mkdir(parents=True, exist_ok=True)
    if means:
        draw_loss(means, options.plot_every, options.output / "loss.png")
    draw_confusion(counts, languages, options.output / "confusion.png")
    print(f"pictures: {options.output}/loss.png, {options.output}/confusion.png")
    for name in options.predict:
        predict(cell, languages, name)
    while sys.stdin.isatty() and (name := input("\nname (empty to end): ").strip()):
        predict(cell, languages, name)


if __name__ == "__main__":
    main()

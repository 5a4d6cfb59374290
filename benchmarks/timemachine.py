"""The language models of "Dive into Deep Learning" on The Time Machine, beside elman's own.

    python benchmarks/timemachine.py data/text/timemachine.txt [--seeds 0 1 2] [--threads 1]

The protocol is the book's (d2l.ai, sections 9.5 to 10.3): whatever is no letter becomes a blank,
windows of 32 characters begin at every character, the first 10,000 train and the next 5,000
validate, one-hot tokens, 32 units, 1,024 windows a batch, a zero state before each, SGD, gradients
clipped to a norm of 1. A score is the mean of the perplexities of the validation batches after the
last epoch. The book plots that without printing it; its column is read off the plots.

The last rows are what `elman.fit` makes of the same 10,032 characters with 32 units, in as many
steps as the book takes at most, over an eighth of the windows in each. The book's validation
windows choose nothing: the defaults hold back the last tenth of the training characters to choose
the kept weights, and the weight decay was chosen on another chapter (windows from the character
60,000 on), where 1 gave the least of 0.01, 0.5, 1 and 1.5.
"""

import argparse
import json
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from side_by_side import machine
from torch import Tensor, nn
from torch.nn import functional as F

import elman

WINDOW, TRAIN, VALID, BATCH, HIDDEN, EPOCHS = 32, 10_000, 5_000, 1024, 32, 100
STEPS = EPOCHS * -(-TRAIN // BATCH)
TOKENS = " abcdefghijklmnopqrstuvwxyz"
Scores = Callable[[Tensor], Tensor]
"""Tokens `(T, B)` to logits `(T, B, V)`."""


@dataclass(frozen=True)
class Recipe:
    """A row of the book. perplexity: as read off its plot."""

    layer: type[nn.Module]
    layers: int
    learning_rate: float
    epochs: int
    perplexity: float


BOOK = {
    "RNN": Recipe(elman.RNN, 1, 1.0, 100, 7.2),
    "LSTM": Recipe(elman.LSTM, 1, 4.0, 50, 6.7),
    "GRU": Recipe(elman.GRU, 1, 4.0, 50, 6.5),
    "GRU, 2 layers": Recipe(elman.GRU, 2, 2.0, 100, 6.1),
}
OWN_BATCH = 128
OWN: dict[str, dict[str, Any]] = {
    "elman.fit": {},
    "elman.fit, weight decay 1": {"weight_decay": 1.0, "keep": "last", "valid_fraction": 0.005},
}


def letters(path: str) -> str:
    """The book's preparation: letters in lower case, and single blanks."""
    return re.sub("[^A-Za-z]+", " ", Path(path).read_text(encoding="utf-8")).lower()


def windows(text: str) -> tuple[Tensor, Tensor]:
    """Training and validation windows, each `(33, N)`: 32 inputs and the labels, one on."""
    tokens = torch.tensor([TOKENS.index(c) for c in text[: TRAIN + VALID + WINDOW]])
    every = tokens.unfold(0, WINDOW + 1, 1).t()
    return every[:, :TRAIN], every[:, TRAIN : TRAIN + VALID]


def batches(of: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    for part in of.split(BATCH, dim=1):
        yield part[:-1], part[1:]


def perplexity(scores: Scores, validation: Tensor) -> float:
    """The mean over batches of exp(mean nats)."""
    with torch.no_grad():
        return statistics.mean(
            F.cross_entropy(scores(inputs).flatten(0, 1), labels.flatten()).exp().item()
            for inputs, labels in batches(validation)
        )


class BookModel(nn.Module):
    """One-hot tokens, recurrent layers, a linear map. The book has a 28th token, "unknown"."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.size = len(TOKENS) + 1
        self.recurrent = recipe.layer(self.size, HIDDEN, num_layers=recipe.layers)
        self.head = nn.Linear(HIDDEN, self.size)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.recurrent(F.one_hot(tokens, self.size).float())[0])


def book(recipe: Recipe, training: Tensor, seed: int) -> Scores:
    torch.manual_seed(seed)
    model = BookModel(recipe)
    optimizer = torch.optim.SGD(model.parameters(), recipe.learning_rate)
    for _ in range(recipe.epochs):
        for inputs, labels in batches(training[:, torch.randperm(TRAIN)]):
            loss = F.cross_entropy(model(inputs).flatten(0, 1), labels.flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    return model.eval()


def own(settings: dict[str, Any], text: str, seed: int) -> Scores:
    """elman's defaults over the characters that the book's training windows hold."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "letters.txt"
        data.write_text(text[: TRAIN + WINDOW], encoding="utf-8")
        trained = elman.fit(
            "language", data, Path(folder) / "run", hidden_size=HIDDEN, sampling="windows",
            sequence_length=WINDOW, batch_size=OWN_BATCH, steps=STEPS, evaluate_every=25, seed=seed,
            threads=torch.get_num_threads(), **settings,
        )  # fmt: skip
    known = torch.from_numpy(trained.vocabulary.encode(TOKENS))

    def scores(tokens: Tensor) -> Tensor:
        return trained.model(known[tokens], trained.model.initial_state(tokens.shape[1]))[0]

    # Logits are in the order of the model's vocabulary: sorted, as TOKENS are.
    assert trained.vocabulary.decode(range(len(TOKENS))) == TOKENS
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="The Time Machine as a text file; docs/data.md says whence")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    text = letters(options.data)
    training, validation = windows(text)
    print(f"{len(text):,} characters; {json.dumps(machine())}\n", flush=True)
    print("| model | perplexity, mean | by seed | the book | seconds a run |", flush=True)
    print("|---|---:|---|---:|---:|", flush=True)
    makers: dict[str, tuple[Callable[[int], Scores], float | None]] = {
        **{name: (lambda s, r=r: book(r, training, s), r.perplexity) for name, r in BOOK.items()},
        **{name: (lambda s, o=o: own(o, text, s), None) for name, o in OWN.items()},
    }
    for name, (make, read_off) in makers.items():
        start = time.perf_counter()
        found = [perplexity(make(seed), validation) for seed in options.seeds]
        seconds = (time.perf_counter() - start) / len(found)
        listed = ", ".join(f"{value:.2f}" for value in found)
        print(
            f"| {name} | {statistics.mean(found):.2f} | {listed} | {read_off or ''} | "
            f"{seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

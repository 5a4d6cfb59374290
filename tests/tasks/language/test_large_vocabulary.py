"""A run over more than a thousand distinct characters, from `fit` to a used model."""

import signal

import numpy as np
import pytest
from safetensors.torch import load_file

import elman
from elman.artifacts import open_run
from elman.errors import Interrupted
from elman.tasks.language.model.sampled import SAMPLE
from elman.train.listener import Listener

SMALL = {
    "hidden_size": 8, "embedding_size": 6, "batch_size": 4, "sequence_length": 16, "steps": 8,
    "evaluate_every": 4, "save_every": 100,
}  # fmt: skip
SIZE = 1200


class Interrupt(Listener):
    def stepped(self, progress, loss):
        if progress.step == 5:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def many(tmp_path):
    """Each of `SIZE` characters, and then the frequent ones again and again."""
    drawn = np.random.default_rng(0).zipf(1.5, 4000) % SIZE
    text = "".join(chr(0x4E00 + number) for number in [*range(SIZE), *drawn])
    path = tmp_path / "many.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_it_learns_resumes_exactly_and_is_opened_again(tmp_path, many):
    assert SIZE > 2 * SAMPLE  # so that steps see a sample, whose draw must repeat
    whole = elman.fit("language", many, tmp_path / "whole", **SMALL)
    with pytest.raises(Interrupted):
        elman.fit("language", many, tmp_path / "parts", listener=Interrupt(), **SMALL)
    elman.resume(tmp_path / "parts")
    weights = [tmp_path / run / "model.safetensors" for run in ("whole", "parts")]
    assert weights[0].read_bytes() == weights[1].read_bytes()

    first, last = open_run(tmp_path / "whole").read_metrics()
    assert last["valid_loss"] < first["valid_loss"] < np.log(SIZE)
    shapes = {name: tuple(value.shape) for name, value in load_file(weights[0]).items()}
    assert [name for name, shape in shapes.items() if SIZE in shape] == [
        "embedding.weight",
        "head.bias",
    ]
    opened = elman.load(tmp_path / "parts")
    assert opened.evaluate().carried == whole.evaluate().carried
    assert len(opened.generate(chr(0x4E00), 20, seed=0)) == 20

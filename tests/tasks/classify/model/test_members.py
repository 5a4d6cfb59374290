"""Several members in one run: each learns alone, and together they give mean probabilities."""

import numpy as np
import pytest
import torch

import elman
from elman.artifacts.weights import load_tensors
from elman.cells import GRUCell
from elman.errors import ArgumentError
from elman.tasks.classify import ClassifySettings
from elman.tasks.classify.data.dataset import Catalogue, pack
from elman.tasks.classify.data.tokens import Characters
from elman.tasks.classify.model.classifier import SequenceClassifier
from elman.tasks.classify.targets.one_label import OneLabel
from elman.tasks.classify.task import ClassifyTask
from elman.tasks.setup import Setup

SMALL = {"hidden_size": 6, "layers": 1, "embedding_size": 4, "batch_size": 8, "cell": "gru"}
TEXT = Catalogue(OneLabel(("a", "b", "c"), (5, 5, 5)), Characters(9, tuple(range(97, 107))))


def model(members, catalogue=TEXT, **settings):
    torch.manual_seed(0)
    chosen = ClassifySettings(**{**SMALL, "members": members, **settings})
    return SequenceClassifier(catalogue, chosen, Setup(GRUCell, backend="reference"))


def batch():
    torch.manual_seed(1)
    return torch.randint(11, (7, 4)), torch.tensor([7, 3, 1, 5])


def test_the_mean_of_probabilities():
    logits = [torch.randn(5, 3) * 10 for _ in range(4)]
    wanted = torch.stack([each.softmax(-1) for each in logits]).mean(0)
    assert torch.allclose(
        OneLabel(("a", "b"), (1, 1)).together(torch.stack(logits)).softmax(-1), wanted, atol=1e-6
    )


def test_the_first_member_is_the_model_alone_and_all_differ():
    together, alone = model(3).eval(), model(1).eval()
    each = together.each(*batch())
    assert len(each) == 3
    assert torch.equal(each[0], alone(*batch()))
    assert not torch.allclose(each[0], each[1])
    assert not torch.allclose(each[1], each[2])
    mean = torch.stack([logits.softmax(-1) for logits in each]).mean(0)
    assert torch.allclose(together(*batch()).softmax(-1), mean, atol=1e-6)


def test_each_learns_by_its_own_loss():
    """The gradients are those of a member that is trained alone, but for the mean over members."""
    rng = np.random.default_rng(0)
    data = pack([rng.integers(11, size=rng.integers(2, 9)) for _ in range(32)],
                rng.integers(3, size=32))  # fmt: skip
    parts = {"train": data, "valid": data, "test": data}
    settings = ClassifySettings(**SMALL, members=2, dropout=0.0, unknown_rate=0.0)
    torch.manual_seed(0)
    task = ClassifyTask(settings, TEXT, parts, [], Setup(GRUCell, backend="reference"))
    first, other = task.model, task.model.others[0]
    task.loss(0, ()).mean.backward()
    together = [member.head.weight.grad.clone() for member in (first, other)]
    for member, found in zip((first, other), together, strict=True):
        member.zero_grad()
        batch = task._batches.batch(0)
        logits = member._own(batch.input, batch.lengths)
        torch.nn.functional.cross_entropy(logits, batch.labels).backward()
        assert torch.allclose(found, member.head.weight.grad / 2, atol=1e-7)


def test_every_member_standardises_signals():
    catalogue = Catalogue(OneLabel(("a", "b"), (5, 5)), None, 2, 10)
    made = model(3, catalogue)
    rng = np.random.default_rng(0)
    signals = [rng.normal(5, 3, size=(10, 2)).astype(np.float32) for _ in range(8)]
    data = pack(signals, np.arange(8) % 2)
    made.measure({"train": data, "valid": data}, "none")
    for member in (made, *made.others):
        assert torch.allclose(member.reader.mean, torch.full((2,), 5.0), atol=1.0)
        assert torch.equal(member.reader.mean, made.reader.mean)


def test_a_run_of_members_is_saved_loaded_and_resumed(tmp_path, names_folder):
    settings = {**SMALL, "members": 3, "evaluate_every": 5, "backend": "reference"}
    whole = elman.fit("classify", names_folder, tmp_path / "whole", steps=20, **settings)
    elman.fit("classify", names_folder, tmp_path / "parts", steps=20, **settings)
    tensors, _ = load_tensors(tmp_path / "whole" / "model.safetensors")
    assert sum(name.endswith("head.weight") for name in tensors) == 3
    names = ["abca", "fgeg", "cdde"]
    again = elman.load(tmp_path / "whole")
    assert np.allclose(whole.probabilities(names), again.probabilities(names), atol=1e-6)
    assert np.allclose(again.probabilities(names).sum(1), 1.0)
    more = [elman.resume(tmp_path / run, steps=26) for run in ("whole", "parts")]
    assert np.allclose(*(one.probabilities(names) for one in more), atol=1e-6)
    with pytest.raises(ArgumentError, match="members must be at least 1"):
        elman.fit("classify", names_folder, tmp_path / "none", members=0)

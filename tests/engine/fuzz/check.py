"""One case: run by every backend, before and after a change, and judged."""

import importlib.util
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

import elman
from elman.errors import UnsupportedStep
from tests.engine.comparing import Expected, Tensors, collected
from tests.engine.fuzz.cases import Case
from tests.engine.guarded import guarded_memory
from tests.engine.settings import engine_set


@dataclass(frozen=True)
class Verdict:
    """What became of a case. kind: compiled, fell back, wrong; of the parent also dead and hung.

    text: the reason, or what differs.
    """

    seed: int
    kind: str
    text: str = ""


def check(case: Case) -> Verdict:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # falling back is said by the verdict
        make = _loaded(case, Path(folder)).case
        try:
            with guarded_memory(), engine_set(case.setting):
                return _judged(case, make)
        except AssertionError as error:
            return Verdict(case.seed, "wrong", str(error))


def _loaded(case: Case, folder: Path) -> Any:
    """The case as a module with a file, as a user's step has one."""
    path = folder / f"seed_{case.seed}.py"
    path.write_text(case.source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _judged(case: Case, make: Any) -> Verdict:
    dtype = getattr(torch, case.dtype)
    made, exact = make(dtype), make(torch.float64)
    reasons: list[str] = []
    for call in ("first call", "second call"):
        if call == "second call":
            made["change"]()
            exact["change"]()
        again = lambda: run(exact, "reference")  # noqa: E731
        expected = Expected(again(), again, run(made, "reference"))
        for backend in ("llvm", "auto"):
            try:
                found = run(made, backend)
            except UnsupportedStep as error:
                if backend == "llvm" and "please report" not in str(error):
                    reasons.append(str(error))
                    continue
                return Verdict(case.seed, "wrong", f"{call}, {backend} raises: {error}")
            except Exception as error:  # noqa: BLE001, what the plain loop can do, all can
                text = f"{call}, {backend} raises {type(error).__name__}: {error}"
                return Verdict(case.seed, "wrong", text)
            lines = expected.differences(found, dtype)
            if lines:
                return Verdict(case.seed, "wrong", "\n".join(f"{call}, {backend}, {line}"
                                                             for line in lines))  # fmt: skip
    return Verdict(case.seed, "fell back" if reasons else "compiled", " ".join(reasons[:1]))


def run(made: dict[str, Any], backend: str) -> Tensors:
    """Results and gradients of one call."""
    with torch.set_grad_enabled(made["grad"]):
        result = elman.scan(made["step"], *made["arguments"], **made["options"], backend=backend)
    given = {**dict(zip(("input", "state"), made["arguments"], strict=True)), **made["options"]}
    given["closed"] = made["closed"]
    wanted = {
        f"d {name} {i}": leaf
        for name in ("input", "state", "reset_state", "constants", "closed")
        for i, leaf in enumerate(pytree.tree_leaves(given.get(name)))
        if isinstance(leaf, Tensor)
    }
    return collected(result, wanted, made["used"].__contains__)

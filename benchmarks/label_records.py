"""`elman train classify` with no setting at all, on 20 data sets that come with Python packages.

    pip install 'elman[labels]'
    python benchmarks/label_records.py [--only GunPoint,wine] [--seed 0] [--out FOLDER]

Beside the majority's label, logistic regression on the same values (texts: on n-grams of
characters) and, for signals, MiniRocket with a ridge classifier (aeon). Nothing is downloaded: the
sets are made or carried by scikit-learn, aeon, sktime, tslearn and Babel. Given test parts are used
as they are; else a third of the examples, drawn with each label's share, is the test. Each number
is made once. Writes label_records.json and label_records.md.
"""

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from side_by_side import machine
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import elman
from elman.tasks.classify.data.signals import parse_ts


@dataclass
class Record:
    """Texts, or signals `(T, C)`, with labels, divided once and for all."""

    train: list[Any]
    train_labels: list[str]
    test: list[Any]
    test_labels: list[str]

    @property
    def is_text(self) -> bool:
        return isinstance(self.train[0], str)


def carried(package: str, name: str) -> Record:
    """A set of the UCR/UEA archive with its given parts, as aeon and sktime carry it."""
    folder = files(package) / "datasets" / "data" / name
    parts = [parse_ts((folder / f"{name}_{p}.ts").read_text(), name) for p in ("TRAIN", "TEST")]
    return Record(parts[0].items, parts[0].labels, parts[1].items, parts[1].labels)


def trace() -> Record:
    """tslearn's copy of Trace: four kinds of transients, 275 values each."""
    from tslearn.datasets import CachedDatasets

    x, y, x_test, y_test = CachedDatasets().load_dataset("Trace")
    return Record(list(x), [str(v) for v in y], list(x_test), [str(v) for v in y_test])


def table(load: Callable[..., Any], shape: tuple[int, int], seed: int = 0) -> Record:
    """A table of scikit-learn, each row read as `shape` (steps, values)."""
    x, y = load(return_X_y=True)
    parts = train_test_split(x.reshape(len(x), *shape), y, test_size=1 / 3, stratify=y,
                             random_state=seed)  # fmt: skip
    return Record(list(parts[0]), [str(v) for v in parts[2]], list(parts[1]),
                  [str(v) for v in parts[3]])  # fmt: skip


LOCALES = (
    "en", "fr", "de", "es", "it", "pt", "nl", "sv", "da", "nb", "fi", "pl", "cs", "sk", "hu", "ro",
    "tr", "id", "vi", "el", "ru", "uk", "bg", "he", "ar", "fa", "hi", "th", "ko", "ja",
)  # fmt: skip


def words(kind: str, seed: int = 0) -> Record:
    """Which language a word is of, from Babel's tables: months, territories, languages, scripts."""
    from babel import Locale

    pairs = {
        (str(word), name)
        for name in LOCALES
        for word in _of(kind, Locale(name))
        if any(character.isalpha() for character in str(word))
    }
    examples, labels = zip(*sorted(pairs), strict=True)
    parts = train_test_split(examples, labels, test_size=1 / 3, stratify=labels, random_state=seed)
    return Record(parts[0], parts[2], parts[1], parts[3])


def _of(kind: str, locale: Any) -> list[str]:
    if kind == "months":
        return [w for form in locale.months.values() for width in form.values()
                for w in width.values()]  # fmt: skip
    return list(getattr(locale, kind).values())


def records() -> dict[str, Callable[[], Record]]:
    from sklearn import datasets as sk

    archive = ("ItalyPowerDemand", "GunPoint", "ArrowHead", "OSULeaf", "ACSF1", "BasicMotions",
               "JapaneseVowels", "PickupGestureWiimoteZ", "UnitTest")  # fmt: skip
    return {
        **{name: lambda name=name: carried("aeon", name) for name in archive},
        "PLAID": lambda: carried("sktime", "PLAID"),
        "Trace": trace,
        "digits, by rows": lambda: table(sk.load_digits, (8, 8)),
        "digits, by pixels": lambda: table(sk.load_digits, (64, 1)),
        "wine": lambda: table(sk.load_wine, (1, 13)),
        "breast cancer": lambda: table(sk.load_breast_cancer, (1, 30)),
        "iris": lambda: table(sk.load_iris, (1, 4)),
        **{kind: lambda kind=kind: words(kind)
           for kind in ("months", "territories", "languages", "scripts")},
    }  # fmt: skip


def with_elman(record: Record, seed: int) -> dict[str, float]:
    """Accuracy and log loss of the default model, and how long it took to train."""
    with tempfile.TemporaryDirectory() as folder:
        data, test = (_written(Path(folder) / part, record, part) for part in ("train", "test"))
        begin = time.perf_counter()
        model = elman.fit(
            "classify", data, Path(folder) / "run", test_data=str(test), seed=seed,
            **({"text_column": "text", "label_column": "label"} if record.is_text else {}),
        )  # fmt: skip
        seconds = time.perf_counter() - begin
        found = model.evaluate()
    return {
        "elman": found.accuracy, "log_loss": found.log_loss,
        "calibration_error": found.calibration_error, "seconds": seconds,
    }  # fmt: skip


def _written(path: Path, record: Record, part: str) -> Path:
    """A part as a user has it: JSON lines of texts, or a .ts file of signals."""
    items = getattr(record, part)
    labels = getattr(record, f"{part}_labels")
    if record.is_text:
        lines = [json.dumps({"text": t, "label": y}) for t, y in zip(items, labels, strict=True)]
        path = path.with_suffix(".jsonl")
    else:
        lines = ["@problemName record", "@timeStamps false", "@classLabel true", "@data"]
        for item, label in zip(items, labels, strict=True):
            channels = [",".join(f"{v:.9g}" for v in column) for column in np.asarray(item).T]
            lines.append(":".join([*channels, label]))
        path = path.with_suffix(".ts")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def with_others(record: Record, seed: int) -> dict[str, float]:
    known, counts = np.unique(record.train_labels, return_counts=True)
    truth = np.array(record.test_labels)
    found = {"majority": float(np.mean(truth == known[counts.argmax()]))}
    if record.is_text:
        model = make_pipeline(
            TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 5), sublinear_tf=True),
            LogisticRegression(C=30, max_iter=2000),
        )
        train, test = list(record.train), list(record.test)
    else:
        longest = max(len(item) for item in [*record.train, *record.test])
        train, test = _padded(record.train, longest), _padded(record.test, longest)
        found["minirocket"] = _minirocket(train, test, record, seed)
        train, test = train.reshape(len(train), -1), test.reshape(len(test), -1)
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit(train, record.train_labels)
    found["logistic"] = float(np.mean(model.predict(test) == truth))
    return found


def _minirocket(train: np.ndarray, test: np.ndarray, record: Record, seed: int) -> float:
    """NaN where a signal is too short for its kernels of nine values."""
    from aeon.classification.convolution_based import MiniRocketClassifier

    if train.shape[2] < 9:
        return float("nan")
    model = MiniRocketClassifier(random_state=seed)
    model.fit(train, np.array(record.train_labels))
    return float(np.mean(model.predict(test) == np.array(record.test_labels)))


def _padded(items: list[np.ndarray], longest: int) -> np.ndarray:
    """`(N, C, T)`, zeros beyond an example's end."""
    return np.stack([np.pad(np.asarray(x), ((0, longest - len(x)), (0, 0))).T for x in items])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="names of data sets, with commas between")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    chosen = records()
    if options.only:
        chosen = {name: chosen[name] for name in options.only.split(",")}
    rows = []
    for name, load in chosen.items():
        record = load()
        row = {
            "data": name, "train": len(record.train), "test": len(record.test),
            "labels": len(set(record.train_labels)),
            **with_others(record, options.seed), **with_elman(record, options.seed),
        }  # fmt: skip
        rows.append(row)
        print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
    report = {"machine": machine(), "seed": options.seed, "rows": rows}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "label_records.json").write_text(json.dumps(report, indent=1))
    text = markdown(report)
    (options.out / "label_records.md").write_text(text)
    print(text)


COLUMNS = (
    "data", "train", "test", "labels", "majority", "logistic", "minirocket", "elman",
    "calibration_error", "seconds",
)  # fmt: skip


def markdown(report: dict[str, Any]) -> str:
    rows = report["rows"]
    lines = [
        "# Labels: the default of `elman train classify` on 20 data sets",
        "",
        "`python benchmarks/label_records.py`. Accuracy on the test part; no setting was given.",
        "",
        "| " + " | ".join(COLUMNS).replace("_", " ") + " |",
        "|" + "---|" * len(COLUMNS),
        *("| " + " | ".join(_cell(row, name) for name in COLUMNS) + " |" for row in rows),
    ]
    both = [row for row in rows if np.isfinite(row.get("minirocket", np.nan))]
    if both:
        means = {k: np.mean([row[k] for row in both]) for k in ("elman", "minirocket", "logistic")}
        told = ", ".join(f"{name} {value:.3f}" for name, value in means.items())
        lines += ["", f"Mean over the {len(both)} sets that MiniRocket can read: {told}."]
    return "\n".join([*lines, "", f"Machine: {json.dumps(report['machine'])}", ""])


def _cell(row: dict[str, Any], name: str) -> str:
    value = row.get(name, "")
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if name == "seconds" else f"{value:.3f}"


if __name__ == "__main__":
    main()

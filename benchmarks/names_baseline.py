"""A strong classifier without a hidden state, beside `elman train classify`, on the same examples.

Character n-grams (1 to 5) weighted by TF-IDF, and logistic regression: seconds to train, and hard
to beat on short strings. Reading, cleaning and dividing are elman's own, so each seed's parts equal
those of a run with that seed; the validation part is for training here, or is left out as a
recurrent network leaves it out.

    python benchmarks/names_baseline.py data/names --seeds 0 1 2
"""

import argparse

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from elman.tasks.classify.data import sources
from elman.tasks.classify.data.split import TEST, TRAIN, VALID, split
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.classify.targets import metrics


def measured(
    texts: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray, weights: str | None
) -> dict[str, float]:
    """Trained on some of the examples, measured on others, both given by number."""
    classifier = make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 5), lowercase=False, sublinear_tf=True),
        LogisticRegression(C=30, max_iter=2000, class_weight=weights),
    )
    classifier.fit(texts[train], labels[train])
    probabilities = classifier.predict_proba(texts[test])
    return metrics.summary(probabilities, labels[test], probabilities.argmax(1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="what `elman train classify` reads")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    settings = ClassifySettings()
    examples = sources.read([options.data], settings)
    texts = np.array(examples.items)
    _, labels = np.unique(examples.labels, return_inverse=True)
    for name, parts, weights in (
        ("trained on training part", (TRAIN,), None),
        ("trained on training and validation part", (TRAIN, VALID), None),
        ("the same, balanced class weights", (TRAIN, VALID), "balanced"),
    ):
        found = []
        for seed in options.seeds:
            part = split(examples, settings.test_fraction, settings.valid_fraction, seed).part
            train, test = np.flatnonzero(np.isin(part, parts)), np.flatnonzero(part == TEST)
            found.append(measured(texts, labels, train, test, weights))
        for key in ("accuracy", "macro_f1", "log_loss"):
            values = [row[key] for row in found]
            listed = " ".join(f"{value:.4f}" for value in values)
            print(f"{name:<42} {key:<9} {np.mean(values):.4f}   ({listed})", flush=True)


if __name__ == "__main__":
    main()

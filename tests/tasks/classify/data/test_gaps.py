"""Missing values of signals."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import ArgumentError, RunError
from elman.tasks.classify.data.dataset import read, write
from elman.tasks.classify.data.examples import Examples
from elman.tasks.classify.data.gaps import Gaps, trimmed
from elman.tasks.classify.data.signals import parse_ts
from elman.tasks.classify.targets.one_label import OneLabel

NAN = np.nan
LABELS = OneLabel(("a", "b"), (1, 1))
HEAD = "@problemName x\n@timeStamps false\n@classLabel true a b\n@data\n"


def column(*values):
    return np.array(values, dtype=float)[:, None]


def test_gaps_are_filled_from_their_neighbours():
    gaps = Gaps((5.0,))
    assert gaps.fill(column(NAN, 1, NAN, NAN, 4, NAN)).ravel().tolist() == [1, 1, 2, 3, 4, 4]
    assert gaps.fill(column(NAN, NAN)).ravel().tolist() == [5, 5]


def test_where_they_were_is_told_if_training_had_some():
    training = [np.array([[1.0, 2.0], [NAN, 4.0]]), np.array([[3.0, 6.0]])]
    gaps = Gaps.of(training)
    assert gaps == Gaps((2.0, 4.0), (0,))
    assert gaps.channels == 3
    assert gaps.fill(training[0]).tolist() == [[1, 2, 0], [1, 4, 1]]
    assert gaps.fill(training[1]).tolist() == [[3, 6, 0]]
    whole = Gaps.of([training[1]])
    assert whole.channels == 2
    assert whole.fill(training[0]).tolist() == [[1, 2], [1, 4]]


@given(st.lists(st.lists(st.sampled_from([NAN, 0.0, 1.5]), min_size=1, max_size=9), min_size=1))
def test_nothing_stays_missing_and_nothing_known_changes(rows):
    signals = [column(*row) for row in rows]
    gaps = Gaps.of(signals)
    for signal in signals:
        filled = gaps.fill(signal)
        assert np.isfinite(filled).all()
        known = ~np.isnan(signal[:, 0])
        assert (filled[known, 0] == signal[known, 0]).all()
    assert Gaps.from_json(json.loads(json.dumps(gaps.to_json())), 1) == gaps


def test_the_end_without_values_is_padding():
    assert trimmed(column(NAN, 1, NAN)).shape == (2, 1)
    assert trimmed(np.array([[1, NAN], [NAN, 2], [NAN, NAN]])).shape == (2, 2)
    assert len(trimmed(column(NAN, NAN))) == 0


@pytest.mark.parametrize(
    "value",
    [[], {"usual": [1.0]}, {"usual": [1], "told": []}, {"usual": [NAN], "told": []},
     {"usual": [1.0], "told": [1]}, {"usual": [1.0], "told": [0, 0]},
     {"usual": [1.0], "told": [True]}, {"usual": [1.0, 1.0], "told": []}],
)  # fmt: skip
def test_what_a_run_folder_says_is_checked(value):
    with pytest.raises(RunError, match="under gaps"):
        Gaps.from_json(value, 1)


def test_a_file_with_missing_values_is_read_and_kept(tmp_path):
    found = parse_ts(f"{HEAD}1,?,3:a\n?,NaN,:b\n4,5,NaN:b\n", "x.ts")
    assert [len(item) for item in found.items] == [3, 0, 2]
    assert found.notes == [
        "signals that end in missing values, which are left out: 2",
        "missing values: 1 of 5, filled in by their neighbours; where they were is told to the "
        "model",
    ]
    found = found.take([0, 2, 2, 2])
    catalogue, sha256 = write(found, np.array([0, 0, 1, 2], dtype=np.uint8), LABELS, tmp_path, None)
    assert catalogue.features == 2
    parts = read(tmp_path, catalogue, sha256)
    assert parts["train"].values.tolist() == [[1, 0], [2, 1], [3, 0], [4, 0], [5, 0]]
    assert catalogue.encode([[NAN], [7.0], [NAN]]).tolist() == [[7, 1], [7, 0]]
    with pytest.raises(ArgumentError, match="all values are missing"):
        catalogue.encode([[NAN]])


def test_values_of_any_size_have_a_mean():
    items = [column(1e308, 1e308, NAN)]
    assert Gaps.of(items).usual == (1e308,)
    assert len(Examples(list(items), ["a"], channels=1)) == 1

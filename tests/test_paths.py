"""Data is named by paths; data in memory is met with one line that says what to do."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import elman
from elman.errors import ArgumentError
from elman.paths import paths_of


def test_paths():
    assert paths_of(None) == []
    assert paths_of("a.csv") == paths_of(Path("a.csv")) == paths_of(["a.csv"]) == ["a.csv"]
    assert paths_of(Path(name) for name in ("a", "b")) == ["a", "b"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (pl.DataFrame({"a": ["x.csv"]}), r"got polars.*DataFrame; .*frame.write_csv\('data.csv'\)"),
        (pl.Series(["x.csv"]), "got polars.*Series"),
        (np.zeros(3), "got numpy.ndarray; .*numpy.savetxt"),
        (torch.zeros(3), "got torch.Tensor"),
        ({"x.csv": 1}, "got dict"),
        ([1, 2], "got list of int"),
        ([["x.csv"]], "got list of list"),
        (3, "got int"),
        (b"text", "got bytes"),
        ([], "got none"),
        ("once upon\na time", "got a text of 16 characters"),
        ("word " * 2000, "got a text of 10,000 characters"),
    ],
)
def test_data_in_memory(tmp_path, data, words):
    for task in ("forecast", "classify", "language"):
        with pytest.raises(ArgumentError, match=words) as caught:
            elman.fit(task, data, tmp_path / "run")
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_pandas_frame():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(ArgumentError, match=r"pandas.*DataFrame; .*frame.to_csv\('data.csv'\)"):
        paths_of(pandas.DataFrame({"a": [1]}))

"""Files of arrays that nobody vouches for when they are read again."""

import numpy as np
import pytest

from elman.errors import RunError
from elman.tasks.shared.arrays import are_lengths, read_arrays, sha256_of, write_arrays


def test_what_is_written_is_read_again(tmp_path):
    arrays = {"a": np.arange(6).reshape(2, 3).T, "b": np.zeros(0, np.uint8)}
    sha256 = write_arrays(tmp_path / "x", arrays)
    found = read_arrays(tmp_path / "x", sha256, "numbers")
    assert found.keys() == arrays.keys()
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    assert found["b"].dtype == np.uint8


def test_a_missing_changed_or_damaged_file_is_named(tmp_path):
    path = tmp_path / "x"
    with pytest.raises(RunError, match=r"x is missing.*without its numbers"):
        read_arrays(path, "", "numbers")
    sha256 = write_arrays(path, {"a": np.arange(3)})
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(RunError, match=r"does not hold the numbers.*SHA-256 differs"):
        read_arrays(path, sha256, "numbers")
    path.write_bytes(b"nonsense")
    with pytest.raises(RunError, match="is damaged"):
        read_arrays(path, sha256_of(path), "numbers")


@pytest.mark.parametrize(
    ("lengths", "good"),
    [
        ([2, 3], True),
        ([5, 0], False),  # each of at least one
        ([2, 2], False),
        ([2, 3, 0], False),
        ([6, -1], False),
        ([2**62, 2**62], False),
        ([2**63 - 1, 6], False),  # a sum that wraps around
    ],
)
def test_lengths_that_cut_rows_into_pieces(lengths, good):
    assert are_lengths(np.array(lengths), 2, 5, least=1) is good
    assert not are_lengths(np.array(lengths, dtype=np.float64), 2, 5, least=1)


def test_pieces_may_be_empty_where_that_is_said():
    assert are_lengths(np.array([5, 0]), 2, 5, least=0)
    assert are_lengths(np.array([], dtype=np.int64), 0, 0, least=0)

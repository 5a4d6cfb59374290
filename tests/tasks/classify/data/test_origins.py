"""Where examples came from, read back from a folder that nobody vouches for."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from elman.errors import RunError
from elman.tasks.classify.data.examples import PARTS, Examples, cleaned
from elman.tasks.classify.data.origins import FILE, Origins
from elman.tasks.shared.arrays import sha256_of

STRINGS = Examples(
    ["a", "", "b", "a", "c"], ["x", "x", "y", "x", "y"], files=["f", "f", 'g,"\n', "g", "g"],
    rows=[1, 2, 1, 2, 3],
)  # fmt: skip
PART = np.array([0, 1, 2], np.uint8)


def test_every_row_has_a_part_or_a_reason():
    found = Origins.of(STRINGS, cleaned(STRINGS), PART)
    assert list(csv.reader(io.StringIO(found.to_csv().decode(), newline=""))) == [
        ["file", "row", "part", "left_out"],
        ["f", "1", "train", ""],
        ["f", "2", "", "empty"],
        ['g,"\n', "1", "valid", ""],
        ["g", "2", "", "repeat"],
        ["g", "3", "test", ""],
    ]
    assert found.of_part("test") == [("g", 3)]


@given(st.data())
def test_parts_keep_the_order_of_the_examples(data):
    count = data.draw(st.integers(1, 30))
    items = data.draw(st.lists(st.sampled_from(["", "a", "b", "c", "d"]), min_size=count,
                               max_size=count))  # fmt: skip
    examples = Examples(list(items), ["x"] * count)
    kept = cleaned(examples)
    size = len(kept.examples)
    part = np.array(data.draw(st.lists(st.integers(0, 2), min_size=size, max_size=size)), np.uint8)
    found = Origins.of(examples, kept, part)
    for number, name in enumerate(PARTS):
        rows = [row for _, row in found.of_part(name)]
        assert [items[row - 1] for row in rows] == [
            item for item, where in zip(kept.examples.items, part, strict=True) if where == number
        ]


def test_what_is_written_is_read_again(tmp_path):
    found = Origins.of(STRINGS, cleaned(STRINGS), PART)
    again = Origins.read(tmp_path, found.write(tmp_path), [1, 1, 1])
    assert again.to_csv() == found.to_csv()
    with pytest.raises(RunError, match="does not fit the examples"):
        Origins.read(tmp_path, sha256_of(tmp_path / FILE), [1, 2, 0])


@pytest.mark.parametrize(
    "change",
    [
        {"files": np.zeros(3, np.uint8)},
        {"files": np.frombuffer(b"[1]", np.uint8)},
        {"files": np.frombuffer(b"[" * 99_999, np.uint8)},
        {"file": np.array([0, 0, 9, 0, 0])},
        {"file": np.array([0, 0, -1, 0, 0])},
        {"file": np.zeros(5, np.int32)},
        {"row": np.zeros((5, 1), np.int64)},
        {"row": np.zeros(4, np.int64)},
        {"part": np.full(5, 3, np.uint8)},
        {"reason": np.full(5, 3, np.uint8)},
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(tmp_path, change):
    Origins.of(STRINGS, cleaned(STRINGS), PART).write(tmp_path)
    path = tmp_path / FILE
    save_file({**load_file(path), **change}, path)
    with pytest.raises(RunError, match="does not fit the examples"):
        Origins.read(tmp_path, sha256_of(path), [1, 1, 1])

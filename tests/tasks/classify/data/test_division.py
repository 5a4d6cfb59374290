"""Parts by groups and by time: nothing stands on both sides, and what can't be divided is said."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import ArgumentError, DataError
from elman.tasks.classify.data.examples import LATER, Examples, Moment, cleaned, joined
from elman.tasks.classify.data.sources import read
from elman.tasks.classify.data.split import TEST, TRAIN, VALID, Fold, split
from elman.tasks.classify.settings import ClassifySettings

many_groups = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from("xyz")), min_size=60, max_size=200
)


def examples_of(labels, groups=(), times=()):
    texts = [f"text {number}" for number in range(len(labels))]
    moments = [Moment(float(time), str(time)) for time in times]
    return Examples(texts, list(labels), groups=list(map(str, groups)), times=moments)


def balanced(groups):
    """Examples of two labels in each group."""
    return examples_of("xy" * len(groups), [group for group in groups for _ in "xy"])


@given(many_groups, st.integers(0, 5))
def test_no_group_stands_in_two_parts_and_every_label_can_be_learnt(rows, seed):
    groups = [group for group, _ in rows] + [20, 21, 22] * 6
    labels = [label for _, label in rows] + ["x"] * 6 + ["y"] * 6 + ["z"] * 6
    part = split(examples_of(labels, groups), 0.2, 0.2, seed).part
    for group in set(groups):
        assert len(set(part[np.array(groups) == group])) == 1
    assert set(np.array(labels)[part == TRAIN]) == set(labels)


def test_groups_give_about_their_share_and_another_seed_others():
    examples = balanced(list(range(100)) * 5)
    parts = [split(examples, 0.15, 0.1, seed).part for seed in (0, 0, 1)]
    assert abs((parts[0] == TEST).mean() - 0.15) < 0.01
    assert abs((parts[0] == VALID).mean() - 0.085) < 0.01
    assert (parts[0] == parts[1]).all()
    assert (parts[0] != parts[2]).any()


def test_a_group_of_half_of_the_rows_stays_in_training_and_is_named():
    found = split(balanced(["big"] * 60 + list(range(40))), 0.15, 0.1, 0)
    assert (found.part[:120] == TRAIN).all()
    assert any("the group 'big' holds 60% of the examples" in note for note in found.notes)


def test_three_groups_are_one_for_each_part():
    found = split(balanced([1, 2, 3] * 20), 0.15, 0.1, 0)
    assert np.bincount(found.part).tolist() == [40, 40, 40]
    with pytest.raises(DataError, match=r"test part is empty|validation part is empty"):
        split(balanced([1, 2] * 20), 0.15, 0.1, 0)


def test_a_group_with_all_of_a_label_is_learnt_from():
    labels = ["x", "y"] * 30 + ["z"] * 4
    groups = [number // 2 for number in range(60)] + ["z"] * 4
    assert (split(examples_of(labels, groups), 0.3, 0.2, 0).part[60:] == TRAIN).all()


def test_groups_that_own_parts_share_are_a_leak():
    train, test = balanced(list(range(20))), balanced([18, 19, 30])
    notes = split(joined({"train": train, "valid": test, "test": test}), 0.1, 0.1, 0).notes
    assert any("leak: 2 of the 3 groups of the test part" in note for note in notes)


@given(st.lists(st.integers(0, 30), min_size=60, max_size=120), st.integers(0, 3))
def test_each_part_lies_after_the_one_before(times, seed):
    times = [*times, *range(30)]
    labels = ["x", "y"] * (len(times) // 2 + 1)
    examples = examples_of(labels[: len(times)], times=times)
    try:
        part = split(examples, 0.2, 0.2, seed).part
    except DataError as error:
        assert "never shows" in str(error) or "at least two labels" in str(error)  # noqa: PT017
        return
    times = np.array(times)
    assert times[part == TRAIN].max() < times[part == VALID].min()
    assert times[part == VALID].max() < times[part == TEST].min()


def test_the_notes_tell_the_times_and_a_part_of_one_label():
    examples = examples_of("xy" * 40 + "x" * 20, times=range(100))
    notes = split(examples, 0.2, 0.25, 0).notes
    assert notes[0] == "divided by time: training 0 to 59, validation 60 to 79, test 80 to 99"
    assert any("the test part has one label only, 'x'" in note for note in notes)


def test_one_time_and_one_label_before_it_are_refused():
    with pytest.raises(DataError, match="too few different times"):
        split(examples_of("xy" * 20, times=[1] * 40), 0.2, 0.2, 0)
    with pytest.raises(DataError, match=r"divided by time, a classifier needs .* got 'x'"):
        split(examples_of("x" * 65 + "y" * 15, times=range(80)), 0.15, 0.1, 0)


@pytest.mark.parametrize("by", ["label", "groups"])
def test_folds_test_every_example_once(by):
    examples = balanced([number % 11 for number in range(60)])
    if by == "label":
        examples = examples_of(examples.labels)
    tested = np.zeros(len(examples), dtype=int)
    for number in range(1, 5):
        found = split(examples, 0.15, 0.1, 3, Fold(number, 4))
        assert found.used.all()
        assert (found.part == VALID).any()
        tested += found.part == TEST
        assert 20 <= (found.part == TEST).sum() <= 40
        if by == "groups":
            own = set(np.array(examples.groups)[found.part == TEST])
            assert not own & set(np.array(examples.groups)[found.part != TEST])
    assert (tested == 1).all()


def test_folds_by_time_learn_from_what_lies_before_and_leave_out_the_rest():
    examples = examples_of("xy" * 40, times=list(range(80))[::-1])
    tested = []
    for number in range(1, 4):
        found = split(examples, 0.15, 0.1, 0, Fold(number, 3))
        kept = cleaned(examples).only(found.used)
        times = np.array([time.order for time in kept.examples.times])
        assert times[found.part != TEST].max() < times[found.part == TEST].min()
        assert kept.reasons.count(LATER) == 80 - 20 * (number + 1)
        tested += times[found.part == TEST].tolist()
    assert sorted(tested) == list(range(20, 80))
    with pytest.raises(DataError, match="fewer --folds"):
        split(examples_of("xy" * 4, times=[1, 2] * 4), 0.2, 0.2, 0, Fold(1, 3))


def test_what_can_not_be_folded_is_refused():
    own = joined({"train": examples_of("xy" * 20), "test": examples_of("xy")})
    with pytest.raises(ArgumentError, match="--folds divides DATA by itself"):
        split(own, 0.1, 0.1, 0, Fold(1, 2))
    for fold in (Fold(0, 5), Fold(6, 5), Fold(1, 1), Fold(1, 0)):
        with pytest.raises(ArgumentError, match="--folds must be at least 2"):
            split(examples_of("xy" * 20), 0.1, 0.1, 0, fold)
    both = examples_of("xy" * 20, groups=range(40), times=range(40))
    with pytest.raises(ArgumentError, match="--group-column or --time-column, not both"):
        split(both, 0.1, 0.1, 0)


@pytest.fixture
def table(tmp_path):
    def write(cells, name="table.csv"):
        path = tmp_path / name
        frame = pl.DataFrame(
            {"at": cells, "who": ["a", "b"] * (len(cells) // 2),
             "text": map(str, range(len(cells))),
             "label": ["x", "y"] * (len(cells) // 2)}
        )  # fmt: skip
        frame.write_parquet(path) if name.endswith("parquet") else frame.write_csv(path)
        return [str(path)]

    return write


@pytest.mark.parametrize(
    "cells",
    [
        ["31/12/2023", "1/1/2024", "2/1/2024", "30/1/2024"],
        ["9", "10", "11", "100"],
        ["-0.5", "0.25", "3", "1e3"],
        ["2024-01-01T23:00+01:00", "2024-01-01T23:30+01:00", "2024-01-02T00:00+01:00",
         "2024-01-02T00:01+01:00"],
        ["20231231", "20240101", "20240102", "20240131"],
        ["Dec 2023", "Jan 2024", "Feb 2024", "Mar 2024"],
    ],
)  # fmt: skip
def test_dates_and_numbers_are_read_in_their_order(table, cells):
    found = read(
        table([cells[2], cells[0], cells[3], cells[1]]), ClassifySettings(time_column="at")
    )
    order = [time.written for time in sorted(found.times)]
    assert order == cells


def test_dates_of_parquet_are_read(table):
    cells = pl.Series([3, 1, 2, 5]).cast(pl.Date)
    found = read(table(cells, "table.parquet"), ClassifySettings(time_column="at"))
    assert min(found.times).written == "1970-01-02"


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (
            ["2024-01-01", "2024-01-02", "soon", "2024-01-03"],
            "line 4: at must be a time stamp.*soon",
        ),
        (["1", "2.5", "", "4"], "line 4: at must be a number.*an empty cell"),
        (["1", "2.5", "3", "inf"], "line 5: at must be a number.*inf"),
        (["a", "b", "c", "d"], "line 2: at must be a time stamp like 2024-12-31, got 'a'"),
    ],
)
def test_a_cell_that_is_no_time_is_named(table, cells, words):
    with pytest.raises(DataError, match=words):
        read(table(cells), ClassifySettings(time_column="at"))


def test_columns_that_are_not_there_and_groups_without_a_name(table, tmp_path, names_folder):
    data = table(["1", "2", "", "4"])
    with pytest.raises(
        ArgumentError, match=r"no column 'whom'.*--group-column.*did you mean 'who'"
    ):
        read(data, ClassifySettings(group_column="whom"))
    with pytest.raises(DataError, match=r"line 4: the group \(column 'at'\) is empty"):
        read(data, ClassifySettings(group_column="at"))
    with pytest.raises(ArgumentError, match="--group-column names a column of a table"):
        read([str(names_folder)], ClassifySettings(group_column="who"))

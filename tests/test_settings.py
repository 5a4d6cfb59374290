"""Settings are checked the same way wherever they come from."""

import pytest

from elman.errors import ArgumentError
from elman.settings import build, given, names, refuse_unknown
from elman.tasks import TASKS
from elman.tasks.language import LanguageSettings
from elman.train.fit import with_defaults
from elman.train.settings import TrainingSettings


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"hidden_size": 0}, "hidden_size must be at least 1, got 0"),
        ({"hidden_size": 2.5}, r"a whole number, got 2.5 \(float\)"),
        ({"hidden_size": True}, "a whole number, got True"),
        ({"hidden_size": "8"}, r"a whole number, got '8' \(str\)"),
        ({"dropout": 1}, "less than 1.0, got 1.0"),
        ({"dropout": float("nan")}, "finite"),
        ({"valid_fraction": 0.0}, "greater than 0.0"),
        ({"level": "word"}, "one of char, byte, got 'word'"),
        ({"cell": 3}, "text, got 3"),
    ],
)
def test_a_value_out_of_range_is_named(values, words):
    with pytest.raises(ArgumentError, match=f"^here: .*{words}"):
        build(LanguageSettings, values, "here")


def test_values_find_their_class():
    values = {"hidden_size": 8, "steps": 5, "learning_rate": 1, "minutes": None}
    assert build(LanguageSettings, values, "").hidden_size == 8
    training = build(TrainingSettings, values, "")
    assert training.learning_rate == 1.0
    assert "minutes" not in given(training)
    assert given(training)["steps"] == 5


def test_the_classes_share_no_name():
    every = names(LanguageSettings, TrainingSettings)
    assert len(every) == len(set(every))


def test_a_budget_is_given_where_there_is_none():
    kind = TASKS["language"]
    usual = {"learning_rate": 0.006}
    given = {"clip": 2.0, "minutes": None}
    assert with_defaults(kind, given) == {"steps": 2000, "clip": 2.0, **usual}
    assert with_defaults(kind, {"minutes": 3.0}) == {"minutes": 3.0, **usual}


def test_an_unknown_key_is_refused_with_the_nearest_one():
    with pytest.raises(ArgumentError, match="'hiden_size'; did you mean 'hidden_size'"):
        refuse_unknown(["hiden_size"], names(LanguageSettings), "x.toml")
    with pytest.raises(ArgumentError, match="known are: cell"):
        refuse_unknown(["zzzz"], names(LanguageSettings), "x.toml")

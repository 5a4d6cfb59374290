"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

import elman

MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(elman.__path__, "elman.")
    if not name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def test_some_examples_were_found():
    found = doctest.DocTestFinder().find(elman.scan) + doctest.DocTestFinder().find(elman.Recurrent)
    assert sum(len(test.examples) for test in found) >= 4


@pytest.mark.parametrize("name", [n for n in elman.__all__ if not n.startswith("_")])
def test_every_public_name_is_documented(name):
    assert len(getattr(elman, name).__doc__ or "") > 40

"""All of the engine's tests run in poisoned and guarded memory."""

from collections.abc import Iterator

import pytest

from tests.engine.guarded import guarded_memory


@pytest.fixture(autouse=True)
def _guards() -> Iterator[None]:
    with guarded_memory():
        yield

from hypothesis import given
from hypothesis import strategies as st

from elman.tasks.shared.characters import UNICODE, code_points


@given(st.text(st.characters(codec=None)))
def test_one_number_for_each_character(text):
    found = code_points(text)
    assert found.tolist() == [ord(character) for character in text]
    assert all(0 <= point < UNICODE for point in found)

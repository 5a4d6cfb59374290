"""The judge sees what is wrong, however small it is, and lets through what rounding explains."""

import pytest
import torch

from tests.engine.comparing import Expected


def judged(function, x, found, dtype=torch.float32):
    """What is said about `found` where `function(x)` is expected."""
    run = lambda: {"y": function(x.double())}  # noqa: E731
    return Expected(run(), run, {"y": function(x)}).differences({"y": found}, dtype)


def test_a_small_number_that_is_wrong_is_seen_beside_a_large_one():
    x = torch.tensor([1e6, 1e-6, 0.0])
    assert not judged(torch.clone, x, x)
    assert not judged(torch.clone, x, x * (1 + 1e-6))
    for wrong in (x * 1.001, x * torch.tensor([1, 1.001, 1]), x + torch.tensor([0, 0, 1e-20])):
        (line,) = judged(torch.clone, x, wrong)
        assert line.startswith("y[")
        assert "of 3 are wrong" in line


def test_what_rounding_explains_is_right_and_no_more():
    x = torch.tensor([[1.0, 1e-4, -1.0], [1.0, 1.0, 1.0]])
    total = lambda x: (3.1 * x).sum(1)  # noqa: E731, the first row's terms cancel
    exact = total(x)
    assert not judged(total, x, exact + torch.tensor([1e-7, 1e-6]))
    assert judged(total, x, exact + torch.tensor([1e-4, 0.0]))
    assert judged(total, x, exact + torch.tensor([0.0, 1e-3]))
    assert judged(total, x.double(), exact.double() + 1e-7, torch.float64)


def test_terms_may_cancel_within_an_operation():
    x = torch.tensor([-4.0, 1.0])
    gelu, exact = torch.nn.functional.gelu, torch.nn.functional.gelu(x)
    assert not judged(gelu, x, exact + torch.tensor([1e-7, 0.0]))  # 4 * (1 + erf(x)) / 2
    assert judged(gelu, x, exact + torch.tensor([1e-4, 0.0]))
    assert judged(gelu, x, exact + torch.tensor([0.0, 1e-4]))


def test_a_comparison_that_hangs_on_the_last_bit():
    third = torch.tensor([1.0, 1.0]) / 3
    steps = lambda x: (x * 3 > torch.tensor([1.0, 0.5])).to(x.dtype)  # noqa: E731
    assert not judged(steps, third, torch.tensor([0.0, 1.0]))
    assert not judged(steps, third, torch.tensor([1.0, 1.0]))
    assert judged(steps, third, torch.tensor([0.0, 0.0]))


def test_integers_and_flags_are_exact():
    x = torch.tensor([1.0, 2.0])
    counts = lambda x: x.long() + 2**25  # noqa: E731
    assert not judged(counts, x, counts(x))
    assert judged(counts, x, counts(x) + 1)
    assert judged(counts, x, counts(x).to(torch.int32))


@pytest.mark.parametrize("other", [0.0, float("inf"), 1.0])
def test_nan_stands_where_it_should(other):
    x = torch.tensor([float("nan"), 1.0])
    assert not judged(torch.clone, x, x)
    assert judged(torch.clone, x, torch.tensor([other, 1.0]))
    assert judged(torch.clone, x, torch.tensor([float("nan"), float("nan")]))


def test_overflow_is_as_in_the_dtype():
    x = torch.tensor([100.0, -200.0])
    assert not judged(torch.exp, x, torch.tensor([float("inf"), 0.0]))
    assert judged(torch.exp, x, torch.tensor([3e38, 0.0]))


def test_names_and_shapes_belong_to_it():
    run = lambda: {"y": torch.zeros(2)}  # noqa: E731
    expected = Expected(run(), run)
    assert expected.differences({}, torch.float32)
    assert expected.differences({"y": torch.zeros(2, 1)}, torch.float32)

"""Intervals and tests of counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evop.losses.significance import holm, mcnemar, wilson


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_is_the_textbook_one(right, n, low, high):
    """The last is the example of Newcombe 1998, table I."""
    assert wilson(right, n) == pytest.approx((low, high), abs=1e-4)


def test_mcnemar_is_a_fair_coin():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 0) == pytest.approx(1 / 2**5)
    assert mcnemar(0, 5) == 1.0
    assert mcnemar(3, 2) == 0.5
    assert mcnemar(9, 1) == pytest.approx(11 / 2**10)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_the_order_and_only_makes_larger(p):
    corrected = holm(p)
    assert all(0 <= before <= after <= 1 for before, after in zip(p, corrected, strict=True))
    assert max(corrected) <= 1
    order = sorted(range(len(p)), key=lambda i: p[i])
    assert [corrected[i] for i in order] == sorted(corrected)
    assert corrected[order[0]] == pytest.approx(min(1.0, len(p) * p[order[0]]))

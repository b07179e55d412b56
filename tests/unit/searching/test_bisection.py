"""The budgets that are tried: they end at the edge, wherever it is, after few."""

import pytest

from evop.searching.bisection import next_budget


@pytest.mark.parametrize("edge", [0, 1, 5, 19, 20, 21, 47, 80, 98])
def test_the_edge_is_found_in_few_steps(edge):
    within, beyond, tried = [], [], 0
    while (at := next_budget(within, beyond)) is not None:
        assert 1 <= at <= 99
        assert at not in within + beyond
        (within if at <= edge else beyond).append(at)
        tried += 1
    assert max(within, default=0) == edge
    assert tried <= 9


def test_what_goes_beyond_the_budget_counts():
    assert next_budget([10, 17], [18, 12]) is None

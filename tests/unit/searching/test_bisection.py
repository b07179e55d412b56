"""The budgets that are tried: they end at the edge, wherever it is, after few."""

import pytest

from evop.searching.bisection import next_budget, next_healed


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


@pytest.mark.parametrize("healed_edge", [0, 8, 16, 18, 20, 23, 60, 99])
@pytest.mark.parametrize(("tried", "edge"), [([10, 16, 20, 17], 16), ([5, 1, 10, 20, 2], 0)])
def test_the_healed_edge_is_found_from_the_edge_on_without_healing_one_twice(tried, edge, healed_edge):
    within, beyond, tried = [], [], list(tried)
    while (at := next_healed(within, beyond, tried, edge)) is not None:
        if not within + beyond:
            assert at == (edge or min(tried))
        assert 1 <= at <= 99
        assert at not in within + beyond
        tried += [at] * (at not in tried)
        (within if at <= healed_edge else beyond).append(at)
        assert len(within + beyond) <= 20
    if healed_edge >= (edge or min(tried)):
        assert max(within) == healed_edge
    else:  # of smaller ones, only those that were searched
        assert max(within, default=0) == max((at for at in tried if at <= healed_edge), default=0)


def test_a_budget_that_the_model_cannot_meet_is_too_much_for_a_healing_too():
    assert next_healed([], [40], [10, 16], 16) == 16
    assert next_healed([16], [20, 17], [16], 16) is None

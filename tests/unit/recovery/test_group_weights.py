"""Weights of groups, and the traps that others fell into."""

import numpy as np
import pytest

from evop.recovery.healing.group_weights import MIXED_IN, WEIGHTINGS, by_excess, worse_half

GROUPS = ("a", "b", "c", "d")
EVEN = dict.fromkeys(GROUPS, 0.25)
SURE = np.zeros(4)


@pytest.mark.parametrize("weigh", WEIGHTINGS.values(), ids=WEIGHTINGS)
def test_weights_are_shares(weigh):
    weights = weigh(EVEN, np.array([0.5, 0.1, -0.2, 0.3]), np.full(4, 0.02), 1.0)
    assert tuple(weights) == GROUPS
    assert sum(weights.values()) == pytest.approx(1)
    assert min(weights.values()) >= 0


def test_one_update_by_hand():
    weights = by_excess({"a": 0.5, "b": 0.5}, np.array([0.3, 0.1]), np.array([0.1, 0.1]), 2.0)
    moved = np.exp(2.0 * 0.2) / (np.exp(2.0 * 0.2) + 1)
    assert weights["a"] == pytest.approx(0.9 * moved + 0.05)


def test_a_group_better_than_the_dense_model_counts_as_one_that_is_as_good():
    """Without the clip at nothing, a group far below it would hand its weight to all others."""
    far, near = (by_excess(EVEN, np.array([0.2, 0.0, 0.0, below]), SURE, 1.0) for below in (-5.0, 0.0))
    assert far == near


def test_noise_moves_nothing():
    excess, error = np.array([0.3, 0.0, 0.0, 0.0]), np.array([0.4, 0.1, 0.1, 0.1])
    assert by_excess(EVEN, excess, error, 1.0) == pytest.approx(EVEN)
    assert by_excess(EVEN, excess, np.full(4, np.inf), 1.0) == pytest.approx(EVEN)


def test_weights_do_not_run_away():
    """A group that always loses most never takes all, and the others keep their tenth."""
    weights = EVEN
    for _ in range(1000):
        weights = by_excess(weights, np.array([2.0, 0.1, 0.1, 0.1]), SURE, 1.0)
    assert min(weights.values()) >= MIXED_IN / 4
    assert weights["a"] <= 1 - 3 * MIXED_IN / 4 + 1e-12


def test_a_small_difference_settles_where_the_weights_are_near_to_each_other():
    weights = EVEN
    for _ in range(1000):
        weights = by_excess(weights, np.array([0.05, 0.0, 0.0, 0.0]), SURE, 1.0)
    assert 0.3 < weights["a"] < 0.5


def test_weights_go_back_where_nothing_is_lost_any_more():
    weights = {"a": 0.7, "b": 0.1, "c": 0.1, "d": 0.1}
    for _ in range(100):
        weights = by_excess(weights, SURE, SURE, 1.0)
    assert weights == pytest.approx(EVEN, abs=1e-4)


def test_the_worse_half_alone():
    assert worse_half(EVEN, np.array([0.1, 0.4, 0.2, 0.3]), SURE, 1.0) == {"a": 0, "b": 0.5, "c": 0, "d": 0.5}
    odd = worse_half(dict.fromkeys("abc", 1 / 3), np.array([0.1, 0.4, 0.2]), SURE, 1.0)
    assert odd == {"a": 0, "b": 0.5, "c": 0.5}

"""Which tokens are too loud to be counted."""

import torch

from evop.importance.massive import ordinary


def test_a_token_a_hundred_times_the_median_is_left_out():
    values = torch.ones(9, 4)
    values[3] *= 10  # squared, a hundred times
    values[5] *= 10.1
    assert ordinary(values).tolist() == [True] * 5 + [False] + [True] * 3


def test_where_most_tokens_are_zero_all_count():
    values = torch.zeros(5, 2)
    values[1] = 3.0
    assert ordinary(values).all()
    assert ordinary(values[:0]).shape == (0,)


def test_what_is_not_finite_is_left_for_the_sums_to_find():
    values = torch.ones(5, 2)
    values[0], values[1] = float("nan"), float("inf")
    assert ordinary(values).all()

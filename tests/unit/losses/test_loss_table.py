"""Losses of passages, added up per group."""

import numpy as np

from evop.losses.table import LossTable

TABLE = LossTable(("a", "b", "a"), np.array([1.0, 6.0, 5.0]), np.array([1, 3, 2]))


def test_a_group_is_a_mean_over_its_tokens_not_over_its_passages():
    assert TABLE.by_group == {"a": 2.0, "b": 2.0}
    assert TABLE.take([0, 1]).by_group == {"a": 1.0, "b": 2.0}


def test_of_no_passage_there_is_no_group():
    assert TABLE.take([]).by_group == {}

"""Accuracy as a loss: items outvote margins, margins order what is equal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerance import within

from evop.errors import EvopError
from evop.losses.accuracy import Accuracy, NormalisedAccuracy
from evop.losses.loss import Loss
from evop.tokens.items import TokenItem


def item(gold, characters=(1, 1), of=2):
    return TokenItem((1,), tuple((2,) for _ in characters), gold, tuple(characters), of)


def test_an_item_is_lost_where_another_choice_costs_less():
    nll = np.array([[1.0, 2.0], [3.0, 2.0], [2.0, 2.0]])
    losses = Accuracy()(nll, [item(0), item(0), item(1)])
    assert list(losses >= 1) == [False, True, True]  # of equal choices the first is the answer


def test_normalised_divides_by_characters():
    nll = np.array([[10.0, 4.0]])
    assert Accuracy()(nll, [item(0, (20, 4))])[0] >= 1
    assert NormalisedAccuracy()(nll, [item(0, (20, 4))])[0] < 1


def test_items_may_have_different_numbers_of_choices():
    nll = np.array([[1.0, 2.0, np.inf], [3.0, 2.0, 1.0]])
    assert list(Accuracy()(nll, [item(0), item(2, (1, 1, 1))]) < 1) == [True, True]


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=2, max_size=12), st.data())
def test_margins_never_outvote_an_item(costs, data):
    n = len(costs)
    golds = [data.draw(st.integers(0, 1)) for _ in range(n)]
    losses = Accuracy()(np.array(costs), [item(gold, of=n) for gold in golds])
    wrong = sum(np.argmin(pair) != gold for pair, gold in zip(costs, golds, strict=True))
    assert wrong / n <= losses.mean() < (wrong + 0.5 + within(1e-9)) / n


def test_a_larger_margin_is_a_larger_loss_where_as_many_are_wrong():
    found = [Accuracy()(np.array([[own, 2.0]]), [item(0)])[0] for own in (0.0, 1.0, 1.9, 2.1, 9.0, 900.0)]
    assert found == sorted(found)
    assert len(set(found)) == len(found)


def test_what_is_no_number_is_no_answer():
    losses = Accuracy()(np.array([[np.nan, 1.0], [1.0, np.nan], [np.inf, 1.0]]), [item(0)] * 3)
    assert np.isnan(losses).all()


def test_losses_are_named_one_of_text_and_one_of_items():
    both = Loss.named("accuracy_norm+kl")
    assert (both.text, both.items, str(both)) == ("kl", "accuracy_norm", "accuracy_norm+kl")
    assert Loss.named("accuracy").floor == 0.0
    assert Loss.named("nll+accuracy").floor == -np.inf
    with pytest.raises(EvopError, match="one of each joined by"):
        Loss.named("nll+kl")
    with pytest.raises(EvopError, match="accuracyy"):
        Loss.named("accuracyy")

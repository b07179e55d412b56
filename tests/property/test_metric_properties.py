"""Properties of metrics, over trees hypothesis makes up: they are read as written, and simpler ones rank alike."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from evop.importance import importance_of, metric_importance, scores_of
from evop.importance.site import Site
from evop.importance.statistics import SiteStatistics, Statistics
from evop.metrics.expression import OPERATORS, Expression, of
from evop.metrics.meta import distinct_meta_metrics, every_meta_metric
from evop.metrics.parse import parse
from evop.metrics.simplify import OPPOSITES, as_ranked, simplified
from evop.metrics.values import value

examples = settings(deadline=None, max_examples=400, derandomize=True)
TERMINALS = {name: of(name) for name in "WXG"}
ROWS, COLUMNS = 5, 7


def trees(operators=tuple(OPERATORS)):
    leaves = st.sampled_from(list(TERMINALS.values()))

    def larger(smaller):
        one = [name for name in operators if OPERATORS[name] == 1]
        two = [name for name in operators if OPERATORS[name] == 2]
        return st.builds(lambda name, x: of(name, x), st.sampled_from(one), smaller) | st.builds(
            lambda name, x, y: of(name, x, y), st.sampled_from(two), smaller, smaller
        )

    return st.recursive(leaves, larger, max_leaves=6)


def numbers(seed):
    """Numbers that no operator makes too large to tell apart, none of them zero, in float64."""
    rng = np.random.default_rng(seed)
    drawn = {
        "W": rng.choice([-1, 1], (ROWS, COLUMNS)) * rng.uniform(0.2, 1.5, (ROWS, COLUMNS)),
        "X": rng.uniform(0.1, 2.0, (1, COLUMNS)),
        "G": rng.uniform(0.01, 1.0, (ROWS, COLUMNS)),
    }
    return {name: torch.from_numpy(array) for name, array in drawn.items()}


def computed(expression, terminals):
    return value(expression, terminals).expand(ROWS, COLUMNS).numpy()


def not_turned_over(before, after):
    """Whether no pair that is clearly ordered before is clearly the other way round after."""
    close = 1e-9 * max(1.0, np.abs(before).max()), 1e-9 * max(1.0, np.abs(after).max())
    lower = (before[..., :, None] - before[..., None, :]) < -close[0]
    higher = (after[..., :, None] - after[..., None, :]) > close[1]
    return not (lower & higher).any()


@examples
@given(trees())
def test_what_is_written_is_read(tree):
    assert parse(str(tree)) == tree


@examples
@given(trees(), st.integers(0, 3))
def test_a_simpler_metric_has_the_same_value(tree, seed):
    terminals, simpler = numbers(seed), simplified(tree)
    before = computed(tree, terminals)
    if np.isfinite(before).all() and np.abs(before).max() < 1e12:
        np.testing.assert_allclose(computed(simpler, terminals), before, rtol=1e-6, atol=1e-9)
    assert simplified(simpler) == simpler
    assert len(simpler.nodes) <= len(tree.nodes)


@examples
@given(trees(), st.integers(0, 3))
def test_what_is_dropped_turns_no_pair_of_a_row_over(tree, seed):
    terminals = numbers(seed)
    before, after = computed(tree, terminals), computed(as_ranked(tree, by_row=True), terminals)
    if np.isfinite(before).all() and np.isfinite(after).all():
        assert not_turned_over(before, after)


@examples
@given(trees(), st.integers(0, 3))
def test_what_is_dropped_turns_no_pair_of_units_over(tree, seed):
    terminals = numbers(seed)
    before, after = (computed(tree_of, terminals) for tree_of in (tree, as_ranked(tree, by_row=False)))
    if np.isfinite(before).all() and np.isfinite(after).all():
        assert not_turned_over(before.mean(axis=0), after.mean(axis=0))


def test_the_property_can_fail():
    """The rule of rows is no rule of units: the mean of squares does not rank as the mean."""
    terminals = {"W": torch.tensor([[1.0, 2.0], [3.0, 2.1]])}
    before, after = (value(parse(line), terminals).numpy() for line in ("sqr(|W|)", "|W|"))
    assert not not_turned_over(before.mean(axis=0), after.mean(axis=0))
    assert as_ranked(parse("sqr(|W|)"), by_row=True) == parse("|W|")
    assert as_ranked(parse("exp(|W|)"), by_row=False) != parse("|W|")


@examples
@given(trees())
def test_opposites_leave_the_order_but_for_what_log_adds(tree):
    simpler = simplified(tree, opposites=True)
    assert len(simpler.nodes) <= len(tree.nodes)
    pairs = {(node.name, node.arguments[0].name) for node in simpler.nodes if len(node.arguments) == 1}
    assert not pairs & {("exp", "log"), ("log", "exp"), ("ln", "exp"), ("exp", "ln"), ("neg", "neg"), ("sqrt", "sqr")}


PLAIN = tuple(name for name in OPERATORS if name not in ("exp", "log", "ln"))


@examples
@given(trees(PLAIN), st.sampled_from(sorted(OPPOSITES)), st.integers(0, 3))
def test_opposites_at_the_root_turn_no_pair_over(tree, pair, seed):
    outer, inner = pair
    whole, terminals = of(outer, of(inner, tree)), numbers(seed)
    before, after = (computed(each, terminals) for each in (whole, simplified(whole, opposites=True)))
    if np.isfinite(before).all() and np.isfinite(after).all():
        assert not_turned_over(before, after)


def site_of(seed):
    """A site of four units of two features, and what two groups put into it."""
    rng = np.random.default_rng(seed)
    out = nn.Linear(8, 5, dtype=torch.float64)
    out.weight.data = torch.from_numpy(rng.normal(size=(5, 8)))
    gradient = torch.from_numpy(rng.uniform(0.01, 1, (5, 8)))
    measured = SiteStatistics(rng.normal(size=(2, 8)), rng.uniform(0.1, 2, (2, 8)), rng.normal(size=(2, 8)), gradient)
    return Site("layers.0.attn", out, 4, ()), measured


@examples
@given(trees(), st.integers(0, 3))
def test_the_mean_over_rows_is_that_of_the_whole_matrix(tree, seed):
    """However a product is taken apart: the mean of what is multiplied out says the same."""
    site, measured = site_of(seed)
    (scores,) = scores_of([site], Statistics(("a", "b"), np.array([1, 1]), {site.part: measured}))
    for _ in range(2):  # the second time from what was kept
        found = scores.of(tree)
        for group, row in enumerate(found):
            square = torch.from_numpy(measured.square[[group]])
            terminals = {"W": site.weight, "X": square, "G": measured.weight_gradient}
            whole = value(tree, terminals).expand(5, 8).mean(dim=0).numpy()
            np.testing.assert_allclose(row, whole, rtol=1e-6, atol=1e-9 * max(1, np.abs(whole).max()))


@pytest.mark.parametrize(("by_row", "count"), [(True, 324), (False, 504)])
def test_optishear_has_so_many_metrics_that_may_rank_differently(by_row, count):
    distinct = distinct_meta_metrics(by_row=by_row)
    assert len(distinct) == count
    assert len(every_meta_metric()) == 2401


def test_metrics_of_one_form_rank_units_alike():
    """Over all 2,401: what has one form has one importance, however it is written."""
    site, measured = site_of(1)
    statistics = Statistics(("a", "b"), np.array([1, 1]), {site.part: measured})
    scores, seen = scores_of([site], statistics), {}
    for expression in every_meta_metric():
        if any(node.name == "ln" for node in expression.nodes):
            continue  # goes below zero, and what is subtracted then is not in proportion
        found = metric_importance(importance_of(str(expression)), "mean", scores, statistics)[site.part]
        form: Expression = as_ranked(expression, by_row=False)
        np.testing.assert_allclose(found, seen.setdefault(form, found), rtol=1e-9)
    assert len(seen) == 6 * 5 * 4 * 3

"""Whose text counts how much in a metric: shares of domains and of their groups, and which passages are read."""

import numpy as np
import pytest
from sites import llama_sites, token_passages
from tiny import load

from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.importance import unit_importance
from evop.importance.measured import measured_ranking, ranking_tokens, refuse_shares
from evop.importance.statistics import gather
from evop.metrics.metric import Metric
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.removal.space import pattern_space
from evop.tokens.draws import DRAWS, drawn

PASSAGES = token_passages({"law/0": [30, 7], "law/1": [20], "code/0": [25]})


@pytest.fixture(scope="module")
def case(tiny_folder):
    model = load(tiny_folder("llama"))
    sites = llama_sites(model)
    return model, sites, gather(model, sites, PASSAGES, 64, gradients=False)


@pytest.mark.parametrize(
    ("shares", "left"),
    [
        ("law=0", ["code/0"]),
        ("code=0", ["law/0", "law/1"]),
        ("code/0=0,law/0=0", ["law/1"]),
        ("law=0,law/1=1,code=0", ["law/1"]),  # a group's own share goes before its domain's
    ],
)
def test_what_counts_for_nothing_is_not_there(shares, left, case):
    model, sites, statistics = case
    alone = unit_importance("wanda", "mean", sites, gather(model, sites, PASSAGES.only(left), 64, gradients=False), 0)
    shared = unit_importance(f"|W| * sqrt(X) @ {shares}", "mean", sites, statistics, 0)
    for part in alone:
        np.testing.assert_allclose(shared[part], alone[part], rtol=1e-4)


@pytest.mark.parametrize("expression", ["|W| * sqrt(X)", "W", "G"])
def test_shares_of_nobody_are_refused(expression):
    """Whether the expression reads anything of the groups or not."""
    there = "there are code, code/0, law, law/0, law/1"
    with pytest.raises(EvopError, match=rf"sea=0: no domain or group of text is called sea; {there}$"):
        refuse_shares(f"{expression} @ law=0.5,sea=0", PASSAGES)
    for metric in (f"{expression} @ law=0.5,code/0=0", "wanda", "random", "none", "influence"):
        refuse_shares(metric, PASSAGES)


def test_a_metric_by_which_no_group_counts_is_refused(case):
    _, sites, statistics = case
    with pytest.raises(EvopError, match="no group counts"):
        unit_importance("|W| * sqrt(X) @ code=0,law=0", "mean", sites, statistics, 0)


@pytest.mark.parametrize("draw", DRAWS)
def test_a_metric_reads_the_passages_that_it_names(draw, tiny_folder):
    """A ranking by ``@ drawn=...`` is that of the passages drawn; what stands in for units is the mean of all."""
    checkpoint = Checkpoint.find(tiny_folder("llama"))
    loaded = load_model(checkpoint, "cpu", "float32")
    evaluator = Evaluator.of(loaded, pattern_space(checkpoint, "channel", "any"), 32, 4)

    def ranked(passages, metric, compensate=True):
        return measured_ranking(evaluator, passages, metric=metric, over="mean", compensate=compensate, seed=0)

    found, part = ranked(PASSAGES, f"|W| * sqrt(X) @ drawn={draw}"), ranked(drawn(PASSAGES, draw), "wanda")
    whole = ranked(PASSAGES, "wanda")
    for name, values in found.importance.items():
        np.testing.assert_allclose(values, part.importance[name], rtol=1e-5)
        assert not np.allclose(values, whole.importance[name], rtol=1e-3)
        np.testing.assert_array_equal(found.fill[name], whole.fill[name])
    read = drawn(PASSAGES, draw).total
    metric = f"|W| * sqrt(X) @ drawn={draw}"
    assert [ranking_tokens(metric, compensate, PASSAGES) for compensate in (False, True)] == [
        read,
        read + PASSAGES.total,
    ]
    assert ranking_tokens("wanda", False, PASSAGES) == PASSAGES.total


def test_a_draw_is_part_of_a_metrics_line():
    line = "|W| * sqrt(X) @ law=0.5,drawn=odd"
    assert (str(Metric.parse(line)), Metric.parse(line).draw) == (line, "odd")
    assert Metric.parse("W @ drawn=0.5").by_name == {"drawn": 0.5}  # a domain of that name
    with pytest.raises(EvopError, match="metric: drawn shortest: unknown; choose one of random, longest, typical, odd"):
        Metric.parse("W @ drawn=shortest")
    with pytest.raises(EvopError, match="metric: drawn=odd and drawn=random; name one of them"):
        Metric.parse("W @ drawn=odd,code=1,drawn=random")

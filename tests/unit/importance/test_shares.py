"""Whose text counts how much in a metric: shares of domains and of their groups."""

import numpy as np
import pytest
from sites import llama_sites, token_passages
from tiny import load

from evop.errors import EvopError
from evop.importance import unit_importance
from evop.importance.statistics import gather

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


def test_shares_of_nobody_are_refused(case):
    _, sites, statistics = case
    with pytest.raises(EvopError, match="no domain or group is called sea; there are code, code/0, law, law/0, law/1"):
        unit_importance("|W| * sqrt(X) @ sea=0", "mean", sites, statistics, 0)
    with pytest.raises(EvopError, match="no group counts"):
        unit_importance("|W| * sqrt(X) @ code=0,law=0", "mean", sites, statistics, 0)

"""Tolerances: one way to write them, each group has one, and the losses of all groups are held against them."""

from dataclasses import replace

import numpy as np
import pytest

from evop.errors import EvopError
from evop.losses.bearing import Bearing, Borne
from evop.losses.means import Means
from evop.losses.worst import Measured, largest_of, worst_of
from evop.recipes.audit import AuditRecipe
from evop.recipes.search import SearchRecipe


@pytest.mark.parametrize(
    "written",
    [
        "0.10,3%,code=0.05",
        ["code=0.05", "0.1", "3%"],
        {"default": [0.10, "3%"], "code": 0.05},
        [0.1, "3%", "code=0.05"],
    ],
)
def test_tolerances_are_the_same_however_they_are_written(written):
    recipe = SearchRecipe.of(tolerate=written)
    assert recipe.tolerate == ("0.1", "3%", "code=0.05") == AuditRecipe.of(tolerate=written).tolerate
    assert SearchRecipe.of(**recipe.model_dump()) == recipe
    of = recipe.tolerances.of
    assert [of("code", "text"), of("law", "text"), of("code", "item")] == [0.05, 0.1, 0.03]
    assert recipe.tolerances.least == {"text": 0.05, "item": 0.03}


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("0", "found '0' for all domains, expected a loss above 0"),
        ("code=much", "found 'much' for code"),
        ("0.1,0.2", "two things of all domains, in nats per token"),
        ("nan", "expected a loss above 0"),
        (True, "expected a loss above 0"),
    ],
)
def test_what_is_no_tolerance_is_refused(written, says):
    with pytest.raises(EvopError, match=says):
        SearchRecipe.of(tolerate=written)


def test_with_tolerances_as_much_goes_as_can_unless_a_budget_is_named():
    assert (SearchRecipe.of().remove, SearchRecipe.of().unit) == (0.25, "none")
    alone, beside = SearchRecipe.of(tolerate="0.1"), SearchRecipe.of(tolerate="0.1", remove=0.3, objective="cvar")
    assert (alone.remove, alone.objective, alone.unit) == (None, "worst", "tolerance")
    assert (beside.remove, beside.objective, beside.unit) == (0.3, "cvar", "tolerance")
    assert SearchRecipe.of(remove=None).remove == 0.25
    with pytest.raises(EvopError, match="both say what counts as one"):
        SearchRecipe.of(tolerate="0.1", scale="random")


def test_healed_goes_with_tolerances_alone():
    asked = SearchRecipe.of(tolerate="0.1", judge="healed", heal_tokens="500k")
    assert (asked.judge, asked.heal_tokens) == ("healed", 500_000)
    for options in ({}, {"tolerate": "0.1", "remove": 0.2}, {"tolerate": "0.1", "fit_in": "4GiB"}):
        with pytest.raises(EvopError, match="search by --judge refit, then run evop heal on the answer"):
            SearchRecipe.of(judge="healed", **options)
    with pytest.raises(EvopError, match="leave --loss kl out"):
        SearchRecipe.of(tolerate="0.1", judge="healed", loss="kl")
    with pytest.raises(EvopError, match="--heal-tokens is of --judge healed"):
        SearchRecipe.of(tolerate="0.1", heal_tokens="500k")


def borne(value, tolerance, spread=0.05, documents=12, kind="text"):
    count = len(value)
    means = Means(np.array(value), np.full(count, spread), np.full(count, float(documents)))
    noise = np.random.default_rng(0).standard_normal((2000, count))
    return Borne(kind, tuple(f"{kind}{i}" for i in range(count)), means, noise, np.full(count, tolerance))


@pytest.mark.parametrize(("value", "verdict"), [(0.03, "within"), (0.09, "open"), (0.25, "beyond")])
def test_a_verdict_is_that_of_the_group_that_uses_most(value, verdict):
    bearing = Bearing.of([borne([0.01, value, 0.02], 0.1)], [1])
    assert (bearing.verdict, bearing.worst) == (verdict, 1)


def test_half_the_tolerance_is_twice_the_number():
    high = [Bearing.of([borne([0.06] * n, t)], [1]).largest.high for n, t in ((4, 0.1), (4, 0.05))]
    assert high[1] == pytest.approx(2 * high[0])


def test_text_and_questions_are_one_number():
    text, items = borne([0.05, 0.04], 0.1), borne([0.02, 0.05], 0.03, spread=0.1, documents=100, kind="item")
    both = Bearing.of([text, items], [1])
    assert both.groups[both.worst] == "item1"
    assert both.largest.high > Bearing.of([text], [1]).largest.high
    assert both.share[:2] == pytest.approx([0.5, 0.4])


def test_a_domain_is_the_largest_of_its_groups_and_no_domain_is_above_all():
    text = replace(borne([0.05, 0.02, 0.09, 0.01], 0.1), groups=("law/0", "law/1", "code/0", "code/1"))
    items = replace(borne([0.01], 0.02, spread=0.1, documents=100, kind="item"), groups=("law/2",))
    bearing = Bearing.of([text, items], [1])
    assert list(bearing.domains) == [("code", "text"), ("law", "item"), ("law", "text")]
    measured = {place: worst.measured for place, worst in bearing.domains.items()}
    assert measured == pytest.approx({("code", "text"): 0.9, ("law", "item"): 0.5, ("law", "text"): 0.5})
    assert all(worst.low < worst.value < worst.high for worst in bearing.domains.values())
    one = Bearing.of([replace(text, groups=("law/0", "law/1", "law/2", "law/3"))], [1])
    assert (one.domains["law", "text"].low, one.domains["law", "text"].high) == (one.largest.low, one.largest.high)


def test_the_interval_of_a_domain_covers_its_largest_true_loss():
    """Two groups of twelve documents in each of four domains, audited 40 times: of 160 intervals 95% would cover."""
    truth, rng, covered = np.array([0.02, 0.06, 0.05, 0.05, 0.1, 0.02, 0.03, 0.03]), np.random.default_rng(3), []
    names = tuple(f"{domain}/{i}" for domain in "abcd" for i in range(2))
    for at in range(40):
        documents = truth + 0.05 * rng.standard_normal((12, 8))
        means = Means(documents.mean(axis=0), documents.std(axis=0, ddof=1), np.full(8, 12.0))
        part = Borne("text", names, means, rng.standard_normal((200, 8)), np.full(8, 0.1))
        domains = Bearing.of([part], [at]).domains
        covered += [
            domains[domain, "text"].low <= truth[2 * i : 2 * i + 2].max() / 0.1 <= domains[domain, "text"].high
            for i, domain in enumerate("abcd")
        ]
    assert 0.90 <= np.mean(covered) <= 0.99


def test_without_tolerances_the_worst_group_is_what_it_was():
    part = borne([0.2, 0.3, 0.25], 0.1)
    (plain,) = worst_of([part.means], part.noise[:, None], [7])
    (units,) = largest_of([Measured([part.means], part.noise[:, None], np.ones(3))], [7])
    assert (plain.low, plain.value, plain.high) == (units.low, units.value, units.high)


def test_of_single_documents_nothing_is_promised():
    alone = borne([0.01], 0.1, spread=np.nan, documents=1)
    assert Bearing.of([alone], [1]).verdict == "open"

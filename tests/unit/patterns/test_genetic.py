"""EvoP's operators, each against what the paper's code does."""

import itertools

import numpy as np
import pytest
from toys import SPACES, Landscape, layer_space, run

from patterns import Budget, make_strategy
from patterns.strategies.genetic import MUTATION, cross, mutate, tournament

EVOP = Budget(layer_space(22), 0.2)


def generations(strategy, land):
    """Every generation asked, until the search has finished."""
    asked = []
    while patterns := strategy.ask():
        asked.append(patterns)
        strategy.tell({pattern: land.value(pattern) for pattern in patterns})
    return asked


@pytest.fixture(scope="module")
def evop():
    land = Landscape(EVOP.space)
    return generations(make_strategy("genetic", EVOP, 31), land), land


def test_a_hundred_generations_of_fifty(evop):
    asked, _ = evop
    assert [len(patterns) for patterns in asked] == [50] * 100


def test_the_first_generation_is_uniform_over_subsets():
    gone = np.zeros(22)
    for seed in range(40):
        gone += np.sum([p.levels for p in make_strategy("genetic", EVOP, seed).ask()], axis=0)
    share = gone / (40 * 50)
    assert np.abs(share - 5 / 22).max() < 4 * np.sqrt(5 / 22 * 17 / 22 / 2000)


def test_it_converges_to_clones_as_the_paper_s_does(evop):
    """5,000 patterns asked, a few hundred distinct, the best of all not kept."""
    asked, land = evop
    distinct = {pattern for patterns in asked for pattern in patterns}
    assert 150 < len(distinct) < 600
    assert len(set(asked[-1])) < 10
    best = [min(map(land.value, patterns)) for patterns in asked]
    assert any(after > before for before, after in itertools.pairwise(best))


def test_tournaments_of_three():
    """The best of n wins a share of 1 - (1 - 1/n)^3; the smallest value is best; rows are drawn with replacement."""
    rng, scores = np.random.default_rng(0), np.array([3.0, 1.0, 2.0, np.inf])
    won = np.bincount(np.concatenate([tournament(scores, rng) for _ in range(5000)]), minlength=4) / 20_000
    worse = np.array([2, 0, 1, 3])
    expected = ((4 - worse) ** 3 - (3 - worse) ** 3) / 64
    assert won == pytest.approx(expected, abs=0.015)


def test_crossover_exchanges_one_run_of_genes_between_rows_that_lie_half_a_population_apart():
    rng = np.random.default_rng(0)
    parents = np.concatenate([np.zeros((25, 12), int), np.ones((25, 12), int)])
    exchanged = np.zeros(12)
    for _ in range(200):
        children = cross(parents, rng)
        assert ((children[:25] + children[25:]) == 1).all()
        assert (np.abs(np.diff(children[:25], axis=1, prepend=0, append=0)).sum(axis=1) <= 2).all()
        exchanged += children[:25].sum(axis=0)
    assert exchanged[-1] == 0
    assert (exchanged[:-1] > 0).all()
    # Gene i lies between two cuts out of 12, exclusive end.
    i = np.arange(12)
    assert exchanged / 5000 == pytest.approx(2 * (i + 1) * (11 - i) / 144, abs=0.03)
    assert (parents == np.concatenate([np.zeros((25, 12), int), np.ones((25, 12), int)])).all()


def test_mutation_draws_another_level_once_in_a_thousand():
    rng, tops = np.random.default_rng(0), np.array([1, 1, 4, 16])
    genes = rng.integers(0, tops + 1, (200_000, 4))
    mutated = mutate(genes, tops, rng)
    changed = mutated != genes
    assert changed.mean(axis=0) == pytest.approx(np.full(4, MUTATION), abs=0.0003)
    assert ((mutated >= 0) & (mutated <= tops)).all()
    assert len(set(mutated[changed[:, 2], 2])) == 5


@pytest.mark.parametrize("space", ["layer any", "mixed any"])
@pytest.mark.parametrize("elitism", [1, 3])
def test_elites_go_over_unchanged(space, elitism):
    budget = SPACES[space]
    land, strategy = Landscape(budget.space), make_strategy("genetic", budget, 0, elitism=elitism)
    before: list = []
    for patterns in generations(strategy, land)[:30]:
        assert set(before) <= set(patterns)
        assert len(patterns) == 50
        before = sorted(set(patterns), key=land.value)[:elitism]


def test_patience_ends_a_search_that_no_longer_gets_better(tmp_path):
    land = Landscape(EVOP.space)
    asked = generations(make_strategy("genetic", EVOP, 31, patience=5), land)
    best = [min(map(land.value, patterns)) for patterns in asked]
    assert len(asked) < 100
    assert min(best[:-5]) == min(best)
    assert min(best[:-6], default=np.inf) > min(best[:-5])
    *_, reason, _ = run(tmp_path, "genetic", EVOP, evaluations=10_000, patience=5)
    assert reason == "strategy finished"


def test_with_elitism_no_generation_is_worse_than_the_one_before():
    """EvoP's own loses its best, as ``test_it_converges_to_clones_as_the_paper_s_does`` shows."""
    land = Landscape(EVOP.space)
    asked = generations(make_strategy("genetic", EVOP, 31, elitism=1), land)
    best = [min(map(land.value, patterns)) for patterns in asked]
    assert best == sorted(best, reverse=True)
    assert best[-1] < best[0]

"""Folds: every domain in two halves, and what a pattern loses on one with the units that the other ranks."""

from dataclasses import replace

import numpy as np
import pytest
from sites import token_passages

from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.fitness.folds import FOLDS, CrossFit, halves
from evop.fitness.sample import Sample
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.removal.ranking import Ranking
from evop.removal.space import pattern_space
from patterns import Budget

CLUSTERS = {f"{domain}/{cluster}": [9, 12, 7] for domain in ("law", "code") for cluster in range(4)}
SAMPLE = token_passages(CLUSTERS)


def of_domain(passages, domain):
    return passages.only([group for group in passages.tokens_by_group if group.startswith(f"{domain}/")])


@pytest.mark.parametrize("seed", range(5))
def test_clusters_of_every_domain_are_parted_in_two_of_about_as_many_tokens(seed):
    folds = halves(SAMPLE, seed)
    assert (set(folds.groups), folds.documents) == (set(CLUSTERS), {})
    for domain in ("law", "code"):
        part = of_domain(SAMPLE, domain)
        tokens = [int(part.scored[folds.numbers(part) == fold].sum()) for fold in FOLDS]
        assert tokens[0] == tokens[1] == part.total / 2


def test_a_seed_is_a_seed_and_another_parts_another_way():
    assert halves(SAMPLE, 3) == halves(SAMPLE, 3)
    assert len({tuple(halves(SAMPLE, seed).groups.values()) for seed in range(8)}) > 1


def test_a_domain_of_one_cluster_is_parted_by_documents():
    sample = token_passages({**CLUSTERS, "math/0": [9] * 6})
    folds = halves(sample, 0)
    assert (set(folds.groups), set(folds.documents)) == (set(CLUSTERS), {"math"})
    assert np.bincount(folds.numbers(of_domain(sample, "math"))).tolist() == [3, 3]


def test_no_document_ranks_units_for_itself():
    """A document in both halves ranks for neither; where that leaves too little, documents are parted."""
    few = replace(SAMPLE, documents=("both", "both", *SAMPLE.documents[2:]))
    many = replace(SAMPLE, documents=tuple(str(i % 3) for i in range(len(SAMPLE.ids))))
    for sample in (few, many):
        folds = halves(sample, 0)
        numbers = folds.numbers(sample)
        for fold in FOLDS:
            ranking = set(folds.ranking_passages(sample, fold).documents)
            judged = {sample.documents[i] for i in np.flatnonzero(numbers != fold)}
            assert ranking
            assert ranking.isdisjoint(judged)
    assert set(halves(many, 0).documents) == {"law", "code"}


def test_one_document_cannot_be_parted():
    with pytest.raises(EvopError, match="--fitness-on held-out: the search sample is one document"):
        halves(token_passages({"law/0": [9]}), 0)


def test_each_half_is_judged_by_the_units_that_the_other_ranks(tiny_folder):
    loaded = load_model(Checkpoint.find(tiny_folder("llama")), "cpu", "float32")
    space = pattern_space(loaded.checkpoint, "mixed", width_step=8)
    rankings = [Ranking.random(space, seed) for seed in range(3)]
    evaluators = [Evaluator(loaded, space, ranking, max_tokens=16, batch_size=4) for ranking in rankings]
    folds = halves(SAMPLE, 0)
    sample = replace(Sample.whole(evaluators[2], SAMPLE), cross=CrossFit(folds, (rankings[0], rankings[1])))
    drawn = [Budget(space, 0.3).draw(np.random.default_rng(seed)) for seed in range(2)]
    numbers = folds.numbers(SAMPLE)
    alone = [evaluator.losses(drawn, SAMPLE) for evaluator in evaluators]
    for at, pattern in enumerate(drawn):
        means = sample.losses(pattern, sample.full)
        losses = np.where(numbers == 0, alone[1][at].loss, alone[0][at].loss)
        expected = replace(alone[0][at], loss=losses).by_group
        assert means == pytest.approx(expected, rel=1e-5)
        for other in alone:
            assert means != pytest.approx(other[at].by_group, rel=1e-3)

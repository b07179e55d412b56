"""Samplers: which passages of a domain's search pool are searched."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from calibration.passage import Passage

Pools = Mapping[int, Sequence[Passage]]
Sampler = Callable[[Pools, int, np.random.Generator], list[Passage]]


def water_fill(sizes: Sequence[int], total: int) -> list[int]:
    """Share ``total`` equally; who has less gives all, and the rest is shared out among the others.

    Args:
        sizes: what each can give.
        total: how much is wanted.

    Returns:
        How much each gives: at most its size, together ``min(total, sum(sizes))``; two that give less than their
        size differ by at most one.

    Example:
        >>> water_fill([2, 10, 10], 13)
        [2, 5, 6]
    """
    quota = [0] * len(sizes)
    rest = min(total, sum(sizes))
    by_size = sorted(range(len(sizes)), key=lambda i: sizes[i])
    for taken, i in enumerate(by_size):
        quota[i] = min(sizes[i], rest // (len(sizes) - taken))
        rest -= quota[i]
    return quota


def ccds(pools: Pools, n: int, rng: np.random.Generator) -> list[Passage]:
    """Cluster-based calibration data sampling: an equal share of each cluster, random within a cluster.

    Args:
        pools: the search pool of one domain, by cluster.
        n: passages wanted.
        rng: draws the order within each cluster and which clusters give one more.

    Source: EvoP (Wu et al. 2025), section on CCDS; with a strict quota for each cluster, which its released code
        computes and does not use.
    """
    clusters = [sorted(pools)[i] for i in rng.permutation(len(pools))]
    quota = water_fill([len(pools[c]) for c in clusters], n)
    share = dict(zip(clusters, quota, strict=True))
    return [p for c in sorted(pools) for p in _shuffled(pools[c], rng)[: share[c]]]


def uniform(pools: Pools, n: int, rng: np.random.Generator) -> list[Passage]:
    """A uniform draw from the whole pool of a domain, clusters unheeded; the rival CCDS is measured against."""
    return _shuffled([p for c in sorted(pools) for p in pools[c]], rng)[:n]


SAMPLERS: dict[str, Sampler] = {"ccds": ccds, "random": uniform}


def _shuffled(passages: Sequence[Passage], rng: np.random.Generator) -> list[Passage]:
    return [passages[i] for i in rng.permutation(len(passages))]

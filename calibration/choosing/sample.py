"""Samplers: which passages of a domain's search pool are searched."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from calibration.passage import Passage

Pools = Mapping[int, Sequence[Passage]]
Sampler = Callable[[Pools, int, np.random.Generator], list[Passage]]
Share = Callable[[Sequence[int], int], list[int]]


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


def largest_remainders(sizes: Sequence[int], total: int) -> list[int]:
    """Share ``total`` in proportion to the sizes; what is left over goes to the largest remainders, first come first.

    Args:
        sizes: what each can give.
        total: how much is wanted.

    Returns:
        How much each gives: its exact share rounded down or up, at most its size, together
        ``min(total, sum(sizes))``.

    Example:
        >>> largest_remainders([1, 10, 9], 10)
        [1, 5, 4]
    """
    pool = sum(sizes)
    wanted = min(total, pool)
    shares = [divmod(wanted * size, max(pool, 1)) for size in sizes]
    quota = [down for down, _ in shares]
    by_remainder = sorted(range(len(sizes)), key=lambda i: -shares[i][1])
    for i in by_remainder[: wanted - sum(quota)]:
        quota[i] += 1
    return quota


def ccds(pools: Pools, n: int, rng: np.random.Generator) -> list[Passage]:
    """Draw an equal share of each cluster, at random within it: cluster-based calibration data sampling.

    Args:
        pools: the search pool of one domain, by cluster.
        n: passages wanted.
        rng: draws the order within each cluster and which clusters give one more.

    Source: EvoP (Wu et al. 2025), section on CCDS; with a strict quota for each cluster, which its released code
        computes and does not use.
    """
    return _by_quota(water_fill, pools, n, rng)


def proportional(pools: Pools, n: int, rng: np.random.Generator) -> list[Passage]:
    """Draw of each cluster in proportion to its share of the pool, at random within it.

    The uniform draw without its luck: what ``random`` gives each cluster on average. A cluster whose share is
    less than one passage may give none.

    Args:
        pools: the search pool of one domain, by cluster.
        n: passages wanted.
        rng: draws the order within each cluster and which of equal remainders come first.
    """
    return _by_quota(largest_remainders, pools, n, rng)


def uniform(pools: Pools, n: int, rng: np.random.Generator) -> list[Passage]:
    """Draw uniformly from the whole pool of a domain, clusters unheeded; a rival CCDS is measured against."""
    return _shuffled([p for c in sorted(pools) for p in pools[c]], rng)[:n]


def evop_released(pools: Pools, n: int, rng: np.random.Generator) -> list[Passage]:
    """Draw as EvoP's released code does in place of the quota it computes; a rival CCDS is measured against.

    The released code's: the order inside each cluster is shuffled; then, until there is enough, one cluster is
    chosen uniformly at random and gives the item of number ``i``, where ``i`` is one counter that all clusters
    share and each item taken moves on; a cluster chosen when it has no item of that number is dropped, whatever
    it never gave. The quota is never used. So clusters may be absent, and a draw ends, however much is wanted,
    with as many items as the largest cluster has.

    Different here: an item is a passage of this domain's search pool, not a chunk of 60 sentences of the whole
    corpus; n counts passages, while there chunks are joined until they pass 2,048 tokens, truncated to 2,048, and
    counted as such sequences; each domain is drawn by itself, with its own counter; embedder and number of
    clusters are the recipe's, not BERT and 5; one generator draws everything, not two global ones; and the order
    of the draw is not kept, since the set has its own.

    Args:
        pools: the search pool of one domain, by cluster.
        n: passages wanted.
        rng: draws the order within each cluster, then a cluster at a time.

    Returns:
        ``min(n, size of the largest cluster)`` passages.

    Source: ``sample_data_from_clusters`` in ``src/utils/data_utils.py`` of github.com/luffy06/EvoP at eefc6bd,
        the branch that does not return clusters apart.
    """
    shuffled = {c: _shuffled(pools[c], rng) for c in sorted(pools)}
    clusters = sorted(pools)
    chosen: list[Passage] = []
    while len(chosen) < n and clusters:
        cluster = clusters[int(rng.integers(len(clusters)))]
        if len(chosen) < len(shuffled[cluster]):  # what was chosen so far is the shared counter
            chosen.append(shuffled[cluster][len(chosen)])
        else:
            clusters.remove(cluster)
    return chosen


SAMPLERS: dict[str, Sampler] = {
    "ccds": ccds,
    "proportional": proportional,
    "random": uniform,
    "evop": evop_released,
}


def _by_quota(share: Share, pools: Pools, n: int, rng: np.random.Generator) -> list[Passage]:
    """Draw of each cluster as many as ``share`` gives it; the clusters come to ``share`` in random order."""
    clusters = [sorted(pools)[i] for i in rng.permutation(len(pools))]
    quota = dict(zip(clusters, share([len(pools[c]) for c in clusters], n), strict=True))
    return [p for c in sorted(pools) for p in _shuffled(pools[c], rng)[: quota[c]]]


def _shuffled(passages: Sequence[Passage], rng: np.random.Generator) -> list[Passage]:
    return [passages[i] for i in rng.permutation(len(passages))]

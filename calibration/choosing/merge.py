"""Clusters too small to judge are merged into their nearest until every group can be judged."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.choosing.split import SHARES, Split, refuse_empty_splits, split_passages
from calibration.clustering.cluster import Clustering, merged
from calibration.clustering.names import names_of
from calibration.manifest import MergeEntry
from calibration.passage import Passage, rows_by_domain
from calibration.recipe import FEWEST_DOCUMENTS, Recipe


@dataclass(frozen=True)
class Settled:
    """Clusters and splits that belong together.

    Attributes:
        passages: clustered and split passages, "search" being the whole pool and "" no split.
        uncapped: the same passages, split with no group capped.
        clusterings: clusters of each domain, by its name.
        names: names of a domain's clusters, by the domain's name.
        split: what was held out, given up and capped.
        merges: the clusters of a domain that were merged into another, in that order, by the domain's name.
    """

    passages: tuple[Passage, ...]
    uncapped: tuple[Passage, ...]
    clusterings: Mapping[str, Clustering]
    names: Mapping[str, Sequence[str]]
    split: Split
    merges: Mapping[str, Sequence[MergeEntry]]


def settle(
    passages: Sequence[Passage], vectors: np.ndarray, clusterings: Mapping[str, Clustering], recipe: Recipe
) -> Settled:
    """Split the clustered passages, merging clusters until each has enough in every split.

    A group that is not held out needs ``min_group_tokens`` estimated tokens in the search pool, in ``select`` and
    in ``audit``, a held-out one in ``unseen``; a group of items ``min_group_items`` items. Each needs three documents.
    While a domain has groups that lack some, its smallest such group is merged into the nearest cluster, and
    everything is split again.

    Args:
        passages: all passages, in the order of ``vectors``.
        vectors: float32 ``[n, dim]``.
        clusterings: clusters of each domain, by its name.
        recipe: holds caps, hold-out, seed, and the tokens and items that a group needs.

    Raises:
        CalibrationError: a domain whose documents do not fill the three splits.
    """
    rows = rows_by_domain(passages)
    texts = {name: [passages[i].plain for i in rows[name]] for name in clusterings}
    clusterings = dict(clusterings)
    merges: dict[str, list[MergeEntry]] = {name: [] for name in clusterings}
    while True:
        placed = _clustered(passages, clusterings, rows)
        split = split_passages(placed, hold_out=recipe.hold_out, split_seed=recipe.split_seed, caps=recipe.caps)
        weak = _weakest(placed, split, clusterings, recipe)
        if not weak:
            break
        for name, cluster in weak.items():
            entry = _merge_entry(texts[name], clusterings[name], cluster)
            merges[name].append(entry)
            clusterings[name] = merged(vectors[rows[name]], clusterings[name], cluster, entry.into)
    refuse_empty_splits(placed, split)
    capped, uncapped = (
        tuple(p.placed(split=s) for p, s in zip(placed, where, strict=True)) for where in (split.splits, split.uncapped)
    )
    names = {name: names_of(clustering, texts[name]) for name, clustering in clusterings.items()}
    return Settled(capped, uncapped, clusterings, names, split, merges)


def _clustered(
    passages: Sequence[Passage], clusterings: Mapping[str, Clustering], rows: Mapping[str, Sequence[int]]
) -> list[Passage]:
    """Place the passages in their clusters."""
    result = list(passages)
    for name, clustering in clusterings.items():
        for i, label in zip(rows[name], clustering.labels, strict=True):
            result[i] = result[i].placed(cluster=int(label))
    return result


def _weakest(
    passages: Sequence[Passage], split: Split, clusterings: Mapping[str, Clustering], recipe: Recipe
) -> dict[str, int]:
    """Find each domain's smallest cluster that lacks tokens, items or documents; none in a domain of one cluster."""
    amounts: Counter[tuple[str, int, str]] = Counter()  # tokens of text, or items
    sizes: Counter[tuple[str, int]] = Counter()
    documents = Counter((name, cluster) for name, cluster, _ in {(p.domain, p.cluster, p.document) for p in passages})
    for p, where in zip(passages, split.splits, strict=True):
        amounts[p.domain, p.cluster, where] += p.tokens if p.kind == "text" else 1
        sizes[p.domain, p.cluster] += 1
    items = {p.domain for p in passages if p.kind == "item"}
    weak = {}
    for name, clustering in clusterings.items():
        needed = recipe.min_group_items if name in items else recipe.min_group_tokens
        lacking = []
        for cluster in range(clustering.k):
            places = ("unseen",) if cluster in split.held_out[name] else tuple(SHARES)
            short = any(amounts[name, cluster, where] < needed for where in places)
            if short or documents[name, cluster] < FEWEST_DOCUMENTS:
                lacking.append(cluster)
        if lacking and clustering.k > 1:
            weak[name] = min(lacking, key=lambda c: (sizes[name, c], c))
    return weak


def _merge_entry(texts: Sequence[str], clustering: Clustering, cluster: int) -> MergeEntry:
    """Write the manifest's entry of merging a cluster into its nearest."""
    names = names_of(clustering, texts)
    into = clustering.nearest(cluster)
    return MergeEntry(
        cluster=cluster,
        name=names[cluster],
        passages=int((clustering.labels == cluster).sum()),
        into=into,
        into_name=names[into],
    )

"""Clusters too small to judge are joined to their nearest until every group can be judged."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.choosing.split import SHARES, Split, split_passages
from calibration.clustering.cluster import Clustering, merged
from calibration.clustering.names import names_of
from calibration.errors import CalibrationError
from calibration.manifest import MergeEntry
from calibration.passage import Passage
from calibration.recipe import FEWEST_DOCUMENTS, Recipe


@dataclass(frozen=True)
class Settled:
    """Clusters and splits that belong together.

    Attributes:
        passages: clustered; ``split`` set, "search" being the whole pool and "" nowhere.
        uncapped: the same, with no group capped.
        clusterings: by domain.
        split: the counts of the split.
        merges: by domain, in the order they were made.
    """

    passages: tuple[Passage, ...]
    uncapped: tuple[Passage, ...]
    clusterings: dict[str, Clustering]
    split: Split
    merges: dict[str, list[MergeEntry]]


def settle(
    passages: Sequence[Passage], vectors: np.ndarray, clusterings: dict[str, Clustering], recipe: Recipe
) -> Settled:
    """Split the clustered passages, joining clusters until each has enough in every split.

    A group that is not held out needs ``min_group_tokens`` estimated tokens in the search pool, in ``select`` and
    in ``audit``, a held-out one in ``unseen``; a group of items ``min_group_items`` items. Each needs three documents.
    While a domain has groups that lack some, its smallest such group is joined to the nearest cluster, and everything
    is split again.

    Args:
        passages: all passages, in the order of ``vectors``.
        vectors: float32 ``[n, dim]``.
        clusterings: by domain.
        recipe: caps, hold-out, seed, tokens and items needed.

    Raises:
        CalibrationError: a domain whose documents do not fill the three splits.
    """
    rows = {name: np.flatnonzero([p.domain == name for p in passages]) for name in clusterings}
    clusterings = dict(clusterings)
    merges: dict[str, list[MergeEntry]] = {name: [] for name in clusterings}
    while True:
        placed = _clustered(passages, clusterings, rows)
        split = split_passages(placed, hold_out=recipe.hold_out, split_seed=recipe.split_seed, caps=recipe.caps)
        weak = _weakest(placed, split, clusterings, recipe)
        if not weak:
            break
        for name, cluster in weak.items():
            texts = [passages[int(i)].plain for i in rows[name]]
            entry = _merge_entry(texts, clusterings[name], cluster)
            merges[name].append(entry)
            clusterings[name] = merged(vectors[rows[name]], clusterings[name], cluster, entry.into)
    _check_filled(placed, split)
    final, uncapped = (
        tuple(p.placed(split=s) for p, s in zip(placed, where, strict=True)) for where in (split.splits, split.places)
    )
    return Settled(final, uncapped, clusterings, split, merges)


def _clustered(
    passages: Sequence[Passage], clusterings: dict[str, Clustering], rows: dict[str, np.ndarray]
) -> list[Passage]:
    """The passages with their clusters."""
    result = list(passages)
    for name, clustering in clusterings.items():
        for i, label in zip(rows[name], clustering.labels, strict=True):
            result[i] = result[i].placed(cluster=int(label))
    return result


def _weakest(
    passages: Sequence[Passage], split: Split, clusterings: dict[str, Clustering], recipe: Recipe
) -> dict[str, int]:
    """By domain, its smallest cluster that lacks tokens or items somewhere; none for a domain of one cluster."""
    found: Counter[tuple[str, int, str]] = Counter()
    sizes: Counter[tuple[str, int]] = Counter()
    documents = {(p.domain, p.cluster, p.document) for p in passages}
    spread = Counter((name, cluster) for name, cluster, _ in documents)
    for p, where in zip(passages, split.splits, strict=True):
        found[p.domain, p.cluster, where] += p.tokens if p.kind == "text" else 1
        sizes[p.domain, p.cluster] += 1
    items = {p.domain for p in passages if p.kind == "item"}
    weak = {}
    for name, clustering in clusterings.items():
        needed = recipe.min_group_items if name in items else recipe.min_group_tokens
        lacking = []
        for cluster in range(clustering.k):
            places = ("unseen",) if cluster in split.held_out[name] else tuple(SHARES)
            short = any(found[name, cluster, where] < needed for where in places)
            if short or spread[name, cluster] < FEWEST_DOCUMENTS:
                lacking.append(cluster)
        if lacking and clustering.k > 1:
            weak[name] = min(lacking, key=lambda c: (sizes[name, c], c))
    return weak


def _merge_entry(texts: Sequence[str], clustering: Clustering, cluster: int) -> MergeEntry:
    """What the manifest says about joining a cluster to its nearest."""
    names = names_of(clustering, texts)
    into = clustering.nearest(cluster)
    return MergeEntry(
        cluster=cluster,
        name=names[cluster],
        passages=int((clustering.labels == cluster).sum()),
        into=into,
        into_name=names[into],
    )


def _check_filled(passages: Sequence[Passage], split: Split) -> None:
    """Raise if a domain has no passage in one of the three splits."""
    filled: dict[str, set[str]] = {p.domain: set() for p in passages}
    documents: dict[str, set[str]] = {p.domain: set() for p in passages}
    for p, where in zip(passages, split.splits, strict=True):
        filled[p.domain].add(where)
        documents[p.domain].add(p.document)
    for name, found in filled.items():
        missing = [where for where in SHARES if where not in found]
        if missing:
            raise CalibrationError(
                f"domain {name}: its {len(documents[name])} documents leave {' and '.join(missing)} empty, expected "
                f"documents of its own in each; give it more documents, or a group_by with more values"
            )

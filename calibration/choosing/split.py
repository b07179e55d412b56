"""Which passages may be searched and which are kept apart; decided before, and without, the sampler.

A document never lies in two splits. Whole clusters are held out as ``unseen``; a document that reaches into one
gives its other passages up. The other documents are shared out to the search pool, ``select`` and ``audit`` so
that each cluster is present in all three. Every choice depends on ``split_seed`` and the name of what is chosen, so
neither the sampler nor another domain changes it.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.errors import CalibrationError
from calibration.passage import Passage, rows_by_domain
from calibration.recipe import FEWEST_DOCUMENTS
from calibration.seeded import digest, generator

SHARES = {"search": 0.50, "select": 0.15, "audit": 0.35}
"""Share of each split in the passages of documents that are not held out."""
MOST_GIVEN_UP = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Share of a domain's other passages that holding clusters out may cost, at most; tried in turn."""


@dataclass(frozen=True)
class Split:
    """Where every passage lies.

    Attributes:
        splits: split of each passage, in the order of the passages; "search" is the whole pool a sampler chooses
            from, "" is no split.
        uncapped: split of each passage with no group capped.
        held_out: numbers of the clusters kept ``unseen``, by domain.
        given_up: passages dropped because their document reaches into a held-out cluster, by domain.
        over_cap: passages left out by the caps per group, by domain.
    """

    splits: tuple[str, ...]
    uncapped: tuple[str, ...]
    held_out: dict[str, tuple[int, ...]]
    given_up: dict[str, int]
    over_cap: dict[str, int]


def split_passages(
    passages: Sequence[Passage], *, hold_out: float, split_seed: int, caps: Mapping[str, Mapping[str, int]]
) -> Split:
    """Share all passages out to the splits.

    Args:
        passages: clustered passages of all domains.
        hold_out: fraction of each domain's clusters kept ``unseen``.
        split_seed: decides which clusters, documents and passages go where.
        caps: passages of a group at most, by kind and split; the search pool has none.
    """
    held_out = {
        domain: choose_held_out([passages[i] for i in rows], hold_out, generator("hold out", split_seed, domain))
        for domain, rows in rows_by_domain(passages).items()
    }
    touching = {p.document for p in passages if p.cluster in held_out[p.domain]}
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for p in passages:
        if p.document not in touching:
            counts[p.document][p.group] += 1
    place = share_out(counts, SHARES, split_seed)
    splits = []
    for p in passages:
        unseen = "unseen" if p.cluster in held_out[p.domain] else ""
        splits.append(unseen if p.document in touching else place[p.document])
    given_up = Counter(p.domain for p, s in zip(passages, splits, strict=True) if not s)
    capped = _capped(passages, splits, caps, split_seed)
    over_cap = Counter(p.domain for p, s, c in zip(passages, splits, capped, strict=True) if s and not c)
    return Split(tuple(capped), tuple(splits), held_out, dict(given_up), dict(over_cap))


def held_out_count(clusters: int, hold_out: float) -> int:
    """Count the clusters to hold out: the fraction, at least one, always leaving two; none of fewer than three.

    Example:
        >>> [held_out_count(k, 0.2) for k in (2, 3, 5, 8)]
        [0, 1, 1, 2]
    """
    if hold_out == 0 or clusters < 3:
        return 0
    return min(clusters - 2, max(1, round(hold_out * clusters)))


def choose_held_out(passages: Sequence[Passage], hold_out: float, rng: np.random.Generator) -> tuple[int, ...]:
    """Choose clusters of one domain to hold out: at random among those that cost the others at most half.

    What holding out costs is the passages that documents reaching into the held-out clusters give up. Where every
    cluster costs more than half, 60% may be given up, and so on up to 90%. A cluster is also passed over if another
    would be left with fewer than three documents.

    Args:
        passages: the passages of one domain.
        hold_out: fraction of its clusters.
        rng: draws the order in which clusters are tried.

    Returns:
        Cluster numbers, ascending; fewer than asked for, or none, where no choice is left.
    """
    clusters = sorted({p.cluster for p in passages})
    reach: defaultdict[int, set[str]] = defaultdict(set)
    for p in passages:
        reach[p.cluster].add(p.document)
    chosen: set[int] = set()
    wanted = held_out_count(len(clusters), hold_out)
    order = [clusters[i] for i in rng.permutation(len(clusters))]
    for most in MOST_GIVEN_UP:
        for cluster in order:
            if len(chosen) < wanted and _affordable(passages, reach, chosen | {cluster}, most):
                chosen.add(cluster)
        if chosen:
            break
    return tuple(sorted(chosen))


def share_out(documents: Mapping[str, Mapping[str, int]], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Give each document to one split, so that every group is shared out in the same proportions.

    Iterative stratification: the group with the fewest documents left is shared out first; each of its documents,
    in seeded order, goes where the group still lacks most, measured against the split's share, so that the first
    three documents of a group go to three different splits.

    Args:
        documents: passages per group, by document.
        shares: wanted share of each split.
        seed: decides the order of documents, and ties.

    Returns:
        The split of each document.

    Source: Sechidis, Tsoumakas, Vlahavas 2011, "On the stratification of multi-label data".
    """
    left: defaultdict[str, set[str]] = defaultdict(set)
    lack: defaultdict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(shares, 0.0))
    for document, groups in documents.items():
        for group, count in groups.items():
            left[group].add(document)
            for split in shares:
                lack[group][split] += count * shares[split]
    place: dict[str, str] = {}
    while left:
        group = min(left, key=lambda g: (len(left[g]), g))
        for document in sorted(left.pop(group), key=lambda d: digest("order", seed, d)):
            split = max(shares, key=lambda s: (lack[group][s] / shares[s], digest("tie", seed, document, s)))
            place[document] = split
            for other, count in documents[document].items():
                lack[other][split] -= count
                if other in left:
                    left[other].discard(document)
                    if not left[other]:
                        del left[other]
    return place


def refuse_empty_splits(passages: Sequence[Passage], split: Split) -> None:
    """Check that every domain has a passage in the search pool, in ``select`` and in ``audit``.

    Raises:
        CalibrationError: a domain has none in some of them.
    """
    filled: dict[str, set[str]] = {p.domain: set() for p in passages}
    documents: dict[str, set[str]] = {p.domain: set() for p in passages}
    for p, where in zip(passages, split.splits, strict=True):
        filled[p.domain].add(where)
        documents[p.domain].add(p.document)
    for name, splits in filled.items():
        missing = [where for where in SHARES if where not in splits]
        if missing:
            raise CalibrationError(
                f"domain {name}: its {len(documents[name])} documents leave {' and '.join(missing)} empty, expected "
                f"documents of its own in each; give it more documents, or a group_by with more values"
            )


def _affordable(passages: Sequence[Passage], reach: Mapping[int, set[str]], held_out: set[int], most: float) -> bool:
    """Check that holding clusters out costs a share of the others at most, and leaves each of them documents."""
    touching = set().union(*(reach[c] for c in held_out))
    others = [p for p in passages if p.cluster not in held_out]
    given_up = sum(p.document in touching for p in others)
    enough = all(len(docs - touching) >= FEWEST_DOCUMENTS for c, docs in reach.items() if c not in held_out)
    return enough and given_up <= most * len(others)


def _capped(
    passages: Sequence[Passage], splits: Sequence[str], caps: Mapping[str, Mapping[str, int]], seed: int
) -> list[str]:
    """Take the passages of a group beyond its cap out of their split; which ones stay depends on the seed."""
    result = [""] * len(passages)
    for i in under_caps(passages, splits, caps, seed):
        result[i] = splits[i]
    return result


def under_caps(
    passages: Sequence[Passage], splits: Sequence[str], caps: Mapping[str, Mapping[str, int]], seed: int
) -> list[int]:
    """Choose by seed the passages that their group's cap leaves in their split; indices, ascending."""
    members: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for i, (p, split) in enumerate(zip(passages, splits, strict=True)):
        members[p.group, split].append(i)
    kept: list[int] = []
    for (_, split), places in members.items():
        most = caps[passages[places[0]].kind].get(split)
        kept += places if most is None else sorted(places, key=lambda i: digest("cap", seed, passages[i].id))[:most]
    return sorted(kept)

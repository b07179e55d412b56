"""The manifest, written once from what every stage of a build returned."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from platform import machine, python_version

from calibration.choosing.continuations import ContinuedDomain
from calibration.choosing.merge import Settled
from calibration.manifest import DomainEntry, GroupEntry, Manifest
from calibration.notes import notes_of
from calibration.passage import SPLITS, Passage, group_key
from calibration.reading.read import DomainReading, Reading
from calibration.recipe import Recipe


@dataclass(frozen=True)
class Stages:
    """What every stage of one build returned.

    Attributes:
        recipe: recipe of the set.
        reading: the passages that were read, and what was dropped.
        settled: the same passages in clusters and splits.
        continued: the domains of items made of the text of others.
        chosen: the passages of the set, in order.
        embedder: name of the embedder that was taken.
        embedder_notes: what the embedder has to say of its vectors.
    """

    recipe: Recipe
    reading: Reading
    settled: Settled
    continued: tuple[ContinuedDomain, ...]
    chosen: tuple[Passage, ...]
    embedder: str
    embedder_notes: Sequence[str]

    @cached_property
    def bases(self) -> dict[str, str]:
        """Domain -> the domain whose clusters it has: itself, or the one whose text it is made of; in order."""
        return {name: name for name in self.reading.domains} | {domain.name: domain.base for domain in self.continued}

    @property
    def pools(self) -> Counter[str]:
        """Group key -> passages in the search pool, of which the sampler chose."""
        placed = (*self.settled.passages, *(item for domain in self.continued for item in domain.items))
        return Counter(p.group for p in placed if p.split == "search")


def manifest_of(stages: Stages) -> Manifest:
    """Write everything a set says about itself, but for the checksums of its files."""
    groups = _group_entries(stages)
    by_domain = {name: [group for group in groups if group.domain == name] for name in stages.bases}
    read = stages.reading.domains
    domains = [_read_entry(domain, stages.settled, by_domain[domain.name]) for domain in read.values()]
    domains += [
        _continued_entry(domain, read[domain.base], stages.settled, by_domain[domain.name])
        for domain in stages.continued
    ]
    first = next(iter(stages.settled.clusterings.values()))
    return Manifest(
        recipe=stages.recipe,
        machine={
            "python": python_version(),
            "processor": machine(),
            "threads": os.environ.get("OMP_NUM_THREADS", str(os.cpu_count())),
        },
        versions={name: version(name) for name in ("datasets", "numpy", "pyarrow", "scikit-learn", "stopwordsiso")},
        embedder=stages.embedder,
        embedding_dim=first.centroids.shape[1],
        domains=domains,
        groups=groups,
        notes=[*notes_of(stages.recipe, domains, groups), *stages.embedder_notes],
        files={},
    )


def _read_entry(domain: DomainReading, settled: Settled, groups: Sequence[GroupEntry]) -> DomainEntry:
    """Write the entry of a domain that was read."""
    clustering, merges = settled.clusterings[domain.name], settled.merges[domain.name]
    splits = _by_split(groups)
    return DomainEntry(
        name=domain.name,
        kind=domain.kind,
        sources=list(domain.sources),
        documents=domain.documents,
        passages=domain.passages,
        empty_rows=domain.empty_rows,
        short_documents=domain.short_documents,
        near_duplicates=domain.near_duplicates,
        joined_documents=domain.joined_documents,
        largest_joined=domain.largest_joined,
        boilerplate=domain.boilerplate,
        prompted=domain.prompted,
        given_up=settled.split.given_up.get(domain.name, 0),
        over_cap=settled.split.over_cap.get(domain.name, 0),
        not_sampled=sum(group.pool for group in groups) - splits["search"],
        clusters=len(groups),
        clusters_before_merging=len(groups) + len(merges),
        clusters_chosen_by=clustering.chosen_by,
        silhouette=dict(clustering.silhouette),
        stability=dict(clustering.stability),
        merges=list(merges),
        held_out=list(settled.split.held_out[domain.name]),
        splits=splits,
    )


def _continued_entry(
    domain: ContinuedDomain, base: DomainReading, settled: Settled, groups: Sequence[GroupEntry]
) -> DomainEntry:
    """Write the entry of a domain of items made of the text of another, whose clusters it has."""
    splits = _by_split(groups)
    return DomainEntry(
        name=domain.name,
        kind="continuation",
        made_of=base.name,
        sources=list(base.sources),
        documents=domain.documents,
        passages=domain.made,
        over_cap=domain.made - len(domain.items),
        not_sampled=sum(group.pool for group in groups) - splits["search"],
        clusters=len(groups),
        clusters_before_merging=len(groups) + len(settled.merges[base.name]),
        clusters_chosen_by=f"those of {base.name}",
        held_out=list(settled.split.held_out[base.name]),
        splits=splits,
    )


def _by_split(groups: Sequence[GroupEntry]) -> dict[str, int]:
    """Add up the passages of a domain's groups, by split."""
    return {split: sum(group.passages[split] for group in groups) for split in SPLITS}


def _group_entries(stages: Stages) -> list[GroupEntry]:
    """Write the entries of all groups, domain by domain, clusters from the largest."""
    passages = Counter((p.group, p.split) for p in stages.chosen)
    tokens: Counter[tuple[str, str]] = Counter()
    for p in stages.chosen:
        tokens[p.group, p.split] += p.tokens
    pools, entries = stages.pools, []
    for domain, base in stages.bases.items():
        text = domain in stages.reading.domains and stages.reading.domains[domain].kind == "text"
        for cluster, name in enumerate(stages.settled.names[base]):
            key = group_key(domain, cluster)
            entries.append(
                GroupEntry(
                    domain=domain,
                    cluster=cluster,
                    name=name,
                    unseen=cluster in stages.settled.split.held_out[base],
                    kind="text" if text else "item",
                    pool=pools[key],
                    passages={split: passages[key, split] for split in SPLITS},
                    tokens={split: tokens[key, split] for split in SPLITS},
                )
            )
    return entries

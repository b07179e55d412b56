"""Recipe in, calibration set out: the whole pipeline on one screen."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from calibration.calibration_set import CalibrationSet
from calibration.choosing.continuations import ContinuedDomain, continued_domains
from calibration.choosing.merge import Settled, settle
from calibration.choosing.order import balanced_order
from calibration.choosing.sample import SAMPLERS
from calibration.choosing.split import SHARES
from calibration.choosing.train import searched_documents, training_passages
from calibration.clustering.cluster import Clustering, cluster_domain, given_clusters
from calibration.clustering.embed import embedder
from calibration.clustering.positions import map_positions
from calibration.entries import Stages, manifest_of
from calibration.errors import CalibrationError
from calibration.passage import SPLITS, Passage, rows_by_domain
from calibration.reading.read import Reading, read_passages
from calibration.recipe import Recipe
from calibration.seeded import generator

KEPT_APART = ("select", "audit", "unseen")
"""Splits of which the sample takes nothing."""


def build_calibration_set(recipe: Recipe, *, report: Callable[[str], None] | None = None) -> CalibrationSet:
    """Build a calibration set: read, embed, cluster, split first, sample second.

    Args:
        recipe: what to build.
        report: gets a line of text as each step ends.

    Raises:
        CalibrationError: one line on what in the recipe or its sources cannot be used.

    Example:
        >>> from calibration import DomainSource, Recipe
        >>> recipe = Recipe(domains=[DomainSource(name="law", source="statutes.jsonl")])
        >>> build_calibration_set(recipe).save("sets/law")  # doctest: +SKIP
    """
    say = report or (lambda line: None)
    if recipe.sampler not in SAMPLERS:
        raise CalibrationError(f"sampler {recipe.sampler!r}: expected one of {', '.join(SAMPLERS)}")
    embed = embedder(recipe.embedder, recipe.split_seed)
    reading = read_passages(recipe, say)
    say(f"embedding {len(reading.passages)} passages ({embed.name})")
    vectors = embed.embed(reading.passages)
    clusterings = _clustered(reading, vectors, recipe)
    for name, clustering in clusterings.items():
        say(f"{name}: {clustering.k} clusters ({clustering.chosen_by})")
    settled = settle(reading.passages, vectors, clusterings, recipe)
    continued = continued_domains(recipe, settled.uncapped, reading.domains, say)
    chosen = _chosen(settled, continued, list(reading.domains), recipe)
    say(f"split and sampled: {_counted(chosen)}")
    stages = Stages(recipe, reading, settled, continued, chosen, embed.name, embed.notes(reading.passages))
    manifest = manifest_of(stages)
    for note in manifest.notes:
        say(f"note: {note}")
    centroids = np.concatenate([settled.clusterings[base].centroids for base in stages.bases.values()])
    return CalibrationSet.of(manifest, chosen, centroids, _positions(stages, vectors))


def _clustered(reading: Reading, vectors: np.ndarray, recipe: Recipe) -> Mapping[str, Clustering]:
    """Cluster each domain: as its task gives the clusters, else by k-means."""
    clusterings = {}
    for name, rows in rows_by_domain(reading.passages).items():
        brought = [reading.clusters.get(reading.passages[i].id) for i in rows]
        if all(cluster is not None for cluster in brought):
            clusterings[name] = given_clusters(vectors[rows], [str(cluster) for cluster in brought])
        else:
            most = _most_clusters([reading.passages[i] for i in rows], recipe)
            clusterings[name] = cluster_domain(name, vectors[rows], recipe.clusters, recipe.split_seed, most)
    return clusterings


def _most_clusters(passages: Sequence[Passage], recipe: Recipe) -> int:
    """Count the groups that the search sample of a domain has text, or items, for: twice what a group must have."""
    pool = SHARES["search"] * len(passages)
    if passages[0].kind == "item":
        return int(min(recipe.items, pool) // (2 * recipe.min_group_items))
    tokens = sum(p.tokens for p in passages) / len(passages)
    return int(min(recipe.passages, pool) * tokens // (2 * recipe.min_group_tokens))


def _chosen(
    settled: Settled, continued: Sequence[ContinuedDomain], read: Sequence[str], recipe: Recipe
) -> tuple[Passage, ...]:
    """Choose the passages of the set, in order: those searched, all that is kept apart, those to learn from."""
    placed = [*settled.passages, *(item for domain in continued for item in domain.items)]
    domains = [*read, *(domain.name for domain in continued)]
    sampled = _sampled(placed, domains, recipe)
    ordered = balanced_order(sampled, domains, recipe.seed)
    for split in KEPT_APART:
        ordered += balanced_order([p for p in placed if p.split == split], domains, recipe.split_seed)
    searched = searched_documents(sampled, placed, continued)
    train = training_passages(placed, searched, recipe.train_tokens, recipe.seed)
    return (*ordered, *balanced_order(train, domains, recipe.seed))


def _sampled(placed: Sequence[Passage], domains: Sequence[str], recipe: Recipe) -> list[Passage]:
    """Choose of each search pool by the sampler."""
    chosen: list[Passage] = []
    for name in domains:
        pool: defaultdict[int, list[Passage]] = defaultdict(list)
        for p in placed:
            if p.domain == name and p.split == "search":
                pool[p.cluster].append(p)
        of_items = any(p.kind == "item" for members in pool.values() for p in members)
        rng = generator("sample", recipe.seed, name)
        chosen += SAMPLERS[recipe.sampler](dict(pool), recipe.items if of_items else recipe.passages, rng)
    return chosen


def _positions(stages: Stages, vectors: np.ndarray) -> np.ndarray:
    """Lay each passage of the set on the map of its domain, an item made of text where its passage lies.

    Returns:
        float32 ``[passages of the set, 2]``.
    """
    passages = stages.reading.passages
    plane = np.zeros((len(vectors), 2), dtype=np.float32)
    for rows in rows_by_domain(passages).values():
        plane[rows] = map_positions(vectors[rows])
    row = {p.id: i for i, p in enumerate(passages)}
    sources = {item: passages[0] for domain in stages.continued for item, passages in domain.sources.items()}
    return plane[[row[sources.get(p.id, p.id)] for p in stages.chosen]]


def _counted(passages: Sequence[Passage]) -> str:
    """Count passages by split, in words."""
    counts = Counter(p.split for p in passages)
    return ", ".join(f"{counts[split]} {split}" for split in SPLITS if split != "train" or counts[split])

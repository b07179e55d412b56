"""Recipe in, calibration set out: the whole pipeline on one screen."""

from collections import Counter
from collections.abc import Callable
from importlib.metadata import version

import numpy as np

from calibration.calibration_set import CalibrationSet
from calibration.cluster import cluster_domain
from calibration.embed import embedder
from calibration.errors import CalibrationError
from calibration.manifest import GroupEntry, Manifest
from calibration.merge import Settled, settle
from calibration.names import cluster_names
from calibration.notes import notes_of
from calibration.order import balanced_order
from calibration.passage import SPLITS, Passage
from calibration.picture import map_positions
from calibration.read import Reading, read_passages
from calibration.recipe import Recipe
from calibration.sample import SAMPLERS
from calibration.seeded import generator


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
    say(f"embedding {len(reading.passages)} passages ({recipe.embedder})")
    vectors = embed.embed(reading.passages)
    rows = {name: np.flatnonzero([p.domain == name for p in reading.passages]) for name in reading.domains}
    clusterings = {
        name: cluster_domain(name, vectors[mine], recipe.clusters, recipe.split_seed) for name, mine in rows.items()
    }
    for name, clustering in clusterings.items():
        say(f"{name}: {clustering.k} clusters ({clustering.chosen_by})")
    settled = settle(reading.passages, vectors, clusterings, recipe)
    chosen = _sample(recipe, settled)
    say(f"split and sampled: {_counted(chosen)}")

    names = {
        name: cluster_names([reading.passages[i].plain for i in mine], settled.clusterings[name].labels)
        for name, mine in rows.items()
    }
    manifest = _manifest(recipe, reading, settled, chosen, names, vectors.shape[1])
    manifest.notes += embed.notes(reading.passages)
    for note in manifest.notes:
        say(f"note: {note}")
    plane = np.zeros((len(vectors), 2), dtype=np.float32)
    for mine in rows.values():
        plane[mine] = map_positions(vectors[mine])
    place = {p.id: i for i, p in enumerate(reading.passages)}
    centroids = np.concatenate([settled.clusterings[name].centroids for name in rows])
    return CalibrationSet.of(manifest, chosen, centroids, plane[[place[p.id] for p in chosen]])


def _sample(recipe: Recipe, settled: Settled) -> tuple[Passage, ...]:
    """The passages of the set: of each search pool what the sampler chooses, of the other splits all; in order."""
    chosen: list[Passage] = []
    for name, clustering in settled.clusterings.items():
        pool: dict[int, list[Passage]] = {c: [] for c in range(clustering.k)}
        for p in settled.passages:
            if p.domain == name and p.split == "search":
                pool[p.cluster].append(p)
        rng = generator("sample", recipe.seed, name)
        chosen += SAMPLERS[recipe.sampler]({c: some for c, some in pool.items() if some}, recipe.passages, rng)
    ordered = balanced_order(chosen, recipe.domain_names, recipe.seed)
    for split in SPLITS[1:]:
        members = [p for p in settled.passages if p.split == split]
        ordered += balanced_order(members, recipe.domain_names, recipe.split_seed)
    return tuple(ordered)


def _manifest(
    recipe: Recipe,
    reading: Reading,
    settled: Settled,
    chosen: tuple[Passage, ...],
    names: dict[str, list[str]],
    dim: int,
) -> Manifest:
    """Everything the set says about itself, but for the checksums."""
    pools = Counter(p.group for p in settled.passages if p.split == "search")
    n = Counter((p.group, p.split) for p in chosen)
    tokens: Counter[tuple[str, str]] = Counter()
    for p in chosen:
        tokens[p.group, p.split] += p.tokens
    groups = [
        GroupEntry(
            domain=name,
            cluster=cluster,
            name=label,
            unseen=cluster in settled.split.held_out[name],
            pool=pools[f"{name}/{cluster}"],
            passages={split: n[f"{name}/{cluster}", split] for split in SPLITS},
            tokens={split: tokens[f"{name}/{cluster}", split] for split in SPLITS},
        )
        for name in reading.domains
        for cluster, label in enumerate(names[name])
    ]
    for name, entry in reading.domains.items():
        mine = [group for group in groups if group.domain == name]
        entry.clusters = len(mine)
        entry.clusters_before_merging = len(mine) + len(settled.merges[name])
        entry.clusters_chosen_by = settled.clusterings[name].chosen_by
        entry.silhouette = settled.clusterings[name].silhouette
        entry.merges = settled.merges[name]
        entry.held_out = list(settled.split.held_out[name])
        entry.given_up = settled.split.given_up.get(name, 0)
        entry.over_cap = settled.split.over_cap.get(name, 0)
        entry.splits = {split: sum(group.passages[split] for group in mine) for split in SPLITS}
        entry.not_sampled = sum(group.pool for group in mine) - entry.splits["search"]
    domains = list(reading.domains.values())
    return Manifest(
        recipe=recipe,
        versions={name: version(name) for name in ("datasets", "numpy", "scikit-learn")},
        embedding_dim=dim,
        domains=domains,
        groups=groups,
        notes=notes_of(recipe, domains, groups),
        files={},
    )


def _counted(passages: tuple[Passage, ...]) -> str:
    counts = Counter(p.split for p in passages)
    return ", ".join(f"{counts[split]} {split}" for split in SPLITS)

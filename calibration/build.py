"""Recipe in, calibration set out: the whole pipeline on one screen."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from importlib.metadata import version

import numpy as np

from calibration.calibration_set import CalibrationSet
from calibration.choosing.continuations import continuations, continued_domain
from calibration.choosing.merge import Settled, settle
from calibration.choosing.order import balanced_order
from calibration.choosing.sample import SAMPLERS
from calibration.choosing.split import under_caps
from calibration.clustering.cluster import Clustering, cluster_domain, given_clusters
from calibration.clustering.embed import embedder
from calibration.clustering.names import names_of
from calibration.clustering.positions import map_positions
from calibration.errors import CalibrationError
from calibration.manifest import DomainEntry, GroupEntry, Manifest
from calibration.notes import notes_of
from calibration.passage import SPLITS, Passage
from calibration.reading.read import Reading, read_passages
from calibration.recipe import Recipe
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
    clusterings = {name: _clustered(name, reading, vectors, mine, recipe) for name, mine in rows.items()}
    for name, clustering in clusterings.items():
        say(f"{name}: {clustering.k} clusters ({clustering.chosen_by})")
    settled = settle(reading.passages, vectors, clusterings, recipe)
    placed, sources = _with_continuations(recipe, reading, settled, say)
    chosen = _sample(recipe, placed, list(reading.domains))
    say(f"split and sampled: {_counted(chosen)}")

    names = {
        name: names_of(settled.clusterings[name], [reading.passages[i].plain for i in mine])
        for name, mine in rows.items()
    }
    manifest = _manifest(recipe, reading, settled, placed, chosen, names, vectors.shape[1])
    manifest.notes += embed.notes(reading.passages)
    for note in manifest.notes:
        say(f"note: {note}")
    plane = np.zeros((len(vectors), 2), dtype=np.float32)
    for mine in rows.values():
        plane[mine] = map_positions(vectors[mine])
    place = {p.id: i for i, p in enumerate(reading.passages)}
    centroids = np.concatenate(
        [settled.clusterings[entry.made_of or name].centroids for name, entry in reading.domains.items()]
    )
    return CalibrationSet.of(manifest, chosen, centroids, plane[[place[sources.get(p.id, p.id)] for p in chosen]])


def _clustered(name: str, reading: Reading, vectors: np.ndarray, mine: np.ndarray, recipe: Recipe) -> Clustering:
    """The clusters that a task came with, else k-means."""
    given = [reading.clusters.get(reading.passages[i].id) for i in mine]
    if all(cluster is not None for cluster in given):
        return given_clusters(vectors[mine], [str(cluster) for cluster in given])
    return cluster_domain(name, vectors[mine], recipe.clusters, recipe.split_seed)


def _with_continuations(
    recipe: Recipe, reading: Reading, settled: Settled, say: Callable[[str], None]
) -> tuple[tuple[Passage, ...], dict[str, str]]:
    """All placed passages, the items made of text among them, and the passage that each of these came from.

    Their domains are added to the reading's.
    """
    items: list[Passage] = []
    sources: dict[str, str] = {}
    for base in recipe.continued:
        domain = continued_domain(base)
        if domain in reading.domains:
            raise CalibrationError(f"continuations of {base}: there is a domain {domain} already; rename it")
        pairs = continuations([p for p in settled.uncapped if p.domain == base], recipe.split_seed)
        mine = [item for item, _ in pairs]
        kept = under_caps(mine, [item.split for item in mine], recipe.caps, recipe.split_seed)
        if not kept and "all" in recipe.continuations:
            say(f"{base}: no continuations can be made of it")
            continue
        if not kept:
            raise CalibrationError(
                f"continuations of {base}: no passage can be cut between two words into a beginning and an ending with "
                f"three like it in its cluster and split; chats and scripts without spaces cannot, other text can be "
                f"longer: more of it, or longer --passage-chars"
            )
        items += [mine[i] for i in kept]
        sources |= {item.id: passage.id for item, passage in pairs}
        reading.domains[domain] = DomainEntry(
            name=domain,
            kind="continuation",
            made_of=base,
            sources=reading.domains[base].sources,
            documents=len({item.document for item in mine}),
            passages=len(mine),
            over_cap=len(mine) - len(kept),
        )
    return (*settled.passages, *items), sources


def _sample(recipe: Recipe, placed: Sequence[Passage], domains: list[str]) -> tuple[Passage, ...]:
    """The passages of the set: of each search pool what the sampler chooses, of the other splits all; in order."""
    chosen: list[Passage] = []
    for name in domains:
        pool: defaultdict[int, list[Passage]] = defaultdict(list)
        for p in placed:
            if p.domain == name and p.split == "search":
                pool[p.cluster].append(p)
        items = any(p.kind == "item" for some in pool.values() for p in some)
        rng = generator("sample", recipe.seed, name)
        chosen += SAMPLERS[recipe.sampler](dict(pool), recipe.items if items else recipe.passages, rng)
    ordered = balanced_order(chosen, domains, recipe.seed)
    for split in SPLITS[1:]:
        members = [p for p in placed if p.split == split]
        ordered += balanced_order(members, domains, recipe.split_seed)
    return tuple(ordered)


def _manifest(
    recipe: Recipe,
    reading: Reading,
    settled: Settled,
    placed: tuple[Passage, ...],
    chosen: tuple[Passage, ...],
    names: dict[str, list[str]],
    dim: int,
) -> Manifest:
    """Everything the set says about itself, but for the checksums."""
    groups = _groups(reading, settled, placed, chosen, names)
    for name, entry in reading.domains.items():
        mine, base = [group for group in groups if group.domain == name], entry.made_of or name
        entry.clusters = len(mine)
        entry.clusters_before_merging = len(mine) + len(settled.merges[base])
        entry.held_out = list(settled.split.held_out[base])
        entry.splits = {split: sum(group.passages[split] for group in mine) for split in SPLITS}
        entry.not_sampled = sum(group.pool for group in mine) - entry.splits["search"]
        if entry.made_of:
            entry.clusters_chosen_by = f"those of {base}"
            continue
        entry.clusters_chosen_by = settled.clusterings[name].chosen_by
        entry.silhouette = settled.clusterings[name].silhouette
        entry.merges = settled.merges[name]
        entry.given_up = settled.split.given_up.get(name, 0)
        entry.over_cap = settled.split.over_cap.get(name, 0)
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


def _groups(
    reading: Reading,
    settled: Settled,
    placed: tuple[Passage, ...],
    chosen: tuple[Passage, ...],
    names: dict[str, list[str]],
) -> list[GroupEntry]:
    """What the manifest says of every group, domain by domain."""
    pools = Counter(p.group for p in placed if p.split == "search")
    n = Counter((p.group, p.split) for p in chosen)
    tokens: Counter[tuple[str, str]] = Counter()
    for p in chosen:
        tokens[p.group, p.split] += p.tokens
    return [
        GroupEntry(
            domain=name,
            cluster=cluster,
            name=label,
            unseen=cluster in settled.split.held_out[entry.made_of or name],
            kind="text" if entry.kind == "text" else "item",
            pool=pools[f"{name}/{cluster}"],
            passages={split: n[f"{name}/{cluster}", split] for split in SPLITS},
            tokens={split: tokens[f"{name}/{cluster}", split] for split in SPLITS},
        )
        for name, entry in reading.domains.items()
        for cluster, label in enumerate(names[entry.made_of or name])
    ]


def _counted(passages: tuple[Passage, ...]) -> str:
    counts = Counter(p.split for p in passages)
    return ", ".join(f"{counts[split]} {split}" for split in SPLITS)

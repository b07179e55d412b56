"""What a calibration set says about itself: the recipe, the counts, the groups, the checksums."""

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from calibration.checksum import with_checksum
from calibration.passage import GroupKind, group_key
from calibration.recipe import Recipe

SCHEMA: Literal["evop.calibration_set/5"] = "evop.calibration_set/5"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceEntry(_Entry):
    """One source as it was read.

    Attributes:
        source: the specification that the person typed.
        sha256: checksum (hex) of a local file; None for a hub dataset.
        revision: commit of a hub dataset; None for a local file, and for a cached copy whose commit is not known.
        column: name of the column read; of a task, what its columns are read as, and of one of lm_eval, which
            documents were read.
        group_by: name of the column that named the documents; None where each row is a document.
        rows: number of rows read.
        cut_short: whether ``limit`` was reached before the end of the source.
    """

    source: str
    sha256: str | None
    revision: str | None
    column: str
    group_by: str | None
    rows: int
    cut_short: bool


class MergeEntry(_Entry):
    """A cluster too small to judge, and the one it was merged into (numbers and names from before).

    Attributes:
        cluster: number of the small cluster.
        name: name of the small cluster.
        passages: number of passages in the small cluster.
        into: number of the cluster it was merged into.
        into_name: name of the cluster it was merged into.
    """

    cluster: int
    name: str
    passages: int
    into: int
    into_name: str


class DomainEntry(_Entry):
    """One domain: what was read, dropped, clustered and split. All counts are of passages unless they say otherwise.

    Attributes:
        name: name of the domain.
        kind: ``text``; ``task``; ``continuation`` for a task made of another domain's text.
        made_of: name of the domain whose text a continuation is made of; None for others.
        sources: entries of the sources the domain was read from; of a continuation, those of its text.
        documents: number of documents with at least one passage left; those joined to one count once.
        passages: passages left after dropping near-duplicates; the clusters are made of these.
        empty_rows: number of rows without text.
        short_documents: number of documents under five words, which were dropped.
        near_duplicates: passages dropped because an earlier passage or document of any domain says nearly the same.
        joined_documents: number of documents that are one with another document, because they share text.
        largest_joined: passages of the largest document made of several; 0 without one.
        boilerplate: passages of which at least a fifth is text that more than a tenth of a domain's documents hold.
        prompted: items whose query begins with instructions or examples; they are asked, not compared nor embedded.
        given_up: passages dropped because their document reaches into a held-out cluster.
        over_cap: passages left out of ``select``, ``audit`` and ``unseen`` by the caps per group.
        not_sampled: passages of the search pool that the sampler did not choose; those in ``train`` are among them.
        clusters: number of clusters after merging.
        clusters_before_merging: number of clusters before any were merged.
        clusters_chosen_by: how the number of clusters was chosen.
        silhouette: cosine silhouette by number of clusters, where that number was chosen automatically.
        stability: agreement of halves (adjusted Rand index), likewise.
        merges: entries of the clusters merged into another, in the order they were merged.
        held_out: numbers of the clusters kept ``unseen``.
        splits: passages stored, by split.
    """

    name: str
    kind: Literal["text", "task", "continuation"] = "text"
    made_of: str | None = None
    sources: list[SourceEntry] = Field(default_factory=list)
    documents: int = 0
    passages: int = 0
    empty_rows: int = 0
    short_documents: int = 0
    near_duplicates: int = 0
    joined_documents: int = 0
    largest_joined: int = 0
    boilerplate: int = 0
    prompted: int = 0
    given_up: int = 0
    over_cap: int = 0
    not_sampled: int = 0
    clusters: int = 0
    clusters_before_merging: int = 0
    clusters_chosen_by: str = ""
    silhouette: dict[int, float] = Field(default_factory=dict)
    stability: dict[int, float] = Field(default_factory=dict)
    merges: list[MergeEntry] = Field(default_factory=list)
    held_out: list[int] = Field(default_factory=list)
    splits: dict[str, int] = Field(default_factory=dict)


class GroupEntry(_Entry):
    """One group.

    Attributes:
        domain: name of the group's domain.
        cluster: number of the cluster in the domain.
        name: most telling terms of the cluster.
        unseen: whether the cluster is held out of the search.
        kind: ``text``, or ``item`` for questions with choices.
        pool: number of passages in the search pool, of which the sampler chose.
        passages: number of passages stored, by split.
        tokens: estimated tokens of the passages stored, by split.
    """

    domain: str
    cluster: int
    name: str
    unseen: bool
    kind: GroupKind
    pool: int
    passages: dict[str, int]
    tokens: dict[str, int]

    @property
    def key(self) -> str:
        """Key of the group, such as ``law/3``."""
        return group_key(self.domain, self.cluster)


class Manifest(_Entry):
    """``manifest.json``. Same recipe, same data, same versions and same machine give the same bytes.

    Attributes:
        schema_: name and version of the schema, written as ``schema``.
        recipe: recipe that the set was built from.
        versions: versions of the libraries the set depends on, by name.
        machine: the Python, the processor and the number of its cores that the set was built on; no part of the
            fingerprint.
        embedder: name of the embedder that made the vectors; where the recipe says ``auto``, the one that was taken.
        embedding_dim: length of a passage's vector.
        domains: one entry per domain, in order.
        groups: one entry per group, in the order of the centroids.
        notes: sentences on everything a user must know.
        files: SHA-256 (hex) of the other files of the set, by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)

    schema_: Literal["evop.calibration_set/5"] = Field(default=SCHEMA, alias="schema")
    recipe: Recipe
    versions: dict[str, str]
    machine: dict[str, str] = Field(default_factory=dict)
    embedder: str
    embedding_dim: int
    domains: list[DomainEntry]
    groups: list[GroupEntry]
    notes: list[str]
    files: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """Convert the manifest to plain JSON values, ``schema`` first."""
        return self.model_dump(mode="json", by_alias=True)

    def file_bytes(self) -> bytes:
        """Encode the content of ``manifest.json``: indented JSON, UTF-8, its checksum last."""
        return (json.dumps(with_checksum(self.as_json()), indent=2, ensure_ascii=False) + "\n").encode()

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the canonical form: keys sorted, no spaces, ASCII.

        Where a local file lay is left out, its own checksum stands for it: a moved project keeps its sets.
        """
        content = self.as_json()
        for domain in content["domains"]:
            for part in (part for part in domain["sources"] if part["sha256"]):
                part.pop("source")
        content["recipe"].pop("domains")
        content.pop("machine")
        for task in content["recipe"]["tasks"]:
            task.pop("source")
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

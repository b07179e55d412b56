"""What a calibration set says about itself: the recipe, the counts, the groups, the checksums."""

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from calibration.recipe import Recipe

SCHEMA: Literal["evop.calibration_set/2"] = "evop.calibration_set/2"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SourceEntry(_Entry):
    """One source as it was read.

    Attributes:
        source: what the person typed.
        sha256: of a local file, hex; None for a hub dataset.
        revision: commit of a hub dataset; None for a local file, and for a cached copy of which none is known.
        column: column read; of a task, what its columns are read as; of one of lm_eval, which documents were read.
        group_by: column that named the documents; None for a document a row.
        rows: rows read.
        cut_short: True if ``limit`` was reached before its end.
    """

    source: str
    sha256: str | None
    revision: str | None
    column: str
    group_by: str | None
    rows: int
    cut_short: bool


class MergeEntry(_Entry):
    """A cluster too small to judge, and the one it was joined to (numbers and names before merging)."""

    cluster: int
    name: str
    passages: int
    into: int
    into_name: str


class DomainEntry(_Entry):
    """One domain: what was read, dropped, clustered and split. All counts are passages unless they say otherwise.

    Attributes:
        name: the domain's name.
        kind: ``text``; ``task``; ``continuation`` for a task made of another domain's text.
        made_of: the domain whose text a continuation is made of.
        sources: where it came from; of a continuation, what its text came from.
        documents: documents with at least one passage left.
        passages: passages left after dropping near-duplicates; the clusters are made of these.
        empty_rows: rows without text.
        short_documents: documents under five words, dropped.
        near_duplicates: dropped because an earlier passage of any domain says nearly the same.
        given_up: dropped because their document reaches into a held-out cluster.
        over_cap: left out of ``select``, ``audit`` and ``unseen`` by the caps a group.
        not_sampled: in the search pool, not chosen by the sampler.
        clusters: clusters after merging.
        clusters_before_merging: clusters k-means made.
        clusters_chosen_by: how their number was chosen.
        silhouette: cosine silhouette by number of clusters, where that was chosen automatically.
        merges: clusters joined to another.
        held_out: numbers of the clusters kept ``unseen``.
        splits: passages stored a split.
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
    given_up: int = 0
    over_cap: int = 0
    not_sampled: int = 0
    clusters: int = 0
    clusters_before_merging: int = 0
    clusters_chosen_by: str = ""
    silhouette: dict[int, float] = Field(default_factory=dict)
    merges: list[MergeEntry] = Field(default_factory=list)
    held_out: list[int] = Field(default_factory=list)
    splits: dict[str, int] = Field(default_factory=dict)

    def reading_line(self) -> str:
        """One line on what was read."""
        dropped = [
            f"{count} {what}"
            for count, what in (
                (self.empty_rows, "empty rows"),
                (self.short_documents, "documents under five words"),
                (self.near_duplicates, "near-duplicate passages"),
            )
            if count
        ]
        what = "passages" if self.kind == "text" else "items"
        line = f"{self.name}: {self.passages} {what} of {self.documents} documents"
        return line + (f"; dropped {', '.join(dropped)}" if dropped else "")


class GroupEntry(_Entry):
    """One group: its name, passages in the pool, and passages and estimated tokens in each split."""

    domain: str
    cluster: int
    name: str
    unseen: bool
    kind: Literal["text", "item"]
    pool: int
    passages: dict[str, int]
    tokens: dict[str, int]


class Manifest(_Entry):
    """``manifest.json``. Same recipe, same data and same versions give the same bytes.

    Attributes:
        schema_: written as ``schema``.
        recipe: the recipe as it was asked for.
        versions: of the libraries the result depends on.
        embedding_dim: length of a vector.
        domains: one entry a domain, in order.
        groups: one entry a group, in the order of the centroids.
        notes: everything a user must know.
        files: SHA-256 (hex) of the other files of the set, by name.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True, serialize_by_alias=True)

    schema_: Literal["evop.calibration_set/2"] = Field(default=SCHEMA, alias="schema")
    recipe: Recipe
    versions: dict[str, str]
    embedding_dim: int
    domains: list[DomainEntry]
    groups: list[GroupEntry]
    notes: list[str]
    files: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """The manifest as plain JSON values, ``schema`` first."""
        return self.model_dump(mode="json", by_alias=True)

    def file_bytes(self) -> bytes:
        """What ``manifest.json`` holds: indented, UTF-8."""
        return (json.dumps(self.as_json(), indent=2, ensure_ascii=False) + "\n").encode()

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
        for task in content["recipe"]["tasks"]:
            task.pop("source")
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

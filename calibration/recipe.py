"""The recipe of a calibration set: what a person asks for when one is built."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

SEED_LIMIT = 2**32 - 1
"""The largest seed that scikit-learn takes."""
FEWEST_DOCUMENTS = 3
"""Documents that a domain needs: search, select and audit take one each."""


class DomainSource(BaseModel):
    """One domain and where its text comes from; a name given twice joins two sources in one domain.

    Attributes:
        name: name of the domain: letters, digits, ``_``, ``-`` and ``.``.
        source: a local file ``path[:column]`` or a hub dataset ``repo/name:config:split:column``.
        group_by: name of the column that names the document of a row, for this domain alone; "" makes each row a
            document; None follows ``Recipe.group_by``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    source: str = Field(min_length=1)
    group_by: str | None = None


class TaskSource(BaseModel):
    """One task: questions with choices, of a file, a hub dataset or lm_eval.

    Attributes:
        name: name of the task's domain; with a column of domains, the first part of their names.
        source: a local file, a hub dataset ``repo/name:config:split``, or ``lm_eval:task`` and ``lm_eval:task:folder``.
        columns: names of the columns of ``query``, ``choices`` (or several columns, joined by ``+``), ``gold``,
            ``document``, ``domain`` and ``cluster``, where they have others; the last three may be missing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    source: str = Field(min_length=1)
    columns: dict[Literal["query", "choices", "gold", "document", "domain", "cluster"], str] = Field(
        default_factory=dict
    )


class Recipe(BaseModel):
    """Everything a calibration set depends on, besides the text itself.

    Attributes:
        domains: domains of text and their sources.
        tasks: tasks and their sources; there is a domain or a task at least.
        continuations: names of the domains of whose text tasks are made, which ask which of four endings is a passage's
            own; ``all`` for all.
        clusters: number of clusters per domain, or "auto": the best cosine silhouette of 3 to 8.
        passages: search passages per domain.
        items: search items per domain of questions.
        hold_out: fraction of each domain's clusters kept ``unseen``: at least one, always leaving two; 0 for none.
        group_by: name of the column that names the document of a row; None makes each row a document.
        embedder: ``lexical``, a sentence-transformers model by name or path, or ``precomputed:FILE.parquet``.
        sampler: how search passages are chosen from the search pool: ``ccds``, ``proportional``, ``random`` or
            ``evop``.
        seed: seed of the search sample.
        split_seed: seed of clustering and splits; ``select``, ``audit`` and ``unseen`` depend on no other.
        passage_chars: wanted length of a passage, in characters.
        limit: passages read per domain at most, from the front of its sources; items per cluster, of a task that
            brings its own clusters.
        min_group_tokens: estimated tokens a cluster must have in the search pool, ``select`` and ``audit``.
        select_passages: passages of a group in ``select``, at most.
        audit_passages: passages of a group in ``audit`` and in ``unseen``, at most.
        min_group_items: items a cluster of a task must have in the search pool, ``select`` and ``audit``.
        select_items: items of a group in ``select``, at most.
        audit_items: items of a group in ``audit`` and in ``unseen``, at most.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    domains: list[DomainSource] = Field(default_factory=list)
    tasks: list[TaskSource] = Field(default_factory=list)
    continuations: list[str] = Field(default_factory=list)
    clusters: int | Literal["auto"] = "auto"
    passages: int = Field(default=64, ge=1)
    items: int = Field(default=128, ge=1)
    hold_out: float = Field(default=0.2, ge=0, lt=1)
    group_by: str | None = None
    embedder: str = Field(default="lexical", min_length=1)
    sampler: str = "ccds"
    seed: int = Field(default=0, ge=0, le=SEED_LIMIT)
    split_seed: int = Field(default=0, ge=0, le=SEED_LIMIT)
    passage_chars: int = Field(default=1000, ge=50)
    limit: int = Field(default=10000, ge=1)
    min_group_tokens: int = Field(default=512, ge=1)
    select_passages: int = Field(default=8, ge=1)
    audit_passages: int = Field(default=24, ge=1)
    min_group_items: int = Field(default=8, ge=1)
    select_items: int = Field(default=16, ge=1)
    audit_items: int = Field(default=100, ge=1)

    @field_validator("clusters")
    @classmethod
    def _at_least_one_cluster(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError("expected 'auto' or at least 1")
        return value

    @model_validator(mode="after")
    def _something_to_read(self) -> Self:
        if not self.domains and not self.tasks:
            raise ValueError("expected at least one domain or task")
        item_counts = {"select_items": self.select_items, "audit_items": self.audit_items, "items": self.items}
        for name, count in item_counts.items():
            if count < self.min_group_items and (self.tasks or self.continuations):
                raise ValueError(
                    f"{name} {count} is less than min_group_items {self.min_group_items}, which a group needs"
                )
        for name in self.continuations:
            if name != "all" and name not in self.domain_names:
                raise ValueError(f"continuations of {name!r}: there is no such domain of text")
        return self

    @property
    def domain_names(self) -> list[str]:
        """The names of the domains of text, each once, in the order given."""
        return list(dict.fromkeys(domain.name for domain in self.domains))

    @property
    def continued(self) -> list[str]:
        """Names of the domains of whose text tasks are made."""
        return self.domain_names if "all" in self.continuations else list(dict.fromkeys(self.continuations))

    @property
    def caps(self) -> dict[str, dict[str, int]]:
        """Passages per group at most, by kind and split; the search pool has no such limit."""
        most = {"text": (self.select_passages, self.audit_passages), "item": (self.select_items, self.audit_items)}
        return {kind: {"select": few, "audit": many, "unseen": many} for kind, (few, many) in most.items()}

    def group_by_of(self, domain: DomainSource) -> str | None:
        """Name the column that names the document of a row of a domain; None where each row is a document."""
        chosen = self.group_by if domain.group_by is None else domain.group_by
        return chosen or None

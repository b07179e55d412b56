"""The recipe of a calibration set: what a person asks for when one is built."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

SEED_LIMIT = 2**32 - 1
"""The largest seed that scikit-learn takes."""
READING, GROUPS, LEARNING = "How text is read and split", "What a group holds", "Text to learn from"
"""Headings of the options that not everybody needs."""
FEWEST_DOCUMENTS = 3
"""Documents that a domain needs: search, select and audit take one each."""
DOMAIN_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""What a domain or a task may be called."""


class DomainSource(BaseModel):
    """One domain and where its text comes from; a name given twice joins two sources in one domain.

    Attributes:
        name: name of the domain: letters, digits, ``_``, ``-`` and ``.``.
        source: a local file ``path[:column]`` or a hub dataset ``repo/name:config:split:column``.
        group_by: name of the column that names the document of a row, for this domain alone; "" makes each row a
            document; None follows ``Recipe.group_by``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=DOMAIN_NAME)
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

    name: str = Field(pattern=DOMAIN_NAME)
    source: str = Field(min_length=1)
    columns: dict[Literal["query", "choices", "gold", "document", "domain", "cluster"], str] = Field(
        default_factory=dict
    )


def _option(description: str, panel: str = "", **limits: Any) -> Any:
    """Describe a field; ``panel`` is the heading that a command's help puts it under."""
    return Field(description=description, json_schema_extra={"panel": panel}, **limits)


class Recipe(BaseModel):
    """Everything a calibration set depends on, besides the text itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    domains: Annotated[list[DomainSource], _option("Domains of text, and their sources.")] = Field(default_factory=list)
    tasks: Annotated[list[TaskSource], _option("Tasks, and their sources.")] = Field(default_factory=list)
    continuations: Annotated[
        list[str], _option("Domains of whose text tasks are made: which of four endings is a passage's own; or all.")
    ] = Field(default_factory=list)
    clusters: Annotated[
        int | Literal["auto"],
        _option("Clusters per domain, or auto: of those stable from half to half, 8 at most, the best silhouette."),
    ] = "auto"
    passages: Annotated[int, _option("Search passages per domain.", ge=1)] = 64
    items: Annotated[int, _option("Search questions per domain of questions.", ge=1)] = 128
    hold_out: Annotated[
        float,
        _option("Fraction of each domain's clusters kept unseen: at least one, always leaving two; or 0.", ge=0, lt=1),
    ] = 0.2
    group_by: Annotated[
        str | None, _option("Column that names the document of a row; without it, each row is a document.")
    ] = None
    embedder: Annotated[
        str,
        _option(
            "auto (minilm where evop[minilm] is installed, else lexical), lexical, minilm, a sentence-transformers "
            "model by name or path, or precomputed:FILE.",
            min_length=1,
        ),
    ] = "auto"
    sampler: Annotated[
        str, _option("How search passages are chosen: ccds, proportional, random or evop (the released procedure).")
    ] = "ccds"
    seed: Annotated[int, _option("Seed of the search sample.", ge=0, le=SEED_LIMIT)] = 0
    split_seed: Annotated[
        int,
        _option(
            "Seed of clustering and splits; select, audit and unseen depend on no other.", READING, ge=0, le=SEED_LIMIT
        ),
    ] = 0
    passage_chars: Annotated[int, _option("Wanted length of a passage, in characters.", READING, ge=50)] = 1000
    limit: Annotated[
        int,
        _option("Passages read per domain at most, from the front; questions per cluster of a task.", READING, ge=1),
    ] = 10000
    min_group_tokens: Annotated[
        int, _option("Estimated tokens a cluster needs in the search pool, select and audit.", GROUPS, ge=1)
    ] = 512
    select_passages: Annotated[int, _option("Passages per group in select at most.", GROUPS, ge=1)] = 8
    audit_passages: Annotated[int, _option("Passages per group in audit and in unseen at most.", GROUPS, ge=1)] = 24
    min_group_items: Annotated[
        int, _option("Questions a cluster of a task needs in the search pool, select and audit.", GROUPS, ge=1)
    ] = 8
    select_items: Annotated[int, _option("Questions per group in select at most.", GROUPS, ge=1)] = 16
    audit_items: Annotated[int, _option("Questions per group in audit and in unseen at most.", GROUPS, ge=1)] = 100

    train_tokens: Annotated[
        int,
        _option(
            "Estimated tokens of text per domain to refit and heal with, of documents that the search sample left; 0: "
            "none.",
            LEARNING,
            ge=0,
        ),
    ] = 0

    @field_validator("clusters", mode="before")
    @classmethod
    def _auto_or_a_number(cls, value: Any) -> Any:
        """Read ``auto`` or a number, also as typed."""
        number = int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value) else value
        if number != "auto" and (not isinstance(number, int | float) or number < 1):
            raise ValueError("expected auto or a number from 1 on")
        return number

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

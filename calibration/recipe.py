"""What a person asks for when a calibration set is built."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

SEED_LIMIT = 2**32 - 1


class DomainSource(BaseModel):
    """One domain and where its text comes from; a name given twice joins two sources in one domain.

    Attributes:
        name: the domain's name: letters, digits, ``_``, ``-`` and ``.``.
        source: a local file ``path[:column]`` or a hub dataset ``repo/name:config:split:column``.
        group_by: column that names the document of a row, for this domain alone; "" makes each row a document;
            None follows ``Recipe.group_by``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    source: str = Field(min_length=1)
    group_by: str | None = None


class Recipe(BaseModel):
    """Everything a calibration set depends on, besides the text itself.

    Attributes:
        domains: the domains, at least one.
        clusters: clusters a domain, or "auto": the best cosine silhouette of 3 to 8.
        passages: search passages a domain.
        hold_out: fraction of each domain's clusters kept ``unseen``: at least one, always leaving two; 0 for none.
        group_by: column that names the document of a row; None makes each row a document.
        embedder: ``lexical``, a sentence-transformers model by name or path, or ``precomputed:FILE.parquet``.
        sampler: how search passages are chosen from the search pool: ``ccds``, ``proportional``, ``random`` or
            ``evop``.
        seed: seed of the search sample.
        split_seed: seed of clustering and splits; ``select``, ``audit`` and ``unseen`` depend on no other.
        passage_chars: wanted length of a passage, in characters.
        limit: passages a domain read at most, from the front of its sources.
        min_group_tokens: estimated tokens a cluster must have in the search pool, ``select`` and ``audit``.
        select_passages: passages of a group in ``select``, at most.
        audit_passages: passages of a group in ``audit`` and in ``unseen``, at most.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    domains: list[DomainSource] = Field(min_length=1)
    clusters: int | Literal["auto"] = "auto"
    passages: int = Field(default=64, ge=1)
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

    @field_validator("clusters")
    @classmethod
    def _at_least_one_cluster(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError("expected 'auto' or at least 1")
        return value

    @property
    def domain_names(self) -> list[str]:
        """The domains' names, each once, in the order given."""
        return list(dict.fromkeys(domain.name for domain in self.domains))

    def group_by_of(self, domain: DomainSource) -> str | None:
        """The column that names the document of a row of this domain, or None for one document a row."""
        chosen = self.group_by if domain.group_by is None else domain.group_by
        return chosen or None

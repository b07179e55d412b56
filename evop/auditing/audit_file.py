"""``audit.json``: what an audit measured, with the sha256 of what it measured."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pandas as pd
from pydantic import Field

from evop.auditing.audit_rows import (
    OF_QUESTIONS,
    AuditedPattern,
    BorneRow,
    GroupRow,
    HarnessRow,
    Needs,
    RandomRow,
    SummaryRow,
)
from evop.auditing.domain_row import DomainRow
from evop.errors import EvopError
from evop.files.json_file import JsonFile, inside
from evop.files.machine import Machine
from evop.files.names import AUDIT
from evop.removal.pattern_facts import ModelName

HELD_OUT = "held-out"
"""The split of an audit that holds all audited passages of domains that were held out of a search."""

ASKED = ("dense_accuracy", "accuracy", "accuracy_low", "accuracy_high")
"""The columns that every group of questions fills."""


class AuditFile(JsonFile):
    """An audit: its patterns, one row per group, per domain, per split and kind of groups; random patterns beside."""

    SCHEMA: ClassVar[str] = "evop.audit/8"
    version: str
    model: ModelName
    calibration: str
    max_tokens: int
    dtype: str
    machine: Machine | None = None
    """What measured: versions, device, dtype, threads."""
    metric: str
    """How choices are compared: ``accuracy``, or ``accuracy_norm``, by nats per character."""
    interval: str
    patterns: list[AuditedPattern]
    groups: list[GroupRow]
    summary: list[SummaryRow]
    domains: list[DomainRow] = Field(default_factory=list)
    borne: list[BorneRow] = Field(default_factory=list)
    random: list[RandomRow] = Field(default_factory=list)
    needs: Needs | None = None
    harness: list[HarnessRow] = Field(default_factory=list)

    def kinds(self, split: str) -> list[str]:
        """Name the kinds of groups that a split has, text first."""
        present = {row.kind for row in self.groups if row.split == split}
        return [kind for kind in ("text", "item") if kind in present]

    @property
    def splits(self) -> list[str]:
        """The splits that were measured."""
        return list(dict.fromkeys(row.split for row in self.groups))

    def groups_of(self, pattern: str, split: str, kind: str) -> list[GroupRow]:
        """List the groups of one kind of a split under a pattern, the group that pays most first."""
        key = (pattern, split, kind)
        return sorted(
            (row for row in self.groups if (row.pattern, row.split, row.kind) == key), key=lambda row: -row.excess
        )

    def of_pattern(self, sha256: str) -> AuditedPattern | None:
        """Find the row of a pattern file; a healed checkpoint has the same file, and is none. None where none is."""
        own = (row for row in self.patterns if row.sha256 == sha256 and row.recovery != "healed")
        return next(own, None)

    def summary_of(self, pattern: str | None, split: str, kind: str) -> SummaryRow | None:
        """Find the summary of one kind of groups of a split under a pattern; None where there is none."""
        key = (pattern, split, kind)
        return next((row for row in self.summary if (row.pattern, row.split, row.kind) == key), None)

    def domains_of(self, pattern: str) -> dict[tuple[str, str, str], DomainRow]:
        """Lay the domains of a pattern out: split, kind of groups and domain -> its row."""
        return {(row.split, row.kind, row.domain): row for row in self.domains if row.pattern == pattern}

    @property
    def randoms(self) -> list[str]:
        """The names of the random patterns, one per size."""
        return list(dict.fromkeys(row.name for row in self.random))

    def random_of(self, name: str | None, split: str, kind: str) -> RandomRow | None:
        """Find what the random patterns of a size lose on one kind of groups of a split; None where there are none."""
        key = (name, split, kind)
        return next((row for row in self.random if (row.name, row.split, row.kind) == key), None)

    def group_frame(self) -> pd.DataFrame:
        """Lay the groups out as a frame, as ``audit.csv`` has it; without questions, without their columns."""
        absent = set() if any(row.kind == "item" for row in self.groups) else OF_QUESTIONS
        return pd.DataFrame([row.model_dump(exclude=absent) for row in self.groups])

    def summary_frame(self) -> pd.DataFrame:
        """Lay the summary out as a frame."""
        return pd.DataFrame([row.model_dump() for row in self.summary])

    @classmethod
    def find(cls, path: str | Path) -> AuditFile:
        """Read an audit file, or the one in an audit's folder.

        Raises:
            EvopError: there is none, it is no such file, or rows are missing.
        """
        place = inside(path, AUDIT)
        if not place.is_file():
            raise EvopError(f"--audit {path}: no audit.json there; make one with evop audit")
        audit = cls.read(place)
        if missing := audit._missing():
            raise EvopError(f"{place}: {missing}; the file was changed by hand: audit again")
        return audit

    def _missing(self) -> str | None:
        """Say what a table of the audit would look for and not find; None if it has all."""
        names = [pattern.name for pattern in self.patterns]
        asked = [(split, kind) for split in self.splits for kind in self.kinds(split)]
        if len(set(names)) != len(names) or not names:
            return "two patterns have one name" if names else "it has no pattern"
        named = {row.pattern for rows in (self.groups, self.summary, self.domains) for row in rows}
        if strange := named - {*names}:
            return f"rows of {sorted(strange)[0][:60]!r}, which is no pattern of it"
        for split, kind in asked:
            groups = [sorted(row.group for row in self.groups_of(name, split, kind)) for name in names]
            if any(each != groups[0] or len(set(each)) != len(each) for each in groups):
                return f"the patterns have other groups of {split}"
            if any(self.summary_of(name, split, kind) is None for name in names):
                return f"a pattern has no summary of {split}"
            if any({*groups[0]} - {*row.groups} for row in self.random if (row.split, row.kind) == (split, kind)):
                return f"random patterns lack a group of {split}"
        summed = {(row.split, row.kind) for row in self.summary} | {(row.split, row.kind) for row in self.random}
        if summed - {*asked}:
            return "a summary of what has no groups"
        if any(self.domains_of(name).keys() != self.domains_of(names[0]).keys() for name in names):
            return "the patterns have other domains"
        questions = [row.model_dump() for row in self.groups if row.kind == "item"]
        if any(row[name] is None for row in questions for name in ASKED):
            return "questions without their accuracy"
        if self.needs and any(len(row) != len(self.needs.parts) for row in self.needs.excess.values()):
            return "what groups need has other parts"
        return self._strange_group()

    def _strange_group(self) -> str | None:
        """Say which row names a group that was not measured where the row says; None if none does."""
        measured: dict[tuple[str, str], set[str]] = {}
        for row in self.groups:
            measured.setdefault((row.split, row.kind), set()).add(row.group)
        every = {group for groups in measured.values() for group in groups}
        named: list[tuple[str, set[str], set[str]]] = [
            *(
                (f"the summary of {row.split}", {row.worst_group, row.equal_worst_group, *row.worst_among}, known)
                for row in self.summary
                if (known := measured[row.split, row.kind])
            ),
            *((f"domain {row.domain}", {row.worst_group}, every) for row in self.domains),
            *(("what groups may lose", {row.worst_group, *row.over}, every) for row in self.borne),
            *(
                ("a claim", {pattern.claim.worst_group}, every)
                for pattern in self.patterns
                if pattern.claim is not None and pattern.claimed_group_on_audit is not None
            ),
        ]
        for what, groups, known in named:
            if strange := groups - known:
                return f"{what} names {sorted(strange)[0][:60]!r}, a group that was not measured there"
        return None

"""``audit.json``: what an audit measured, with the sha256 of what it measured."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import pandas as pd
from pydantic import Field

from evop.errors import EvopError
from evop.files.json_file import JsonFile, JsonPart, inside
from evop.files.names import AUDIT
from evop.removal.pattern_file import Claim, ModelName, ReachedFractions

HELD_OUT = "held-out"
"""The split of an audit that holds all audited passages of domains that were held out of a search."""


class AuditedPattern(JsonPart):
    """One row of the audit: a pattern file, or the random pattern of equal size."""

    name: str
    sha256: str | None
    """Sha256 of the pattern file; None for a random pattern."""
    removed: list[str]
    thinned: dict[str, int]
    """Part -> how many of its units are gone."""
    left: dict[str, float]
    """Part -> the share of its parameters that stays, 1 for a dense part, in the order of the model."""
    random: str | None
    """Which row is the random pattern of its size; None for that row itself, and for a size of next to nothing."""
    reached: ReachedFractions
    claim: Claim | None
    claimed_group_on_audit: float | None
    """Excess on ``audit``, at equal tokens or questions per group, of the group that the search named as its worst.

    None where the pattern was searched on another calibration set, or by another loss than this audit's."""


class GroupRow(JsonPart):
    """One group of one split under one pattern; losses in nats per token, or as the share of questions answered
    wrongly."""

    pattern: str
    split: str
    kind: Literal["text", "item"]
    group: str
    label: str
    domain: str
    passages: int
    documents: int
    tokens: int
    dense_loss: float
    dense_perplexity: float | None
    loss: float
    perplexity: float | None
    excess: float
    low: float | None
    high: float | None
    dense_accuracy: float | None = None
    dense_accuracy_low: float | None = None
    dense_accuracy_high: float | None = None
    accuracy: float | None = None
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    # Both metrics under the names of lm-evaluation-harness, whichever of them ``accuracy`` is.
    dense_acc: float | None = None
    acc: float | None = None
    dense_acc_norm: float | None = None
    acc_norm: float | None = None
    lost: int | None = None
    """Questions that the dense model answers rightly and the pruned one does not."""
    won: int | None = None
    """Questions that the pruned model answers rightly and the dense one does not."""
    p: float | None = None
    """The p-value of the exact McNemar test on these two."""
    p_holm: float | None = None
    """The p-value corrected for the number of groups of the split."""
    worse: bool | None = None
    """Whether the pruned model is worse for more than chance."""


OF_QUESTIONS = {name for name, field in GroupRow.model_fields.items() if not field.is_required()}
"""The columns that only groups of questions fill."""


class SummaryRow(JsonPart):
    """One kind of groups of one split under one pattern."""

    pattern: str
    split: str
    kind: Literal["text", "item"]
    groups: int
    worse: int | None
    """How many groups of questions are worse for more than chance; None for text."""
    tokens: int
    worst: float
    """The largest excess of a group, with its interval: 95%, paired bootstrap over documents."""
    worst_low: float | None
    worst_high: float | None
    worst_group: str
    p90: float
    """The 90th percentile of the excess over the groups."""
    mean: float
    equal_worst: float
    """The largest excess where every group is measured on ``equal_count`` tokens, or questions."""
    equal_worst_group: str
    equal_count: int
    against: str
    """The pattern whose worst group loses least on this split."""
    gap: float
    """How much more this pattern's worst group loses than that pattern's."""
    gap_low: float | None
    gap_high: float | None
    tie: bool | None
    """Whether the interval of the gap holds 0; None where a worst group is a single document."""


class HarnessRow(JsonPart):
    """One group of one task of lm_eval under one pattern; ``all`` is the whole task."""

    pattern: str
    task: str
    metric: str
    group: str
    label: str
    n: int
    dense: float
    pruned: float
    low: float | None
    high: float | None
    """Interval of the change, pruned minus dense: 95%, paired bootstrap over samples; None for a single one."""
    lost: int | None
    """Samples that only the dense model has right; None for a metric that is not right or wrong."""
    won: int | None
    p: float | None
    """The p-value of the exact McNemar test."""
    p_holm: float | None = None
    """The p-value corrected for the number of the task's groups; None for the whole task."""
    worse: bool | None = None


class Needs(JsonPart):
    """What every group loses when one part alone leaves the dense model, on a few of its audited passages."""

    kind: Literal["text", "item"]
    parts: list[str]
    excess: dict[str, list[float]]
    """Group -> one number per part: nats per token, or share of the questions."""
    passages: int
    """How many passages were read, over all groups."""


class AuditFile(JsonFile):
    """An audit: its patterns, one row per group, one row per split and kind of groups."""

    SCHEMA: ClassVar[str] = "evop.audit/2"
    version: str
    model: ModelName
    calibration: str
    max_tokens: int
    dtype: str
    metric: str
    """How choices are compared: ``accuracy``, or ``accuracy_norm``, by nats per character."""
    interval: str
    patterns: list[AuditedPattern]
    groups: list[GroupRow]
    summary: list[SummaryRow]
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

    def summary_of(self, pattern: str | None, split: str, kind: str) -> SummaryRow | None:
        """Find the summary of one kind of groups of a split under a pattern; None where there is none."""
        key = (pattern, split, kind)
        return next((row for row in self.summary if (row.pattern, row.split, row.kind) == key), None)

    def group_frame(self) -> pd.DataFrame:
        """Lay the groups out as a frame, as ``audit.csv`` has it; without questions, without their columns."""
        absent = set() if any(row.kind == "item" for row in self.groups) else OF_QUESTIONS
        return pd.DataFrame([row.model_dump(exclude=absent) for row in self.groups])

    def summary_frame(self) -> pd.DataFrame:
        """Lay the summary out as a frame."""
        return pd.DataFrame([row.model_dump() for row in self.summary])

    @classmethod
    def find(cls, path: str | Path) -> AuditFile:
        """Read an audit file, or the one in an audit's folder."""
        place = inside(path, AUDIT)
        if not place.is_file():
            raise EvopError(f"--audit {path}: no audit.json there; make one with evop audit")
        return cls.read(place)

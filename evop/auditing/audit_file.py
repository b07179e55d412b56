"""``audit.json``: what an audit measured, with the sha256 of what it measured."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from evop.errors import EvopError
from evop.files.json_file import JsonFile, inside
from evop.files.names import AUDIT
from evop.removal.pattern_file import Claim, ModelName, ReachedFractions


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AuditedPattern(_Section):
    """One row of the audit: a pattern file, or the random pattern of equal size."""

    name: str
    sha256: str | None
    """Of the pattern file; None for the random pattern."""
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
    """Excess on ``audit``, at equal tokens or items a group, of the group that the search named as its worst; None
    where the pattern was searched on another calibration set, or by another loss than this audit's."""


class GroupRow(_Section):
    """One group of one split under one pattern; losses in nats a token, or as the share of items answered wrongly."""

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
    dense_acc: float | None = None
    acc: float | None = None
    dense_acc_norm: float | None = None
    acc_norm: float | None = None
    lost: int | None = None
    """Items that the dense model answers rightly and the pruned one does not."""
    won: int | None = None
    p: float | None = None
    """Of the exact McNemar test on these two."""
    p_holm: float | None = None
    """Corrected for the number of groups of the split."""
    worse: bool | None = None
    """Whether the pruned model is worse for more than chance."""


class SummaryRow(_Section):
    """One kind of groups of one split under one pattern; see ``auditing.table.summary_frame``."""

    pattern: str
    split: str
    kind: Literal["text", "item"]
    groups: int
    worse: int | None
    """How many groups of items are worse for more than chance."""
    tokens: int
    worst: float
    worst_low: float | None
    worst_high: float | None
    worst_group: str
    p90: float
    mean: float
    equal_worst: float
    equal_worst_group: str
    equal_count: int
    against: str
    gap: float
    gap_low: float | None
    gap_high: float | None
    tie: bool | None


class HarnessRow(_Section):
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
    """Of the change, pruned less dense: 95%, paired bootstrap over samples; None for a single one."""
    lost: int | None
    """Samples that only the dense model has right; None for a metric that is not right or wrong."""
    won: int | None
    p: float | None
    """Of the exact McNemar test."""
    p_holm: float | None = None
    """Corrected for the number of the task's groups; None for the whole task."""
    worse: bool | None = None


class Needs(_Section):
    """What every group loses when one part alone leaves the dense model, on a few of its audited passages."""

    kind: Literal["text", "item"]
    parts: list[str]
    excess: dict[str, list[float]]
    """Group -> a number a part: nats a token, or share of the items."""
    passages: int
    """That were looked at, over all groups."""


class AuditFile(JsonFile):
    """An audit: patterns, one row a group, one row a split."""

    SCHEMA: ClassVar[str] = "evop.audit/2"
    version: str
    model: ModelName
    calibration: str
    max_tokens: int
    dtype: str
    metric: str
    """How choices are compared: ``accuracy``, or ``accuracy_norm``, by nats a character."""
    interval: str
    patterns: list[AuditedPattern]
    groups: list[GroupRow]
    summary: list[SummaryRow]
    needs: Needs | None = None
    harness: list[HarnessRow] = Field(default_factory=list)

    def kinds(self, split: str) -> list[str]:
        """The kinds of groups that a split has, text first."""
        found = {row.kind for row in self.groups if row.split == split}
        return [kind for kind in ("text", "item") if kind in found]

    @property
    def splits(self) -> list[str]:
        """The splits that were measured."""
        return list(dict.fromkeys(row.split for row in self.groups))

    @classmethod
    def find(cls, path: str | Path) -> AuditFile:
        """Read an audit file, or the one in an audit's folder."""
        place = inside(path, AUDIT)
        if not place.is_file():
            raise EvopError(f"--audit {path}: no audit.json there; make one with evop audit")
        return cls.read(place)


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame's rows as plain Python values, NaN as None."""
    return [
        {str(key): None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        for row in frame.to_dict("records")
    ]

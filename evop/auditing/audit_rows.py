"""The rows of ``audit.json``: patterns, groups, summaries, random patterns, tasks of lm-evaluation-harness."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from evop.files.json_file import JsonPart
from evop.losses.bearing import Verdict
from evop.recovery.recovered import Recovery
from evop.removal.pattern_facts import Claim, FitNote, ReachedFractions
from evop.removal.zeros_file import Zeros


class AuditedPattern(JsonPart):
    """One pattern file, or one pruned checkpoint, under audit."""

    name: str
    sha256: str
    """Sha256 of the pattern file."""
    removed: list[str]
    thinned: dict[str, int]
    """Part -> how many of its units are gone."""
    left: dict[str, float]
    """Part -> the share of its parameters that stays, 1 for a dense part, in the order of the model; empty for a model
    with weights of its own, of which it is not known what left."""
    random: str | None
    """The name of the random patterns of its size; None where none were drawn, or for a size of next to nothing."""
    asked: dict[str, float] = Field(default_factory=dict)
    """Cost -> the fraction of the decoder blocks that was asked to leave."""
    fit: FitNote | None = None
    """The bytes that it was asked to fit in; None for no such limit."""
    reached: ReachedFractions
    claim: Claim | None
    claimed_group_on_audit: float | None
    """Excess on ``audit``, at equal tokens or questions per group, of the group that the search named as its worst.

    None where the pattern was searched on another calibration set, or by another loss than this audit's, or is healed,
    which the search knew nothing of."""
    recovery: Recovery = "none"
    """``refitted``: weights were solved anew, or trained by strategy ``darwin``; ``healed``: they learned since."""
    parts: str = ""
    """Hash of what leaves: patterns that take out the same agree in it, however they were recovered."""
    checkpoint: str | None = None
    """Fingerprint of the checkpoint that was measured by its own weights; None where the dense model was masked."""
    zeros: Zeros | None = None
    """Weights that left one by one, and are zero; None where units left."""
    healed_tokens: int | None = None
    """Tokens that the kept weights of a healed checkpoint have learned from."""


REFITTED = "random refitted"
"""How the names of random patterns begin that were refitted."""


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
    ahead: float | None
    """How much more the group loses than the other groups do in the mean."""
    p_others: float | None
    """The chance that it seems to lose so much more than the others, corrected for the number of groups (Holm)."""
    above: bool | None
    """Whether it loses more than the others for more than chance."""
    detectable: float | None
    """The loss that would be found with a chance of 80%: of text, of how much more it loses than the others; of
    questions, of right answers lost. None where nothing can be found."""
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
    above: int
    """How many groups lose more than the others for more than chance."""
    detectable: float | None
    """The loss that would be found with a chance of 80% in half of the groups; see ``GroupRow.detectable``."""
    tokens: int
    worst: float
    """The estimate of the largest true excess of a group, without what chance adds to a largest, and its interval."""
    worst_low: float | None
    worst_high: float | None
    worst_measured: float
    """The largest excess as measured."""
    worst_group: str
    """The group that it was measured in."""
    worst_sure: float
    """How sure it is that this group is the worst, as a fraction."""
    worst_among: list[str]
    """The fewest groups of which one is the worst with a chance of 95%, the likeliest first."""
    p90: float
    """The 90th percentile of the excess over the groups."""
    mean: float
    equal_worst: float
    """The largest excess where every group is measured on ``equal_count`` tokens, or questions."""
    equal_worst_group: str
    equal_count: int
    against: str
    """The pattern that the others are held against: whose worst group lost least as measured here."""
    gap: float
    """How much more this pattern's worst group loses than that pattern's."""
    gap_low: float | None
    gap_high: float | None
    tie: bool | None
    """Whether the interval of the gap holds 0; None where a worst group is a single document."""


class BorneRow(JsonPart):
    """All groups of a split, of both kinds, beside what each of them may lose, under one pattern.

    The largest of loss over tolerance is 1 where a group loses just what it may.
    """

    pattern: str
    split: str
    tolerate: list[str]
    """What is tolerated, in the words of ``--tolerate``."""
    groups: int
    """How many groups have a tolerance; those without are in no row."""
    measured: float
    """The largest of loss over tolerance as measured."""
    largest: float
    """The estimate of the largest true one, without what chance adds to a largest."""
    low: float | None
    """Ends of its 95% interval, for all groups together; None where every group is a single document."""
    high: float | None
    worst_group: str
    """The group in which it was measured."""
    worst_kind: Literal["text", "item"]
    worst_loss: float
    worst_tolerance: float
    over: list[str]
    """The groups that were measured to lose more than they may."""
    verdict: Verdict
    """``within``: the upper end is at most 1; ``beyond``: the lower end is above; else ``open``."""


class Range(JsonPart):
    """What several random patterns lose: the median and the range."""

    median: float
    least: float
    most: float


class RandomRow(JsonPart):
    """Random patterns of one size on one kind of groups of a split."""

    name: str
    split: str
    kind: Literal["text", "item"]
    patterns: int
    """How many were drawn."""
    worst: Range
    """Of each pattern's worst group, estimated as for a pattern under audit."""
    mean: Range
    worse: Range | None
    """Of the number of groups of questions that are worse for more than chance; None for text."""
    groups: dict[str, Range]
    """Of the excess of each group."""


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
    """Interval of the change, pruned minus dense: 95%, Student's t over samples; None for a single one."""
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

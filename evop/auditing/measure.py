"""An audit's measurements: the held-out splits, every part alone, speed, and tasks of lm-evaluation-harness."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibration import CalibrationSet, Passage
from evop.auditing.audit_file import AuditFile
from evop.auditing.audit_rows import HarnessRow, Needs
from evop.auditing.candidates import Candidate, RandomPatterns, described
from evop.auditing.harness import HarnessTasks, audit_tasks
from evop.auditing.held_out import AUDITED, audited_passages
from evop.auditing.needs import measure_needs
from evop.auditing.split_losses import SplitLosses, split_losses
from evop.auditing.summary import DRAWS, random_rows, summary_rows
from evop.auditing.table import group_rows
from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.losses.lines import items_of
from evop.losses.loss import Loss
from evop.losses.means import LEVEL
from evop.model.loaded import LoadedModel
from evop.removal.cut import Cut
from evop.removal.pattern_facts import ModelName
from evop.removal.ranking import Ranking
from evop.timing.pattern_speed import time_patterns
from evop.timing.speed_file import SpeedFile
from evop.tokens.passages import TokenPassages, tokenize
from evop.version import __version__


@dataclass(frozen=True)
class Auditor:
    """Measures the dense model and the patterns under audit.

    Attributes:
        calibration: the set whose held-out splits are measured.
        loaded: the dense model.
        candidates: the patterns under audit.
        randoms: random patterns of their sizes.
        max_tokens: tokens per passage at most.
        metric: how choices are compared.
        batch_size: passages per batch; None to try out how many fit.
        report: is given one line per step.
    """

    calibration: CalibrationSet
    loaded: LoadedModel
    candidates: Sequence[Candidate]
    randoms: Sequence[RandomPatterns]
    max_tokens: int
    metric: str
    batch_size: int | None
    report: Callable[[str], None]

    def audit_file(self, labels: Mapping[str, str]) -> AuditFile:
        """Measure every group of the held-out splits under every candidate.

        Args:
            labels: group key -> what a person reads.

        Raises:
            EvopError: a loss that is no number.
        """
        splits: list[SplitLosses] = []
        randoms: dict[str, list[SplitLosses]] = {patterns.name: [] for patterns in self.randoms}
        for split in (split for split in AUDITED if self._passages(split)):
            measured, *drawn = self._losses(split)
            splits += measured
            for patterns, losses in zip(self.randoms, drawn, strict=True):
                randoms[patterns.name] += losses
        groups = group_rows(splits, labels)
        return AuditFile(
            version=__version__,
            model=ModelName.of(self.loaded.checkpoint),
            calibration=self.calibration.fingerprint,
            max_tokens=self.max_tokens,
            dtype=self.loaded.dtype,
            metric=self.metric,
            interval=f"{LEVEL:.0%} over documents: Student's t of a group, {DRAWS:,} simulated audits of a worst group "
            "and of a gap",
            patterns=[described(candidate, splits, self.calibration, self.metric) for candidate in self.candidates],
            groups=groups,
            summary=summary_rows(splits, groups),
            random=random_rows(randoms),
        )

    def needs(self) -> Needs | None:
        """Measure what every group loses without each part; None where that is no number, or nothing is audited."""
        if not self.calibration.split("audit"):
            return None
        self.report("every part alone, on a few passages of every group")
        needs = measure_needs(self.loaded, self.calibration, self.max_tokens, self.batch_size)
        if needs is None:
            self.report(f"without some part alone, losses are no numbers at --dtype {self.loaded.dtype}: not shown")
        return needs

    def speed(self) -> SpeedFile | None:
        """Time the patterns that were asked for beside the dense model; None where that cannot be done."""
        cuts = {candidate.name: candidate.cut for candidate in self.candidates}
        return time_patterns(self.loaded, cuts, self.report)

    def harness(self, tasks: HarnessTasks) -> list[HarnessRow]:
        """Run tasks of lm-evaluation-harness on the dense model and on the patterns that were asked for.

        Raises:
            EvopError: a task that lm_eval cannot run.
        """
        opened = {candidate.name: candidate.opened for candidate in self.candidates}
        return audit_tasks(self.loaded, opened, tasks, self.report)

    def _passages(self, split: str) -> list[Passage]:
        return audited_passages(self.calibration, self.candidates, split)

    def _losses(self, split: str) -> list[list[SplitLosses]]:
        """Measure the text of a split, and its questions: under all candidates, then under each size's random ones.

        Raises:
            EvopError: a loss that is no number.
        """
        passages: TokenPassages = tokenize(self._passages(split), self.loaded.tokenizer, self.max_tokens)
        questions = len(items_of(passages)[0])
        counts = {"passages": len(passages.ids) - questions, "questions": questions}
        counted = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        self.report(f"{split}: {counted}, {passages.total:,} tokens, {passages.truncated} truncated")
        sets: dict[str, tuple[Cut, ...]] = {candidate.name: (candidate.cut,) for candidate in self.candidates}
        sets |= {patterns.name: patterns.cuts for patterns in self.randoms}
        shown = [name if len(cuts) == 1 else f"{name} ({len(cuts)} patterns)" for name, cuts in sets.items()]
        self.report(f"{split}: dense, {', '.join(shown)}")
        space = self.candidates[0].space
        evaluator = Evaluator(self.loaded, space, Ranking(), self.max_tokens, self.batch_size, cache_mb=0)
        lines = evaluator.line_losses([Cut(), *(cut for cuts in sets.values() for cut in cuts)], passages)
        if not np.isfinite(lines).all():
            raise EvopError(f"losses on {split} are not finite at --dtype {self.loaded.dtype}; use --dtype float32")
        first = 1 + len(self.candidates)
        names = [candidate.name for candidate in self.candidates]
        parts = [split_losses(split, passages, lines[:first], names, self.metric)]
        for patterns in self.randoms:
            rows = [0, *range(first, first + len(patterns.cuts))]
            numbered = [f"{patterns.name} {number}" for number in range(1, len(rows))]
            parts.append(split_losses(split, passages, lines[rows], numbered, self.metric))
            first += len(patterns.cuts)
        return parts


def metric_of(candidates: Sequence[Candidate]) -> str:
    """Find how the first pattern that was searched on questions compared choices; ``accuracy`` where none was."""
    origins = [candidate.file.origin for candidate in candidates if candidate.file.origin]
    return next((metric for origin in origins if (metric := Loss.named(origin.loss).items)), "accuracy")

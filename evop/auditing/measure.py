"""An audit's measurements: the held-out splits, every part alone, speed, and tasks of lm-evaluation-harness."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from calibration import CalibrationSet
from evop.auditing.audit_file import AuditFile
from evop.auditing.audit_rows import HarnessRow, Needs
from evop.auditing.borne import borne_rows
from evop.auditing.candidates import Candidate, RandomPatterns, described
from evop.auditing.domains import domain_rows
from evop.auditing.harness import HarnessTasks, audit_tasks
from evop.auditing.held_out import AUDITED, audited_passages
from evop.auditing.itself import held, own_losses, refuse_no_number, refuse_other_tokens
from evop.auditing.needs import measure_needs
from evop.auditing.split_losses import SplitLosses, split_losses
from evop.auditing.summary import DRAWS, random_rows, summary_rows
from evop.auditing.table import group_rows
from evop.evaluator import Evaluator
from evop.files.machine import Machine
from evop.losses.lines import items_of
from evop.losses.loss import Loss
from evop.losses.means import LEVEL
from evop.losses.tolerance import Tolerances
from evop.model.held import HeldModel
from evop.model.loaded import load_tokenizer
from evop.recovery.recovered import parts_digest
from evop.removal.cut import Cut, Place
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
        dense: the dense model; it is let go while others are in memory, but for the timing.
        candidates: the patterns under audit.
        randoms: random patterns of their sizes.
        max_tokens: tokens per passage at most.
        metric: how choices are compared.
        batch_size: passages per batch; None to try out how many fit.
        report: is given one line per step.
        tolerated: candidate's name -> what its groups may lose; one of which nothing was said is left out.
    """

    calibration: CalibrationSet
    dense: HeldModel
    candidates: Sequence[Candidate]
    randoms: Sequence[RandomPatterns]
    max_tokens: int
    metric: str
    batch_size: int | None
    report: Callable[[str], None]
    tolerated: Mapping[str, Tolerances] = field(default_factory=dict)

    def audit_file(self, labels: Mapping[str, str]) -> AuditFile:
        """Measure every group of the held-out splits under every candidate.

        Args:
            labels: group key -> what a person reads.

        Raises:
            EvopError: a loss that is no number.
        """
        own = self._own_losses()
        splits: list[SplitLosses] = []
        randoms: dict[str, list[SplitLosses]] = {patterns.name: [] for patterns in self.randoms}
        for split, passages in self._texts.items():
            measured, *drawn = self._losses(split, passages, {name: lines[split] for name, lines in own.items()})
            splits += measured
            for patterns, losses in zip(self.randoms, drawn, strict=True):
                randoms[patterns.name] += losses
        groups = group_rows(splits, labels)
        return AuditFile(
            version=__version__,
            model=ModelName.of(self.dense.checkpoint),
            calibration=self.calibration.fingerprint,
            max_tokens=self.max_tokens,
            dtype=self.dense.loaded.dtype,
            machine=Machine.here(self.dense.loaded.device, self.dense.loaded.dtype),
            metric=self.metric,
            interval=f"{LEVEL:.0%} over documents: Student's t of a group, {DRAWS:,} simulated audits of a worst group "
            "and of a gap",
            patterns=[described(candidate, splits, self.calibration, self.metric) for candidate in self.candidates],
            groups=groups,
            summary=summary_rows(splits, groups),
            domains=domain_rows(splits),
            borne=borne_rows(splits, self.tolerated),
            random=random_rows(randoms),
        )

    def needs(self) -> Needs | None:
        """Measure what every group loses without each part; None where that is no number, or nothing is audited."""
        if not self.calibration.split("audit"):
            return None
        self.report("every part alone, on a few passages of every group")
        needs = measure_needs(self.dense.loaded, self.calibration, self.max_tokens, self.batch_size)
        if needs is None:
            self.report(
                f"without some part alone, losses are no numbers at --dtype {self.dense.loaded.dtype}: not shown"
            )
        return needs

    def speed(self) -> SpeedFile | None:
        """Time the patterns that were asked for beside the dense model; None where that cannot be done.

        Weights make no difference to speed: of those that take out the same, one is timed for all. Where it is not
        known what left, there is no shape to time.
        """
        alike: dict[tuple[str, frozenset[Place]], list[str]] = {}
        known = [candidate for candidate in self.candidates if candidate.opened.known]
        if not known:
            self.report("speed is not measured: what left is not known; evop speed times a model by itself")
            return None
        for candidate in known:
            shape = parts_digest(candidate.file, candidate.zeros), frozenset(candidate.cut.bias)
            alike.setdefault(shape, []).append(candidate.name)
        cuts = {candidate.name: candidate.cut for candidate in known}
        timed = time_patterns(self.dense.loaded, {names[0]: cuts[names[0]] for names in alike.values()}, self.report)
        if timed is None:
            return None
        again = {names[0]: names for names in alike.values()}
        rows = [
            row.model_copy(update={"name": name}) for row in timed.models for name in again.get(row.name, [row.name])
        ]
        return timed.model_copy(update={"models": rows})

    def harness(self, tasks: HarnessTasks) -> list[HarnessRow]:
        """Run tasks of lm-evaluation-harness on the dense model and on the patterns that were asked for.

        Raises:
            EvopError: a task that lm_eval cannot run.
        """
        return audit_tasks(self.dense, self.candidates, tasks, self.report)

    @cached_property
    def _texts(self) -> dict[str, TokenPassages]:
        """Split -> its passages, as every model reads them.

        Raises:
            EvopError: a checkpoint's own tokenizer reads them otherwise.
        """
        found = {split: audited_passages(self.calibration, self.candidates, split) for split in AUDITED}
        texts = {split: tokenize(some, self._tokenizer, self.max_tokens) for split, some in found.items() if some}
        every = [passage for some in found.values() for passage in some]
        for model in self._checkpoints.values():
            refuse_other_tokens(model, self.dense, self._tokenizer, every, self.max_tokens)
        for split, passages in texts.items():
            questions = len(items_of(passages)[0])
            counts = {"passages": len(passages.ids) - questions, "questions": questions}
            counted = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
            self.report(f"{split}: {counted}, {passages.total:,} tokens, {passages.truncated} truncated")
        return texts

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(self.dense.checkpoint, self.dense.trust_remote_code)

    @property
    def _checkpoints(self) -> dict[str, HeldModel]:
        """The candidates that are measured as themselves, by name."""
        owns = {candidate.name: candidate.itself for candidate in self.candidates}
        return {name: held(own, self.dense) for name, own in owns.items() if own is not None}

    def _own_losses(self) -> dict[str, dict[str, np.ndarray]]:
        """Measure the checkpoints, one after the other, before the dense model is loaded.

        Returns:
            Name -> split -> the loss of every line, float64 [lines].
        """
        how = (self._texts, self.max_tokens, self.batch_size, self.report)
        opened = {candidate.name: candidate.opened for candidate in self.candidates}
        return {name: own_losses(model, opened[name], *how) for name, model in self._checkpoints.items()}

    def _losses(self, split: str, passages: TokenPassages, own: Mapping[str, np.ndarray]) -> list[list[SplitLosses]]:
        """Measure the text of a split, and its questions: under all candidates, then under each size's random ones.

        Args:
            split: the name of the split.
            passages: its passages.
            own: checkpoint -> the loss of every line, as measured already.

        Raises:
            EvopError: a loss that is no number.
        """
        sets: dict[str, tuple[Cut, ...]]
        sets = {candidate.name: (candidate.cut,) for candidate in self.candidates if candidate.name not in own}
        sets |= {patterns.name: patterns.cuts for patterns in self.randoms}
        shown = [name if len(cuts) == 1 else f"{name} ({len(cuts)} patterns)" for name, cuts in sets.items()]
        self.report(f"{split}: {', '.join(['dense', *shown])}")
        loaded, space = self.dense.loaded, self.candidates[0].space
        evaluator = Evaluator(loaded, space, Ranking(), self.max_tokens, self.batch_size, cache_mb=0)
        dense, *lines = evaluator.line_losses([Cut(), *(cut for cuts in sets.values() for cut in cuts)], passages)
        refuse_no_number(np.array([dense, *lines]), split, loaded.dtype)
        left = iter(lines)
        drawn = {name: [next(left) for _ in cuts] for name, cuts in sets.items()}
        names = [candidate.name for candidate in self.candidates]
        rows = np.array([dense, *(own[name] if name in own else drawn[name][0] for name in names)])
        parts = [split_losses(split, passages, rows, names, self.metric)]
        for patterns in self.randoms:
            numbered = [f"{patterns.name} {number}" for number in range(1, len(patterns.cuts) + 1)]
            rows = np.array([dense, *drawn[patterns.name]])
            parts.append(split_losses(split, passages, rows, numbered, self.metric))
        return parts


def metric_of(candidates: Sequence[Candidate]) -> str:
    """Find how the first pattern that was searched on questions compared choices; ``accuracy`` where none was."""
    origins = [candidate.file.origin for candidate in candidates if candidate.file.origin]
    return next((metric for origin in origins if (metric := Loss.named(origin.loss).items)), "accuracy")

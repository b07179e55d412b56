"""The patterns under audit: those asked for, and a random one of every size."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from calibration import CalibrationSet
from evop.auditing.audit_file import AuditedPattern
from evop.auditing.split_losses import SplitLosses
from evop.files.names import DROP_LIST, PATTERN
from evop.losses.loss import Loss
from evop.model.checkpoint import Checkpoint
from evop.recipes.search import SearchRecipe
from evop.removal.cut import Cut
from evop.removal.opened import OpenedPattern, open_pattern
from evop.removal.pattern_file import PatternFile, ReachedFractions
from evop.removal.ranking import Ranking
from evop.timing.chosen_table import timed_as_searched
from patterns import Budget, Pattern, PatternError, PatternSpace

RANDOM_SEED = 0


@dataclass(frozen=True)
class Candidate:
    """A pattern under audit."""

    name: str
    space: PatternSpace
    pattern: Pattern
    cut: Cut
    opened: OpenedPattern | None = None
    """Where it comes from; None for a random pattern."""
    beside: str | None = None
    """Name of the random pattern of equal size."""

    @property
    def file(self) -> PatternFile | None:
        """The pattern file, of a pattern that was asked for."""
        return self.opened.file if self.opened else None


def candidates_of(checkpoint: Checkpoint, paths: list[str | Path]) -> list[Candidate]:
    """List the patterns asked for, each budget's random pattern behind them."""
    candidates: list[Candidate] = []
    randoms: dict[tuple[str, Pattern], list[tuple[int, Candidate]]] = {}
    for path in paths:
        opened = open_pattern(path, checkpoint)
        space = timed_as_searched(opened)
        candidates.append(Candidate(_name(Path(path), candidates), space, opened.pattern, opened.cut, opened))
        drawn = _at_random(candidates[-1])
        if drawn is not None:
            randoms.setdefault((space.fingerprint, drawn.pattern), []).append((len(candidates) - 1, drawn))
    for alike in randoms.values():
        name = "random" if len(randoms) == 1 else f"random as {candidates[alike[0][0]].name}"
        for i, _ in alike:
            candidates[i] = replace(candidates[i], beside=name)
    firsts = [alike[0] for alike in randoms.values()]
    return [*candidates, *(replace(drawn, name=candidates[i].beside or drawn.name) for i, drawn in firsts)]


def _at_random(candidate: Candidate) -> Candidate | None:
    """Draw a random pattern of a candidate's budget, units in random order; None for a budget of next to nothing."""
    file, space = candidate.file, candidate.space
    assert file is not None
    try:
        drawn = Budget(space, file.remove, file.cost).draw(np.random.default_rng(RANDOM_SEED))
    except PatternError:
        return None
    return Candidate("random", space, drawn, Ranking.random(space, RANDOM_SEED).cut_of(space, drawn))


def _name(place: Path, found: list[Candidate]) -> str:
    """Name a pattern as no other is named: after the run's folder, or the file."""
    in_a_run = place.name in (PATTERN, DROP_LIST)
    name = place.resolve().name if place.is_dir() else place.resolve().parent.name if in_a_run else place.stem
    taken = {candidate.name for candidate in found} | {"random"}
    numbered = (f"{name} ({number})" for number in itertools.count(len(found) + 1))
    return next(free for free in (name, *itertools.islice(numbered, len(taken) + 1)) if free not in taken)


def most_tokens(candidates: list[Candidate]) -> int:
    """Find the most tokens per passage that one of them was searched with."""
    origins = [c.file.origin for c in candidates if c.file and c.file.origin]
    return max((origin.max_tokens for origin in origins), default=SearchRecipe.model_fields["max_tokens"].default)


def described(
    candidate: Candidate, splits: list[SplitLosses], calibration: CalibrationSet, metric: str
) -> AuditedPattern:
    """What the audit's file says of it."""
    origin, claim = (candidate.file.origin, candidate.file.claim) if candidate.file else (None, None)
    measured = None
    if claim and origin and origin.calibration == calibration.fingerprint:
        searched = Loss.named(origin.loss)
        alike = {"text": searched.text == "nll", "item": searched.items == metric}
        comparable = [kind for kind, same in alike.items() if same]
        audited = [split for split in splits if split.split == "audit" and split.kind in comparable]
        here = [split.at_equal_counts(candidate.name)[0] for split in audited]
        measured = next((found[claim.worst_group] for found in here if claim.worst_group in found), None)
    return AuditedPattern(
        name=candidate.name,
        sha256=candidate.opened.sha256 if candidate.opened else None,
        removed=list(candidate.space.names(candidate.pattern)),
        thinned=candidate.space.thinned(candidate.pattern),
        left=_left(candidate),
        random=candidate.beside,
        reached=ReachedFractions.of(candidate.space.reached(candidate.pattern)),
        claim=claim,
        claimed_group_on_audit=measured,
    )


def _left(candidate: Candidate) -> dict[str, float]:
    parts = zip(candidate.space.parts, candidate.pattern.levels, strict=True)
    return {part.name: round(1 - part.removed[level].params / part.removed[-1].params, 4) for part, level in parts}

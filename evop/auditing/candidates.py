"""The patterns under audit: those asked for, and random ones of every size."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from calibration import CalibrationSet
from evop.auditing.audit_rows import REFITTED, AuditedPattern
from evop.auditing.itself import is_checkpoint, open_checkpoint
from evop.auditing.split_losses import SplitLosses
from evop.errors import EvopError
from evop.files.names import DROP_LIST, HEALED, PATTERN, POINTS
from evop.losses.loss import Loss
from evop.model.checkpoint import Checkpoint
from evop.recipes.search import SearchRecipe
from evop.recovery.heal_file import HealFile
from evop.recovery.recovered import Recovery, parts_digest, recovery_of
from evop.removal.cut import Cut
from evop.removal.opened import OpenedPattern, open_pattern
from evop.removal.pattern_facts import ReachedFractions
from evop.removal.pattern_file import PatternFile
from evop.removal.ranking import Ranking
from evop.removal.space import pattern_space
from evop.removal.zeros_file import Zeros
from evop.timing.chosen_table import timed_as_searched
from patterns import Pattern, PatternError, PatternSpace, Reached

RANDOM_SEED = 0


@dataclass(frozen=True)
class Candidate:
    """A pattern under audit."""

    name: str
    space: PatternSpace
    pattern: Pattern
    cut: Cut
    opened: OpenedPattern
    """Where it comes from."""
    itself: Checkpoint | None = None
    """The checkpoint that is measured by its own weights; None for the dense model with the pattern masked."""
    heal: HealFile | None = None
    """How that checkpoint was healed; None where it was not."""
    beside: str | None = None
    """Name of the random patterns of equal size."""

    @property
    def file(self) -> PatternFile:
        """The pattern file."""
        return self.opened.file

    @property
    def zeros(self) -> Zeros | None:
        """The weights that left one by one; None where units did."""
        return None if self.opened.zeros is None else self.opened.zeros.zeros

    @property
    def recovery(self) -> Recovery:
        """How it was recovered."""
        return recovery_of(self.file, self.heal)


@dataclass(frozen=True)
class RandomPatterns:
    """Random patterns of one budget, units in random order."""

    name: str
    cuts: tuple[Cut, ...]


def candidates_of(
    checkpoint: Checkpoint, paths: list[str | Path], randoms: int
) -> tuple[list[Candidate], list[RandomPatterns]]:
    """List the patterns asked for, and random patterns of each of their budgets.

    Args:
        checkpoint: the model.
        paths: the patterns asked for; a checkpoint among them is measured as itself.
        randoms: how many random patterns are drawn per budget.

    Raises:
        EvopError: a pattern, or a checkpoint, that cannot be opened or does not fit the model.
    """
    candidates: list[Candidate] = []
    drawn: dict[tuple[str, str], tuple[Cut, ...]] = {}
    for path in map(Path, paths):
        candidates.append(_candidate(path, _name(path, candidates), checkpoint))
        drawn.setdefault(_size(candidates[-1]), _at_random(candidates[-1], randoms))
    sizes = [size for size, cuts in drawn.items() if cuts]
    firsts = {size: next(c.name for c in candidates if _size(c) == size) for size in sizes}
    names = {size: "random" if len(sizes) == 1 else f"random as {firsts[size]}" for size in sizes}
    candidates = [replace(candidate, beside=names.get(_size(candidate))) for candidate in candidates]
    return candidates, [RandomPatterns(names[size], drawn[size]) for size in sizes]


def _candidate(path: Path, name: str, checkpoint: Checkpoint) -> Candidate:
    """Open a pattern, or a checkpoint that is measured as itself."""
    if is_checkpoint(path):
        itself, opened = open_checkpoint(path, checkpoint)
        heal = HealFile.of(path)
    else:
        itself, opened, heal = None, open_pattern(path, checkpoint), None
        if opened.checkpoint is not None:
            raise EvopError(
                f"--pattern {path}: the pattern of a refitted checkpoint, whose weights lie in the checkpoint alone; "
                f"give the folder {opened.checkpoint}"
            )
    return Candidate(name, timed_as_searched(opened), opened.pattern, opened.cut, opened, itself, heal)


def _size(candidate: Candidate) -> tuple[str, str]:
    asked = [*sorted(candidate.file.asked.items()), candidate.file.fit and candidate.file.fit.asked]
    return candidate.space.fingerprint, str(asked)


def _at_random(candidate: Candidate, count: int) -> tuple[Cut, ...]:
    """Draw random patterns of a candidate's budget; none for a budget of next to nothing."""
    file, space = candidate.file, candidate.space
    rng = np.random.default_rng(RANDOM_SEED)
    try:
        budget = file.budget(space)
        patterns = [budget.draw(rng) for _ in range(count)]
    except PatternError:
        return ()
    return tuple(Ranking.random(space, seed).cut_of(space, drawn) for seed, drawn in enumerate(patterns))


def _name(place: Path, found: list[Candidate]) -> str:
    """Name a pattern as no other is named: after the folder, or the file; a folder, if need be, with the one above.

    A point of a search by tolerances is named as it is pruned, ``RUN@0.20``. A search and the checkpoint made of it
    often lie in folders of one name.
    """
    in_a_run = place.name in (PATTERN, DROP_LIST)
    whole = place.resolve()
    name = whole.name if place.is_dir() else whole.parent.name if in_a_run else place.stem
    if not place.exists():  # a point by its name, RUN@0.20
        name = place.name
    elif name == HEALED and whole.parent.parent.name == POINTS:
        name = f"{whole.parent.parent.parent.name}@{whole.parent.name}, healed"
    above = [f"{whole.parent.name}/{name}"] if place.is_dir() else []
    taken = {candidate.name for candidate in found} | {"random", REFITTED}
    numbered = (f"{name} ({number})" for number in itertools.count(len(found) + 1))
    names = (name, *above, *itertools.islice(numbered, len(taken) + 1))
    return next(free for free in names if free not in taken)


def most_tokens(candidates: list[Candidate]) -> int:
    """Find the most tokens per passage that one of them was searched with."""
    origins = [c.file.origin for c in candidates if c.file.origin]
    return max((origin.max_tokens for origin in origins), default=SearchRecipe.model_fields["max_tokens"].default)


def described(
    candidate: Candidate, splits: list[SplitLosses], calibration: CalibrationSet, metric: str
) -> AuditedPattern:
    """What the audit's file says of it."""
    origin, claim = candidate.file.origin, candidate.file.claim
    measured = None
    if claim and origin and origin.calibration == calibration.fingerprint and candidate.heal is None:
        searched = Loss.named(origin.loss)
        alike = {"text": searched.text == "nll", "item": searched.items == metric}
        comparable = [kind for kind, same in alike.items() if same]
        audited = [split for split in splits if split.split == "audit" and split.kind in comparable]
        here = [split.at_equal_counts(candidate.name)[0] for split in audited]
        measured = next((found[claim.worst_group] for found in here if claim.worst_group in found), None)
    return AuditedPattern(
        name=candidate.name,
        sha256=candidate.opened.sha256,
        removed=list(candidate.space.names(candidate.pattern)),
        thinned=candidate.space.thinned(candidate.pattern),
        left=_left(candidate) if candidate.opened.known else {},
        random=candidate.beside,
        recovery=candidate.recovery,
        parts=parts_digest(candidate.file, candidate.zeros) if candidate.opened.known else candidate.opened.sha256,
        zeros=candidate.zeros,
        checkpoint=None if candidate.itself is None else candidate.itself.fingerprint,
        healed_tokens=None if candidate.heal is None else candidate.heal.best_at,
        asked=candidate.file.asked if candidate.opened.known else {},
        fit=candidate.file.fit,
        reached=_reached(candidate),
        claim=claim,
        claimed_group_on_audit=measured,
    )


def _reached(candidate: Candidate) -> ReachedFractions:
    """Say how much smaller it is than the dense model: by its pattern, or where that is not known, by its own size."""
    if candidate.opened.known or candidate.itself is None:
        return ReachedFractions.of(candidate.space.reached(candidate.pattern))
    dense, own = candidate.space, pattern_space(candidate.itself, candidate.space.grain)
    blocks = 1 - own.blocks.params / dense.blocks.params
    params, flops = 1 - own.model.params / dense.model.params, 1 - own.model.flops / dense.model.flops
    cache = 1 - own.model.kv / dense.model.kv if dense.model.kv else 0.0
    return ReachedFractions.of(Reached(blocks, params, flops, cache))


def _left(candidate: Candidate) -> dict[str, float]:
    parts = zip(candidate.space.parts, candidate.pattern.levels, strict=True)
    return {part.name: round(1 - part.removed[level].params / part.removed[-1].params, 4) for part, level in parts}

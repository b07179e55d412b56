"""``evop audit``: what the search never saw, group by group, dense beside pruned beside random."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from calibration import CalibrationSet
from evop.auditing.file import AuditedPattern, AuditFile, GroupRow, SummaryRow, rows
from evop.auditing.table import LEVEL, RESAMPLES, SplitLosses, group_frame, split_losses, summary_frame
from evop.checkpoint import Checkpoint
from evop.corrections import FILE as CORRECTIONS
from evop.cut import Cut
from evop.drop_file import DROP_FILE, given_pattern
from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.files import inside, sha256, whole
from evop.latency.of_run import priced_as_searched
from evop.load import LoadedModel, load_model
from evop.meters import losses_of
from evop.meters.lines import items_of
from evop.orders import Orders
from evop.pattern_file import ModelName, PatternFile, ReachedFractions
from evop.recipe import AuditRecipe
from evop.report.audit_plot import draw_audit
from evop.tokens import TokenPassages, tokenize
from evop.version import __version__
from patterns import Budget, Pattern, PatternError, PatternSpace

AUDITED = ("audit", "unseen")
RANDOM_SEED = 0


@dataclass(frozen=True)
class AuditResult:
    """What an audit found: the file as written, and frames of it."""

    folder: Path
    file: AuditFile
    groups: pd.DataFrame
    summary: pd.DataFrame


@dataclass(frozen=True)
class _Candidate:
    """A pattern under audit."""

    name: str
    space: PatternSpace
    pattern: Pattern
    cut: Cut
    file: PatternFile | None = None
    sha256: str | None = None
    beside: str | None = None
    """Name of the random pattern of equal size."""


def audit(
    model: str | Path,
    calibration: str | Path | CalibrationSet,
    patterns: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    report: Callable[[str], None] = lambda line: None,
    **options: Any,
) -> AuditResult:
    """Measure the dense model, patterns, and a random pattern of each size on ``audit`` and ``unseen``.

    Args:
        model: a Hugging Face folder or hub name.
        calibration: a calibration set or its folder.
        patterns: pattern files, search runs, or drop files (``layer_drop_config.txt``).
        out: folder for ``audit.json``, ``audit.csv`` and ``audit.png``.
        report: is given one line a step.
        **options: the fields of ``AuditRecipe``.

    Raises:
        EvopError: bad input, a pattern for another model.
    """
    recipe = AuditRecipe.of(**options)
    given = calibration if isinstance(calibration, CalibrationSet) else CalibrationSet.load(calibration)
    checkpoint = Checkpoint.find(model, recipe.revision)
    paths = [patterns] if isinstance(patterns, str | Path) else list(patterns)
    candidates = _candidates(checkpoint, paths)
    folder = Path(out)
    if folder.is_file():
        raise EvopError(f"--out {folder} is a file; expected a folder to write the audit to")
    max_tokens = recipe.max_tokens or _max_tokens(candidates)
    for candidate in candidates:
        origin = candidate.file.origin if candidate.file else None
        if origin and origin.calibration != given.fingerprint:
            report(
                f"{candidate.name} was searched on another calibration set ({origin.calibration[:12]}): what it saw "
                "may lie in this audit, and what it claims is of other groups"
            )
    loaded = load_model(checkpoint, recipe.device, recipe.dtype, recipe.trust_remote_code)
    metric = recipe.metric or _metric(candidates)
    splits = [
        losses
        for split in AUDITED
        if given.split(split)
        for losses in _measure(split, given, loaded, candidates, max_tokens, metric, recipe.batch_size, report)
    ]
    groups, summary = group_frame(splits, _labels(given)), summary_frame(splits)
    file = AuditFile(
        version=__version__,
        model=ModelName.of(checkpoint),
        calibration=given.fingerprint,
        max_tokens=max_tokens,
        dtype=loaded.dtype,
        metric=metric,
        interval=f"{LEVEL:.0%} paired bootstrap over documents, {RESAMPLES} resamples",
        patterns=[_described(candidate, splits, given) for candidate in candidates],
        groups=[GroupRow(**row) for row in rows(groups)],
        summary=[SummaryRow(**row) for row in rows(summary)],
    )
    folder.mkdir(parents=True, exist_ok=True)
    with whole(folder / "audit.csv") as csv, whole(folder / "audit.png") as picture:
        groups.to_csv(csv, index=False)
        draw_audit(file, picture)
        file.write(folder / "audit.json")
    return AuditResult(folder, file, groups, summary)


def _labels(calibration: CalibrationSet) -> dict[str, str]:
    """Group key -> what a person reads; says of a group that no search on this set could see it."""
    sampled = {passage.group for passage in calibration.split("search")}
    return {
        group.key: group.label if group.unseen or group.key in sampled else f"{group.label} (no search passages)"
        for group in calibration.groups
    }


def _candidates(checkpoint: Checkpoint, paths: list[str | Path]) -> list[_Candidate]:
    """The patterns asked for, each budget's random pattern behind them."""
    found: list[_Candidate] = []
    randoms: dict[tuple[str, Pattern], list[tuple[int, _Candidate]]] = {}
    for path in paths:
        file = given_pattern(path, checkpoint)
        space, pattern = file.on(checkpoint)
        place = inside(path, "pattern.json")
        space = priced_as_searched(file, place, space)
        cut = file.cut(place.with_name(CORRECTIONS))
        found.append(_Candidate(_name(Path(path), found), space, pattern, cut, file, sha256(place)))
        drawn = _at_random(found[-1])
        if drawn is not None:
            randoms.setdefault((space.fingerprint, drawn.pattern), []).append((len(found) - 1, drawn))
    for alike in randoms.values():
        name = "random" if len(randoms) == 1 else f"random as {found[alike[0][0]].name}"
        for i, _ in alike:
            found[i] = replace(found[i], beside=name)
    firsts = [alike[0] for alike in randoms.values()]
    return [*found, *(replace(drawn, name=found[i].beside or drawn.name) for i, drawn in firsts)]


def _at_random(candidate: _Candidate) -> _Candidate | None:
    """A random pattern of a candidate's budget, units leaving in random order; None for a budget of next to nothing."""
    file, space = candidate.file, candidate.space
    assert file is not None
    try:
        drawn = Budget(space, file.remove, file.cost).draw(np.random.default_rng(RANDOM_SEED))
    except PatternError:
        return None
    return _Candidate("random", space, drawn, Orders.random(space, RANDOM_SEED).cut(space, drawn))


def _name(place: Path, found: list[_Candidate]) -> str:
    """A short name no other pattern has: the run's folder, or the file."""
    in_a_run = place.name in ("pattern.json", DROP_FILE)
    name = place.resolve().name if place.is_dir() else place.resolve().parent.name if in_a_run else place.stem
    taken = {candidate.name for candidate in found} | {"random"}
    return name if name not in taken else f"{name} ({len(found) + 1})"


def _max_tokens(candidates: list[_Candidate]) -> int:
    origins = [c.file.origin for c in candidates if c.file and c.file.origin]
    return max((origin.max_tokens for origin in origins), default=512)


def _metric(candidates: list[_Candidate]) -> str:
    """How the first pattern that was searched on items compared choices."""
    origins = [c.file.origin for c in candidates if c.file and c.file.origin]
    return next((found for origin in origins if (found := losses_of(origin.loss)[1])), "accuracy")


def _measure(
    split: str,
    calibration: CalibrationSet,
    loaded: LoadedModel,
    candidates: list[_Candidate],
    max_tokens: int,
    metric: str,
    batch_size: int | None,
    report: Callable[[str], None],
) -> Iterator[SplitLosses]:
    """The text of a split, and its items, under all candidates."""
    passages: TokenPassages = tokenize(calibration.split(split), loaded.tokenizer, max_tokens)
    items = len(items_of(passages)[0])
    counts = {"passages": len(passages.ids) - items, "items": items}
    counted = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    report(f"{split}: {counted}, {passages.total:,} tokens, {passages.cut} cut")
    report(f"{split}: dense, {', '.join(candidate.name for candidate in candidates)}")
    evaluator = Evaluator(loaded, candidates[0].space, Orders(), max_tokens, batch_size, cache_mb=0)
    lines = evaluator.line_losses([Cut(), *(candidate.cut for candidate in candidates)], passages)
    if not np.isfinite(lines).all():
        raise EvopError(f"losses on {split} are not finite at --dtype {loaded.dtype}; use --dtype float32")
    names = [candidate.name for candidate in candidates]
    yield from split_losses(split, passages, lines, names, metric)


def _described(candidate: _Candidate, splits: list[SplitLosses], calibration: CalibrationSet) -> AuditedPattern:
    origin, claim = (candidate.file.origin, candidate.file.claim) if candidate.file else (None, None)
    measured = None
    if claim and origin and origin.calibration == calibration.fingerprint and losses_of(origin.loss)[0] != "kl":
        here = [split.at_equal_counts(candidate.name)[0] for split in splits if split.split == "audit"]
        measured = next((found[claim.worst_group] for found in here if claim.worst_group in found), None)
    return AuditedPattern(
        name=candidate.name,
        sha256=candidate.sha256,
        removed=list(candidate.space.names(candidate.pattern)),
        thinned=candidate.space.thinned(candidate.pattern),
        random=candidate.beside,
        reached=ReachedFractions.of(candidate.space.reached(candidate.pattern)),
        claim=claim,
        claimed_group_on_audit=measured,
    )

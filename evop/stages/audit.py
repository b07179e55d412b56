"""``evop audit``: what the search never saw, group by group, dense beside pruned beside random."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from calibration import CalibrationSet
from evop.auditing.audit_file import AuditFile, GroupRow, Needs, SummaryRow, rows
from evop.auditing.candidates import Candidate, candidates_of, described, most_tokens
from evop.auditing.harness import HarnessTasks, audit_tasks, refuse_tasks
from evop.auditing.needs import measure_needs
from evop.auditing.table import LEVEL, RESAMPLES, SplitLosses, group_frame, split_losses, summary_frame
from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.files.json_file import whole
from evop.files.names import AUDIT, SPEED
from evop.losses.lines import items_of
from evop.losses.loss import Loss
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import LoadedModel, load_model
from evop.recipes.audit import AuditRecipe
from evop.removal.cut import Cut
from evop.removal.opened import OpenedPattern
from evop.removal.pattern_file import ModelName
from evop.removal.ranking import Ranking
from evop.report.audit_plot import draw_audit
from evop.report.page import page
from evop.stages.one_error import one_error
from evop.timing.pattern_speed import time_patterns
from evop.timing.speed_file import SpeedFile
from evop.tokens.passages import TokenPassages, tokenize
from evop.version import __version__

AUDITED = ("audit", "unseen")
PAGE = "report.html"
PICTURE = "audit.png"


@dataclass(frozen=True)
class AuditResult:
    """What an audit found: the file as written, and frames of it."""

    folder: Path
    file: AuditFile
    groups: pd.DataFrame
    summary: pd.DataFrame
    speed: SpeedFile | None = None
    """Of the patterns beside the dense model, where they were timed."""


@one_error
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
        out: folder for ``audit.json``, ``audit.csv``, ``audit.png``, ``speed.json`` and ``report.html``.
        report: is given one line a step.
        **options: the fields of ``AuditRecipe``.

    Raises:
        EvopError: bad input, a pattern for another model.
    """
    recipe = AuditRecipe.of(**options)
    given = calibration if isinstance(calibration, CalibrationSet) else CalibrationSet.load(calibration)
    checkpoint = Checkpoint.find(model, recipe.revision)
    paths = [patterns] if isinstance(patterns, str | Path) else list(patterns)
    candidates = candidates_of(checkpoint, paths)
    tasks = _tasks(recipe)
    folder = Path(out)
    if folder.is_file():
        raise EvopError(f"--out {folder} is a file; expected a folder to write the audit to")
    max_tokens = recipe.max_tokens or most_tokens(candidates)
    _warn_of_other_sets(candidates, given, report)
    loaded = load_model(checkpoint, recipe.device, recipe.dtype, recipe.trust_remote_code)
    metric = recipe.metric or _metric(candidates)
    measure = partial(_measure, given, loaded, candidates, max_tokens, metric, recipe.batch_size, report)
    splits = [losses for split in AUDITED if given.split(split) for losses in measure(split)]
    groups, summary = group_frame(splits, given.labels), summary_frame(splits)
    file = AuditFile(
        version=__version__,
        model=ModelName.of(checkpoint),
        calibration=given.fingerprint,
        max_tokens=max_tokens,
        dtype=loaded.dtype,
        metric=metric,
        interval=f"{LEVEL:.0%} paired bootstrap over documents, {RESAMPLES} resamples",
        patterns=[described(candidate, splits, given, metric) for candidate in candidates],
        groups=[GroupRow(**row) for row in rows(groups)],
        summary=[SummaryRow(**row) for row in rows(summary)],
    )
    _write_numbers(folder, file, groups)
    speed = None
    try:  # what was measured before is kept, and shown, whatever becomes of the rest
        file = file.model_copy(update={"needs": _needs(given, loaded, max_tokens, recipe, report)})
        cuts = {candidate.name: candidate.cut for candidate in candidates if candidate.file}
        speed = time_patterns(loaded, cuts, report) if recipe.speed else None
        if tasks is not None:
            file = file.model_copy(update={"harness": audit_tasks(loaded, _opened(candidates), tasks, report)})
    except BaseException:
        report(f"stopped; what was measured is in {folder}")
        raise
    finally:
        made = page(file, given, _runs(candidates), speed, _command(model, calibration, paths, folder, options))
        _write_all(folder, file, groups, speed, made)
    return AuditResult(folder, file, groups, summary, speed)


def _write_numbers(folder: Path, file: AuditFile, groups: pd.DataFrame) -> None:
    """What was measured, over what lies there of another audit."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (PAGE, PICTURE, SPEED):
        (folder / name).unlink(missing_ok=True)
    with whole(folder / "audit.csv") as csv:
        groups.to_csv(csv, index=False)
        file.write(folder / AUDIT)


def _write_all(folder: Path, file: AuditFile, groups: pd.DataFrame, speed: SpeedFile | None, made: str) -> None:
    """The same with what was measured since, the pictures and the page."""
    _write_numbers(folder, file, groups)
    with whole(folder / PICTURE) as picture, whole(folder / PAGE) as html:
        draw_audit(file, picture)
        html.write_text(made, encoding="utf-8")
        if speed is not None:
            speed.write(folder / SPEED)


def _warn_of_other_sets(
    candidates: list[Candidate], calibration: CalibrationSet, report: Callable[[str], None]
) -> None:
    for candidate in candidates:
        origin = candidate.file.origin if candidate.file else None
        if origin and origin.calibration != calibration.fingerprint:
            report(
                f"{candidate.name} was searched on another calibration set ({origin.calibration[:12]}): what it saw "
                "may lie in this audit, and what it claims is of other groups"
            )


def _needs(
    calibration: CalibrationSet,
    loaded: LoadedModel,
    max_tokens: int,
    recipe: AuditRecipe,
    report: Callable[[str], None],
) -> Needs | None:
    if not recipe.needs or not calibration.split("audit"):
        return None
    report("every part alone, on a few passages of every group")
    found = measure_needs(loaded, calibration, max_tokens, recipe.batch_size)
    if found is None:
        report(f"without some part alone, losses are no numbers at --dtype {loaded.dtype}: not shown")
    return found


def _tasks(recipe: AuditRecipe) -> HarnessTasks | None:
    if not recipe.lm_eval:
        return None
    own = Path(recipe.lm_eval_path) if recipe.lm_eval_path else None
    tasks = HarnessTasks(recipe.lm_eval, own, recipe.lm_eval_groups, recipe.lm_eval_limit)
    refuse_tasks(tasks, recipe.device)
    return tasks


def _opened(candidates: list[Candidate]) -> dict[str, OpenedPattern]:
    """The patterns that were asked for, by name."""
    return {candidate.name: candidate.opened for candidate in candidates if candidate.opened}


def _runs(candidates: list[Candidate]) -> dict[str, Path]:
    """Pattern -> the search run it comes from, where it does."""
    return {name: opened.run for name, opened in _opened(candidates).items() if opened.run is not None}


def _command(
    model: str | Path, calibration: Any, paths: Sequence[str | Path], out: Path, options: Mapping[str, Any]
) -> str:
    """How the audit is asked for on the command line; options that were left alone are left out."""
    given = "SET" if isinstance(calibration, CalibrationSet) else str(calibration)
    words = ["evop", "audit", "--model", str(model), "--calibration", given]
    words += [word for path in paths for word in ("--pattern", str(path))]
    for name, value in options.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words += [] if value == AuditRecipe.model_fields[name].default else [f"--{'' if value else 'no-'}{option}"]
        elif value not in (None, (), AuditRecipe.model_fields[name].default):
            words += [f"--{option}", ",".join(value) if isinstance(value, tuple | list) else str(value)]
    return shlex.join([*words, "--out", str(out)])


def _metric(candidates: list[Candidate]) -> str:
    """How the first pattern that was searched on items compared choices."""
    origins = [c.file.origin for c in candidates if c.file and c.file.origin]
    return next((found for origin in origins if (found := Loss.named(origin.loss).items)), "accuracy")


def _measure(
    calibration: CalibrationSet,
    loaded: LoadedModel,
    candidates: list[Candidate],
    max_tokens: int,
    metric: str,
    batch_size: int | None,
    report: Callable[[str], None],
    split: str,
) -> Iterator[SplitLosses]:
    """The text of a split, and its items, under all candidates."""
    passages: TokenPassages = tokenize(calibration.split(split), loaded.tokenizer, max_tokens)
    items = len(items_of(passages)[0])
    counts = {"passages": len(passages.ids) - items, "items": items}
    counted = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    report(f"{split}: {counted}, {passages.total:,} tokens, {passages.truncated} cut")
    report(f"{split}: dense, {', '.join(candidate.name for candidate in candidates)}")
    evaluator = Evaluator(loaded, candidates[0].space, Ranking(), max_tokens, batch_size, cache_mb=0)
    lines = evaluator.line_losses([Cut(), *(candidate.cut for candidate in candidates)], passages)
    if not np.isfinite(lines).all():
        raise EvopError(f"losses on {split} are not finite at --dtype {loaded.dtype}; use --dtype float32")
    names = [candidate.name for candidate in candidates]
    yield from split_losses(split, passages, lines, names, metric)

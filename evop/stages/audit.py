"""``evop audit``: what the search never saw, group by group, dense beside pruned beside random."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pandas as pd

from calibration import CalibrationSet
from calibration.passage import domain_of
from evop.auditing.audit_file import AuditFile
from evop.auditing.candidates import Candidate, candidates_of, most_tokens
from evop.auditing.harness import HarnessTasks, refuse_tasks
from evop.auditing.measure import Auditor, metric_of
from evop.auditing.random_refits import RandomRefits
from evop.auditing.tolerance import measured, warnings
from evop.errors import EvopError
from evop.files.lock import Writing
from evop.losses.tolerance import Tolerances
from evop.model.checkpoint import Checkpoint
from evop.model.held import HeldModel
from evop.recipes.audit import AuditRecipe
from evop.report.page import page
from evop.searching.frontier_file import FrontierFile, point_folder
from evop.stages.audit_folder import AuditFolder, refuse_no_audit
from evop.stages.judged_healed import judged_healed, unhealed_words
from evop.stages.one_error import one_error
from evop.timing.speed_file import SpeedFile


@dataclass(frozen=True)
class AuditResult:
    """What an audit measured.

    Attributes:
        folder: the folder that it was written to.
        file: the numbers as written.
        speed: the speed of the patterns beside the dense model, where they were timed.
    """

    folder: Path
    file: AuditFile
    speed: SpeedFile | None = None

    @cached_property
    def groups(self) -> pd.DataFrame:
        """One row per pattern, split and group, as in ``audit.csv``."""
        return self.file.group_frame()

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per pattern, split and kind of groups."""
        return self.file.summary_frame()


@one_error
def audit(
    model: str | Path,
    calibration: str | Path | CalibrationSet,
    patterns: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    report: Callable[[str], None] = lambda line: None,
    wait: bool = False,
    **options: Any,
) -> AuditResult:
    """Measure the dense model, patterns, and random patterns of each size on ``audit`` and ``unseen``.

    Args:
        model: a Hugging Face folder or hub name.
        calibration: a calibration set or its folder.
        patterns: pattern files, search runs, drop files (``layer_drop_config.txt``), or pruned checkpoints, which are
            measured by their own weights.
        out: folder for ``audit.json``, ``audit.csv``, ``audit.png``, ``speed.json`` and ``report.html``.
        report: is given one line per step.
        wait: whether to wait for another process that writes to the folder; else that is an error.
        **options: the fields of ``AuditRecipe``.

    Raises:
        EvopError: bad input, a pattern for another model, or another writer.
    """
    recipe = AuditRecipe.of(**options)
    safe = f"what was measured last is in {out}, as far as it is there; the same command measures all of it anew"
    with Writing("audit", Path(out), safe, wait, report).in_place():
        return _audited(recipe, model, calibration, patterns, out, report, options)


def _audited(
    recipe: AuditRecipe,
    model: str | Path,
    calibration: str | Path | CalibrationSet,
    patterns: str | Path | Sequence[str | Path],
    out: str | Path,
    report: Callable[[str], None],
    options: Mapping[str, Any],
) -> AuditResult:
    """Audit, as the only one who writes to the folder."""
    refuse_no_audit(Path(out))
    audited = CalibrationSet.opened(calibration)
    checkpoint = Checkpoint.find(model, recipe.revision)
    paths = [patterns] if isinstance(patterns, str | Path) else list(patterns)
    candidates, randoms = candidates_of(checkpoint, paths, recipe.random_patterns)
    tasks, folder = _tasks(recipe), Path(out)
    max_tokens, metric = recipe.max_tokens or most_tokens(candidates), recipe.metric or metric_of(candidates)
    _warn_of_other_sets(candidates, audited, report)
    _warn_of_healed(candidates, report)
    _say_what_weights_said(candidates, checkpoint, report)
    dense = HeldModel(checkpoint, recipe.device, recipe.dtype, recipe.trust_remote_code)
    tolerated = _tolerated(recipe, candidates, audited)
    refits = RandomRefits(audited, dense, recipe.random_refitted, max_tokens, recipe.batch_size, report)
    candidates, randoms = refits.beside(candidates, randoms)
    auditor = Auditor(audited, dense, candidates, randoms, max_tokens, metric, recipe.batch_size, report, tolerated)
    command = _command(model, calibration, paths, folder, options)
    heals = {candidate.name: candidate.heal for candidate in candidates if candidate.heal is not None}
    draw_page = partial(
        page, calibration=audited, runs=_runs(candidates), command=command, heals=heals, tolerate=_of_text(tolerated)
    )
    with AuditFolder(folder, auditor.audit_file(audited.labels), draw_page, report) as written:
        found = list(measured(written.file))
        for line in dict.fromkeys(line for each in tolerated.values() for line in warnings(found, each)):
            report(line)
        if recipe.needs:
            written.add(needs=auditor.needs())
        if recipe.speed:
            written.speed = auditor.speed()
        if tasks is not None:
            written.add(harness=auditor.harness(tasks))
    return AuditResult(folder, written.file, written.speed)


def _warn_of_other_sets(
    candidates: Sequence[Candidate], calibration: CalibrationSet, report: Callable[[str], None]
) -> None:
    """Say of every pattern that was made on another calibration set what that means for its numbers."""
    for candidate in candidates:
        origin, refit, heal = candidate.file.origin, candidate.file.refit, candidate.heal
        made = {"searched": origin, "refitted": refit, "healed": heal}
        for how, note in made.items():
            if note is not None and note.calibration != calibration.fingerprint:
                claims = ", and what it claims is of other groups" if how == "searched" else ""
                report(
                    f"{candidate.name} was {how} on another calibration set ({note.calibration[:12]}): what it saw "
                    f"may lie in this audit{claims}"
                )
        learned = {domain_of(group) for group in heal.curve[0].excess} if heal is not None else set()
        if origin is not None and (both := sorted(learned & set(origin.held_out))):
            report(f"{candidate.name} learned from {', '.join(both)}, which its search had held out")


def _warn_of_healed(candidates: Sequence[Candidate], report: Callable[[str], None]) -> None:
    """Say of every pattern that was judged healed that it is not what was judged, unless that is audited beside it."""
    beside = {candidate.itself.folder.resolve() for candidate in candidates if candidate.itself is not None}
    for candidate in candidates:
        judged = None if candidate.itself is not None else judged_healed(candidate.opened)
        if judged is not None and judged.resolve() not in beside:
            report(f"{unhealed_words(candidate.opened, judged)}; audit it too: --pattern {judged}")


def _say_what_weights_said(candidates: Sequence[Candidate], dense: Checkpoint, report: Callable[[str], None]) -> None:
    """Say of every model that another tool made what its weights say of what left."""
    for candidate in candidates:
        if not candidate.opened.known:
            report(
                f"{candidate.name}: its weights do not say what left of {dense.name}; it is measured as it is, with no "
                "random patterns beside it"
            )
        elif candidate.opened.is_traced:
            size = f"{candidate.space.reached(candidate.pattern).block_params:.1%}"
            report(f"{candidate.name}: by its weights, {size} of the blocks' parameters left; it is measured as it is")


def _tolerated(
    recipe: AuditRecipe, candidates: Sequence[Candidate], calibration: CalibrationSet
) -> dict[str, Tolerances]:
    """Say what every candidate's groups may lose: what this audit is told, else what its search was.

    Raises:
        EvopError: a domain that the set does not have.
    """
    if recipe.tolerate:
        asked = Tolerances.read(recipe.tolerate)
        asked.refuse_others([domain.name for domain in calibration.manifest.domains])
        return {candidate.name: asked for candidate in candidates}
    origins = {candidate.name: candidate.file.origin for candidate in candidates}
    return {name: Tolerances.read(origin.tolerate) for name, origin in origins.items() if origin and origin.tolerate}


def _of_text(tolerated: Mapping[str, Tolerances]) -> float | None:
    """Take what all candidates may lose of text, where that is one number."""
    found = {each.least["text"] for each in tolerated.values()}
    return found.pop() if len(found) == 1 else None


def _tasks(recipe: AuditRecipe) -> HarnessTasks | None:
    """Check the tasks of lm-evaluation-harness that are to be run; None where there are none."""
    if not recipe.lm_eval:
        return None
    task_files = Path(recipe.lm_eval_path) if recipe.lm_eval_path else None
    tasks = HarnessTasks(recipe.lm_eval, task_files, recipe.lm_eval_groups, recipe.lm_eval_limit)
    refuse_tasks(tasks, recipe.device)
    return tasks


def _runs(candidates: Sequence[Candidate]) -> dict[str, Path]:
    """Pattern -> the search run it comes from, where it does; of one by tolerances, the search of its answer."""
    runs = {candidate.name: candidate.opened.run or _answered(candidate) for candidate in candidates}
    return {name: run for name, run in runs.items() if run is not None}


def _answered(candidate: Candidate) -> Path | None:
    """Find the search of the budget whose pattern is the answer of a search by tolerances; None for another pattern."""
    run = candidate.opened.place.parent
    try:
        frontier = FrontierFile.find(run) if candidate.itself is None else None
    except EvopError:  # of another version: the pattern is good all the same
        return None
    return None if frontier is None or frontier.answer is None else point_folder(run, frontier.answer)


def _command(
    model: str | Path, calibration: Any, paths: Sequence[str | Path], out: Path, options: Mapping[str, Any]
) -> str:
    """Spell out the command that asks for this audit; options that were left alone are left out."""
    place = "SET" if isinstance(calibration, CalibrationSet) else str(calibration)
    words = ["evop", "audit", "--model", str(model), "--calibration", place]
    words += [word for path in paths for word in ("--pattern", str(path))]
    for name, value in options.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words += [] if value == AuditRecipe.model_fields[name].default else [f"--{'' if value else 'no-'}{option}"]
        elif value not in (None, (), AuditRecipe.model_fields[name].default):
            words += [f"--{option}", ",".join(value) if isinstance(value, tuple | list) else str(value)]
    return shlex.join([*words, "--out", str(out)])

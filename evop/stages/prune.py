"""``evop prune``: from a model and a pattern to a smaller checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibration import CalibrationSet
from evop.auditing.audit_file import AuditFile
from evop.errors import EvopError
from evop.export.draft import Draft, drafted
from evop.export.parity import TOLERANCE, ParityReport, check_in_fresh_process
from evop.export.write import Pruning
from evop.files.json_file import inside
from evop.files.lock import Writing
from evop.files.names import AUDIT, HEAL, SEARCH
from evop.model.checkpoint import Checkpoint
from evop.model.sums import write_sums
from evop.recipes.weights import WeightRecipe, refuse_grain, refuse_weight_options, refuse_weights
from evop.removal.opened import OpenedPattern, open_pattern
from evop.report.card import CardFacts, model_card
from evop.searching.search_file import SearchFile
from evop.stages.judged_healed import judged_healed, unhealed_words
from evop.stages.one_error import one_error
from evop.stages.prune_refit import forget_refitted, refitted, refuse_idle
from evop.stages.prune_weights import forget_weights, pattern_of_weights
from evop.timing.chosen_table import timed_as_searched


@dataclass(frozen=True)
class PruneResult:
    """What pruning wrote.

    Attributes:
        folder: the checkpoint.
        kind: ``"stock"``: loads wherever its architecture does; ``"hetero"``: under evop's own ``model_type``.
        parameters: number of parameters of the dense and of the pruned model.
        bytes: bytes of the weight files of the dense and of the pruned model.
        parity: how far the checkpoint computes what was searched; None where it was not checked.
    """

    folder: Path
    kind: str
    parameters: tuple[int, int]
    bytes: tuple[int, int]
    parity: ParityReport | None


@one_error
def prune(
    model: str | Path,
    pattern: str | Path | None,
    out: str | Path,
    *,
    grain: str | None = None,
    audit: str | Path | None = None,
    refit: str = "none",
    calibration: str | Path | CalibrationSet | None = None,
    report: Callable[[str], None] = lambda line: None,
    parity: bool = True,
    wait: bool = False,
    **options: Any,
) -> PruneResult:
    """Write the checkpoint of a pattern, or one with zeros: shard by shard, whole or not at all.

    Args:
        model: a Hugging Face folder or hub name.
        pattern: a ``pattern.json``, a search run's folder, a drop file (``layer_drop_config.txt``), or a checkpoint
            that another tool pruned; None with ``grain``.
        out: the new checkpoint's folder.
        grain: ``"weight"`` instead of a pattern: weights leave one by one, and become zero. None otherwise.
        audit: an audit of this pattern, for the model card.
        refit: how the weights that stay make up for what left; a ``--refit`` of ``evop refit``, or ``"none"``; with
            ``grain``, ``"least-squares"``.
        calibration: a calibration set with text to learn from, or its folder; for ``refit``, and for the metric of
            ``grain``.
        report: is given one line per step.
        parity: whether to check, in a fresh process, that the checkpoint computes what was searched.
        wait: whether to wait for another process that writes to the folder; else that is an error.
        **options: the fields of ``WeightRecipe``; without ``grain``, ``revision`` and ``trust_remote_code`` alone.

    Raises:
        EvopError: bad input, a full disk, a checkpoint that does not compute what was searched, or another writer.
    """
    recipe = WeightRecipe.of(**options)
    if grain is not None:
        refuse_grain(grain)
        refuse_weights(pattern, refit, audit)
    else:
        if pattern is None:
            raise EvopError("--pattern is missing: give a search run or a pattern file; or --grain weight")
        refuse_idle(refit, calibration, audit)
        refuse_weight_options(options)
    revision, trust = recipe.revision, recipe.trust_remote_code
    safe = f"nothing is under {out} yet, and the same command writes it anew"
    with Writing("prune", Path(out), safe, wait, report).beside():
        if grain is not None:
            pattern = pattern_of_weights(model, calibration, Path(out), recipe, refit, report)
        assert pattern is not None
        if grain is None and refit != "none":
            how = {"refit": refit, "revision": revision, "trust_remote_code": trust}
            pattern = refitted(model, pattern, calibration, Path(out), how, report)
        result = _pruned(Checkpoint.find(model, revision), pattern, Path(out), audit, report, parity, trust)
        forget_refitted(Path(out))
        forget_weights(Path(out))
    report(_summary(result))
    return result


def _pruned(
    checkpoint: Checkpoint,
    pattern: str | Path,
    out: Path,
    audit: str | Path | None,
    report: Callable[[str], None],
    parity: bool,
    trust_remote_code: bool,
) -> PruneResult:
    """Prune, as the only one who writes to the folder."""
    opened = open_pattern(pattern, checkpoint)
    audited, labels = None if audit is None else _audit_of(opened, audit), _labels(opened.path, report)
    _refuse_checkpoint(opened)
    if opened.is_traced:
        report(f"its weights say what left: {', '.join(opened.file.words)}; the dense model's are written")
    if (healed := judged_healed(opened)) is not None:
        report(f"{unhealed_words(opened, healed)}; to ship that, copy the folder")
    timed_as_searched(opened)  # refuses a table of times that is missing, or another one
    pruning = Pruning.planned(checkpoint, opened)
    with drafted(out, pruning.bytes) as draft:
        shards = f"{len(pruning.shards)} shard(s)"
        report(f"writing {pruning.plan.format} checkpoint, {len(pruning.plan.layers)} layers, {shards}")
        result = _written(pruning, draft, report, parity=parity, trust_remote_code=trust_remote_code)
        if audit is not None:
            shutil.copyfile(inside(audit, AUDIT), draft.folder / AUDIT)
        (draft.folder / "README.md").write_text(_card(pruning, audited, labels, result), encoding="utf-8")
        write_sums(draft.folder)
        draft.publish()
    return result


def _written(
    pruning: Pruning, draft: Draft, report: Callable[[str], None], *, parity: bool, trust_remote_code: bool
) -> PruneResult:
    """Write a checkpoint into a draft, and check it."""
    written, checked = pruning.write(draft.folder), None
    if parity:
        report("checking in a fresh process that it computes what was searched")
        checked = _checked(pruning, draft, trust_remote_code)
    dense = pruning.checkpoint
    return PruneResult(
        draft.out,
        pruning.plan.format,
        (dense.parameters, dense.parameters - pruning.opened.file.removed_params),
        (dense.weight_file_bytes, written.weight_file_bytes),
        checked,
    )


def _audit_of(opened: OpenedPattern, audit: str | Path) -> AuditFile:
    """Read the audit of a pattern.

    Raises:
        EvopError: no audit, or one of other patterns.
    """
    audited = AuditFile.find(audit)
    if audited.of_pattern(opened.sha256) is None:
        raise EvopError(f"--audit {audit} did not measure --pattern {opened.path}; audit this pattern, or leave it out")
    return audited


def _labels(run: Path, report: Callable[[str], None]) -> Mapping[str, str]:
    """Look up the labels of a search's groups, where the pattern is given as the folder of the search."""
    path = run / SEARCH
    try:
        return SearchFile.read(path).groups if path.is_file() else {}
    except EvopError as error:
        report(f"{error}; the card names groups by their keys")
        return {}


def _refuse_checkpoint(opened: OpenedPattern) -> None:
    """Refuse the pattern of a refitted or healed checkpoint.

    Raises:
        EvopError: its weights lie in the checkpoint, and are not to be had apart.
    """
    if (opened.place.parent / HEAL).is_file():
        raise EvopError(
            f"--pattern {opened.path}: a healed checkpoint is pruned already; give the pattern that it was "
            "pruned by, to write that again, unhealed"
        )
    if opened.checkpoint is not None:
        if opened.zeros is not None:
            raise EvopError(f"--pattern {opened.path}: its weights are zero already, in the checkpoint that it lies in")
        raise EvopError(
            f"--pattern {opened.path}: the pattern of a refitted checkpoint, whose weights lie in the checkpoint "
            "alone; give the folder that it was pruned from, or refit it again"
        )


def _checked(pruning: Pruning, draft: Draft, trust_remote_code: bool) -> ParityReport:
    """Check that a draft computes what was searched; one that does not is set aside.

    Raises:
        EvopError: the draft computes something else.
    """
    parity = check_in_fresh_process(pruning.checkpoint.folder, draft.folder, pruning.opened.place, trust_remote_code)
    if not parity.holds:
        place = draft.set_aside()
        raise EvopError(
            f"the checkpoint does not compute what was searched: logits differ by {parity.ratio:.2g} of their standard "
            f"deviation, allowed is {TOLERANCE:g}, greedy tokens {'agree' if parity.greedy_agrees else 'differ'}; it "
            f"was set aside in {place} and must not be used; please report it with its pattern.json"
        )
    return parity


def _card(pruning: Pruning, audited: AuditFile | None, labels: Mapping[str, str], result: PruneResult) -> str:
    facts = CardFacts(
        checkpoint=pruning.checkpoint,
        pattern=pruning.opened.file,
        plan=pruning.plan,
        parameters=result.parameters,
        bytes=result.bytes,
        parity=result.parity,
        audit=audited,
        labels=labels,
        zeros=pruning.opened.zeros,
    )
    return model_card(facts, pruning.opened.sha256)


def _summary(result: PruneResult) -> str:
    """Say on one line what a person wants to know at the end."""
    shrunk = f"{result.parameters[0]:,} -> {result.parameters[1]:,} parameters, {result.kind}, in {result.folder}"
    if result.parity is None:
        return shrunk
    speed = result.parity.tokens_per_second
    return (
        f"{shrunk}, {result.bytes[0]:,} -> {result.bytes[1]:,} bytes; "
        f"logits differ by {result.parity.ratio:.2g} of their standard deviation at most, "
        f"{speed.dense:,.0f} -> {speed.pruned:,.0f} tokens per second on {result.parity.device}"
    )

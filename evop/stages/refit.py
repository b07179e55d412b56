"""``evop refit``: a pattern gets weights that make up for what left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibration import CalibrationSet
from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.export.draft import drafted, refuse_out
from evop.files.lock import Writing
from evop.files.machine import Machine, note_machine
from evop.files.names import CORRECTIONS, HEAL, LATENCY, PATTERN, REFIT
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import LoadedModel, load_model
from evop.recipes.refit import RefitRecipe
from evop.recipes.search import SearchRecipe
from evop.recovery.refit import Refitting, best_of
from evop.recovery.refit_file import RefitFile
from evop.recovery.refit_folder import RefitFolder
from evop.recovery.refit_text import RefitText
from evop.recovery.samples import ANCHOR
from evop.recovery.text import LearningText
from evop.removal.corrections import write_corrections
from evop.removal.cut import Cut
from evop.removal.opened import OpenedPattern, open_pattern
from evop.removal.pattern_facts import ModelName, RefitNote
from evop.removal.ranking import Ranking
from evop.stages.one_error import one_error
from evop.version import __version__


@dataclass(frozen=True)
class RefitResult:
    """What a refit found.

    Attributes:
        folder: the folder with the pattern and its weights: ``evop prune --pattern`` and ``evop audit --pattern`` take
            it.
        file: what was tried, and what was chosen.
    """

    folder: Path
    file: RefitFile


@one_error
def refit(
    model: str | Path,
    pattern: str | Path,
    calibration: str | Path | CalibrationSet,
    out: str | Path,
    *,
    report: Callable[[str], None] = lambda line: None,
    watch: Callable[[str], None] = lambda line: None,
    wait: bool = False,
    **options: Any,
) -> RefitResult:
    """Refit what a pattern leaves, in closed form; stopped and run again, it goes on where it was.

    Args:
        model: a Hugging Face folder or hub name.
        pattern: a pattern file, a search run's folder, a drop file, or a pruned checkpoint, another tool's alike.
        calibration: a calibration set with text to learn from (``--train-tokens``), or its folder.
        out: folder for the pattern and its weights.
        report: is given one line per step.
        watch: is shown what is worked on.
        wait: whether to wait for another process that writes to the folder; else that is an error.
        **options: the fields of ``RefitRecipe``.

    Raises:
        EvopError: bad input, a healed checkpoint, a full disk, or another writer.
    """
    recipe, place = RefitRecipe.of(**options), Path(out)
    safe = f"the blocks that are done are in {RefitFolder.name(place)}, and the same command goes on from there"
    with Writing("refit", place, safe, wait, report).beside():
        return _refitted(recipe, model, pattern, calibration, place, report, watch)


def _refitted(
    recipe: RefitRecipe,
    model: str | Path,
    pattern: str | Path,
    calibration: str | Path | CalibrationSet,
    place: Path,
    report: Callable[[str], None],
    watch: Callable[[str], None],
) -> RefitResult:
    """Refit, as the only one who writes to the folder."""
    calibration = CalibrationSet.opened(calibration)
    checkpoint = Checkpoint.find(model, recipe.revision)
    opened = open_pattern(pattern, checkpoint)
    _refuse(opened, recipe, place)
    recipe = recipe.model_copy(update={"max_tokens": recipe.max_tokens or _max_tokens(opened)})
    if opened.is_traced:
        report(f"its weights say what left: {', '.join(opened.file.words)}; the dense model's are refitted")
    held_out = _held_out(opened, calibration)
    loaded = load_model(checkpoint, recipe.device, recipe.dtype, recipe.trust_remote_code)
    folder = RefitFolder.beside(place, _identity(opened, calibration, recipe, loaded))
    machines = note_machine(folder.folder, Machine.here(loaded.device, loaded.dtype), report)
    text = RefitText.of(calibration, loaded, recipe, folder.folder, watch, held_out)
    report(f"learning from {text.words}")
    if shortage := text.shortage(loaded):
        report(shortage)
    evaluator = Evaluator(loaded, opened.space, Ranking(), text.max_tokens, recipe.batch_size, cache_mb=0)
    refitting = Refitting(evaluator, opened.cut, text, recipe, folder, watch)
    cuts, tried = refitting.tried()
    file = RefitFile(
        version=__version__,
        model=ModelName.of(checkpoint),
        pattern_sha256=opened.sha256,
        calibration=calibration.fingerprint,
        recipe=recipe.model_dump(mode="json"),
        tokens=text.by_domain,
        anchor=text.source,
        tried=tried,
        chosen=best_of(tried, recipe.refit),
        machines=machines,
    )
    report(_summary(file))
    _write(opened, cuts[file.chosen], file, place)
    folder.remove()
    return RefitResult(place, file)


def _refuse(opened: OpenedPattern, recipe: RefitRecipe, out: Path) -> None:
    """Refuse what cannot be refitted from the dense model's weights, and the text of an anchor without a share."""
    if recipe.anchor_text is not None and not recipe.anchor:
        raise EvopError(f"--anchor-text {recipe.anchor_text}: its share is 0; give --anchor too, such as 0.2")
    if opened.zeros is not None:
        raise EvopError(
            f"--pattern {opened.path} has zeros, and a refit of last projections would fill them; prune again with "
            "--refit least-squares, which keeps them, or evop heal"
        )
    if opened.checkpoint is not None and opened.file.compensate != "none":
        raise EvopError(
            f"--pattern {opened.path}: what compensates (--compensate {opened.file.compensate}) lies in the weights of "
            "the checkpoint alone; give the search run or the refit that it was pruned from"
        )
    if (opened.place.parent / HEAL).is_file():
        raise EvopError(
            f"--pattern {opened.path} is healed already, and a refit begins from the dense model's weights; give the "
            "pattern that it was pruned by"
        )
    refuse_out(out, 0)


def _held_out(opened: OpenedPattern, calibration: CalibrationSet) -> list[str]:
    """List the domains that the search held out, of which a refit learns nothing either; check that text is left."""
    held_out = opened.file.origin.held_out if opened.file.origin else []
    LearningText.refuse_without_text(calibration, held_out)
    return held_out


def _max_tokens(opened: OpenedPattern) -> int:
    """Take the length of passages that the pattern was searched with."""
    origin = opened.file.origin
    return origin.max_tokens if origin else int(SearchRecipe.model_fields["max_tokens"].default)


def _identity(
    opened: OpenedPattern, calibration: CalibrationSet, recipe: RefitRecipe, loaded: LoadedModel
) -> dict[str, Any]:
    return {
        "pattern": opened.sha256,
        "calibration set": calibration.fingerprint,
        "model": loaded.checkpoint.fingerprint,
        "dtype": loaded.dtype,
        **recipe.model_dump(mode="json", exclude={"device", "batch_size", "dtype", "revision", "trust_remote_code"}),
    }


def _summary(file: RefitFile) -> str:
    """Say on one line what the refit brought."""
    before, best = file.tried[0], file.best
    if best is before:
        return f"refit: nothing that was tried is better on select than the weights that are there ({before.value:.4f})"
    worse = [group for group, lost in best.excess.items() if lost > before.excess[group]]
    others = f"; worse than before: {', '.join(worse)}" if worse else "; better in every group"
    return (
        f"refit on select: worst group {before.worst:.4f} -> {best.worst:.4f}, worse half's mean {before.value:.4f} -> "
        f"{best.value:.4f} nats per token (ridge {best.ridge:g}, through layer {best.through}){others}"
    )


def _write(opened: OpenedPattern, cut: Cut, file: RefitFile, out: Path) -> None:
    """Write the pattern, its weights, and the account, whole or not at all."""
    size = sum(weight.nbytes for weight in cut.weights.values())
    with drafted(out, size) as draft:
        best, folder, tokens = file.best, draft.folder, sum(file.tokens.values())
        note = opened.file.refit if opened.checkpoint is None else None  # of the weights that are there, if they stay
        if file.chosen:
            note = RefitNote(
                method=best.method,
                ridge=best.ridge,
                through=best.through,
                calibration=file.calibration,
                tokens=tokens,
                anchor=round(file.tokens.get(ANCHOR, 0) / tokens, 6),
            )
        corrections = write_corrections(cut, folder / CORRECTIONS) if cut.weights or cut.bias else None
        if opened.file.latency is not None:
            (folder / LATENCY).write_bytes(opened.latency.read_bytes())
        # What the search claims, it claims for the weights that were there.
        claim = None if file.chosen or opened.checkpoint is not None else opened.file.claim
        answer = {"refit": note, "corrections": corrections, "claim": claim}
        file.write(folder / REFIT)
        opened.file.model_copy(update=answer).write(folder / PATTERN)
        draft.publish()

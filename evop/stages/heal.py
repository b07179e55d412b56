"""``evop heal``: a pruned model learns from the dense one, watched group by group."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from calibration import CalibrationSet
from evop.errors import EvopError
from evop.export.draft import drafted, refuse_out
from evop.files.json_file import sha256
from evop.files.lock import Writing
from evop.files.machine import Machine, note_machine
from evop.files.names import PATTERN
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import choose_device, load_model
from evop.model.sums import write_sums
from evop.recipes.heal import HealRecipe
from evop.recovery.heal_file import HealFile
from evop.recovery.healing.folder import HealingFolder
from evop.recovery.healing.loop import Healing
from evop.recovery.healing.passages import healing_anchor, healing_passages
from evop.recovery.healing.setup import (
    given_checkpoint,
    identity_of,
    out_of_memory,
    refuse_what_cannot_heal,
    set_up,
)
from evop.recovery.healing.write import CARD, write_healed
from evop.removal.opened import OpenedPattern, open_pattern
from evop.report.heal_card import healed_card
from evop.stages.heal_progress import HealMeter, HealWatch
from evop.stages.one_error import one_error
from evop.stages.prune import prune
from evop.version import __version__


@dataclass(frozen=True)
class HealResult:
    """What healing wrote.

    Attributes:
        folder: the healed checkpoint.
        file: the account of it, as ``heal.json`` holds it.
        labels: group key -> what a person reads.
        left_out: group key -> why nothing was learned from it.
    """

    folder: Path
    file: HealFile
    labels: Mapping[str, str]
    left_out: Mapping[str, str]


@one_error
def heal(
    model: str | Path,
    pattern: str | Path,
    calibration: str | Path | CalibrationSet,
    out: str | Path,
    *,
    watch: HealWatch = lambda progress: None,
    report: Callable[[str], None] = lambda line: None,
    wait: bool = False,
    **options: Any,
) -> HealResult:
    """Train what was pruned until its groups have come back as far as they do; run again, it goes on where it was.

    Written are the weights of the look at which the worse half of the groups lost least on ``select``, as they were
    stored then: those of the start where none was better.

    Args:
        model: the dense model, a Hugging Face folder or hub name.
        pattern: a pruned checkpoint, another tool's alike; or a search run or a pattern file, which is pruned first.
        calibration: a calibration set or its folder, with text to learn from.
        out: the healed checkpoint's folder.
        watch: is shown the progress.
        report: is given a line where something was chosen or left out.
        wait: whether to wait for another process that writes to the folder; else that is an error.
        **options: the fields of ``evop.recipes.heal.HealRecipe``.

    Raises:
        EvopError: bad input, a loss that is not a number, a full disk, a folder that holds another healing, or another
            writer.
    """
    recipe, out = HealRecipe.of(**options), Path(out)
    safe = f"the last look is kept in {HealingFolder(out).folder}, and the same command goes on from there"
    with Writing("heal", out, safe, wait, report).beside():
        return _healed(recipe, model, pattern, calibration, out, watch, report)


def _healed(
    recipe: HealRecipe,
    model: str | Path,
    pattern: str | Path,
    calibration: str | Path | CalibrationSet,
    out: Path,
    watch: HealWatch,
    report: Callable[[str], None],
) -> HealResult:
    """Heal, as the only one who writes to the folder."""
    refuse_what_cannot_heal(recipe)
    refuse_out(out, 0)
    calibration = CalibrationSet.opened(calibration)
    dense, folder = Checkpoint.find(model, recipe.revision), HealingFolder(out)
    given, opened = given_checkpoint(Path(pattern)), open_pattern(pattern, dense)
    loaded = load_model(dense, recipe.device, recipe.dtype, recipe.trust_remote_code)
    held_out = opened.file.origin.held_out if opened.file.origin else ()
    passages = healing_passages(calibration, loaded.tokenizer, recipe, held_out)
    for group, why in passages.left_out.items():
        report(f"not learned from: {calibration.labels[group]} ({why})")
    folder.open(identity_of(opened, given, calibration, recipe))
    machines = note_machine(folder.folder, Machine.here(loaded.device, loaded.dtype), report)
    if given is not None and opened.is_traced:
        pruned = _adopted(given, dense, opened, folder, report)
    else:
        pruned = given or _pruned(model, pattern, folder, recipe, report)
    try:
        anchor = healing_anchor(loaded, recipe, passages, calibration, folder.folder)
        healing = set_up(recipe, loaded, pruned, passages, anchor, folder)
        healing.told = HealMeter(calibration.labels, watch)
        stopped = healing.run()
    except torch.OutOfMemoryError as error:
        raise out_of_memory(error, choose_device(recipe.device)) from error
    file = _account(healing, stopped, opened, pruned, calibration, machines)
    _publish(healing, file, pruned, out, calibration.labels)
    return HealResult(out, file, calibration.labels, passages.left_out)


def _pruned(
    model: str | Path, pattern: str | Path, folder: HealingFolder, recipe: HealRecipe, report: Callable[[str], None]
) -> Checkpoint:
    """Prune what is to be healed, unless that was done before."""
    if not folder.pruned.is_dir():
        trust = recipe.trust_remote_code
        prune(model, pattern, folder.pruned, revision=recipe.revision, trust_remote_code=trust, report=report)
    return Checkpoint.find(folder.pruned)


def _adopted(
    given: Checkpoint, dense: Checkpoint, opened: OpenedPattern, folder: HealingFolder, report: Callable[[str], None]
) -> Checkpoint:
    """Copy what another tool pruned, and put beside it which pattern that is, unless that was done before.

    Raises:
        EvopError: units are zero that its pattern says are gone.
    """
    if dense.parameters - given.parameters != opened.file.removed_params:
        raise EvopError(
            f"--pattern {given.folder}: what left of it is zero, not gone, and would learn again; write it smaller "
            f"first (evop prune --pattern {given.folder} --out FOLDER), and heal that"
        )
    report(f"its weights say what left: {', '.join(opened.file.words)}; it begins with the weights that it has")
    if not folder.pruned.is_dir():
        with drafted(folder.pruned, given.weight_file_bytes) as draft:
            for file in filter(Path.is_file, given.folder.iterdir()):  # folders in it are nothing that a model needs
                shutil.copyfile(file, draft.folder / file.name)
            opened.file.write(draft.folder / PATTERN)
            write_sums(draft.folder)
            draft.publish()
    return Checkpoint.find(folder.pruned)


def _account(
    healing: Healing,
    stopped: str,
    opened: OpenedPattern,
    pruned: Checkpoint,
    calibration: CalibrationSet,
    machines: list[Machine],
) -> HealFile:
    """Write down how the model was healed."""
    stand = healing.stand
    return HealFile(
        version=__version__,
        model=opened.file.model,
        pattern_sha256=sha256(pruned.folder / PATTERN),
        calibration=calibration.fingerprint,
        recipe={**healing.recipe.model_dump(mode="json"), "learning_rate": healing.teacher.rate},
        tokens=stand.tokens,
        stopped=stopped,
        best_at=stand.best_at,
        curve=stand.curve,
        machines=machines,
    )


def _publish(healing: Healing, file: HealFile, pruned: Checkpoint, out: Path, labels: Mapping[str, str]) -> None:
    """Write the healed checkpoint, whole or not at all; then delete what was kept to go on."""
    weights = healing.folder.load_best(file.best_at)
    with drafted(out, pruned.weight_file_bytes) as draft:
        write_healed(pruned, weights, file, draft.folder)
        card = draft.folder / CARD
        before = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
        card.write_text(healed_card(before, file, labels), encoding="utf-8")
        write_sums(draft.folder)
        draft.publish()
    healing.folder.remove()

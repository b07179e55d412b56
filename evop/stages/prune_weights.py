"""The weights of ``evop prune --grain weight``: a pattern in a hidden folder, until the checkpoint is there.

A pattern of weights lies on the disk as a refitted one does, so that what is written, checked in a fresh process and
audited goes the way that every pattern goes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from calibration import CalibrationSet
from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.export.draft import drafted, refuse_out
from evop.files.machine import Machine
from evop.files.names import CORRECTIONS, PATTERN, ZEROS
from evop.importance import refuse_strangers
from evop.importance.metric_file import metric_named
from evop.importance.weights import WeightScores, digest_of, passes_of, weight_metric
from evop.metrics.metric import Metric
from evop.model.checkpoint import Checkpoint
from evop.model.families.family import WEIGHT
from evop.model.loaded import LoadedModel, load_model
from evop.recipes.search import SearchRecipe
from evop.recipes.weights import LEAST_SQUARES, WeightRecipe
from evop.recovery.sparse_refit import SparseRefit
from evop.recovery.text import LearningText
from evop.removal.corrections import write_corrections
from evop.removal.cut import Cut, Place, part_name
from evop.removal.least_squares import DAMPING
from evop.removal.matrices import Masks, Matrix, matrices_of, zeroed
from evop.removal.pattern_facts import RefitNote
from evop.removal.pattern_file import PatternFile
from evop.removal.ranking import Ranking
from evop.removal.space import pattern_space
from evop.removal.sparsity import Sparsity
from evop.removal.zeros_file import Zeros, ZerosFile
from evop.searching.passages import objective_passages
from evop.tokens.draws import drawn
from evop.tokens.passages import TokenPassages
from evop.version import __version__

Report = Callable[[str], None]


def pattern_of_weights(
    model: str | Path,
    calibration: str | Path | CalibrationSet | None,
    out: Path,
    recipe: WeightRecipe,
    refit: str,
    report: Report,
) -> Path:
    """Choose the weights that become zero, and write the pattern of them into a hidden folder beside the checkpoint.

    Raises:
        EvopError: bad input, or text that is needed and not there.
    """
    sparsity, metric = recipe.asked, weight_metric(metric_named(recipe.importance))
    text = _text(calibration, metric, refit)
    checkpoint = Checkpoint.find(model, recipe.revision)
    sparsity.refuse_layers(int(checkpoint.resolved.num_hidden_layers))
    refuse_out(out, 0)
    loaded = load_model(checkpoint, recipe.device, recipe.dtype, recipe.trust_remote_code)
    made = _Made(loaded, matrices_of(loaded), recipe, metric, sparsity, text, report)
    masks, tokens = made.masks()
    cut, learned = (zeroed(loaded, made.matrices, masks), None) if refit == "none" else made.refitted(masks)
    tokens |= {} if learned is None else {"train": learned.tokens}
    account = ZerosFile(
        version=__version__,
        importance=recipe.importance if metric is None else str(metric),
        refit=refit,
        calibration=text.fingerprint if text is not None and tokens else None,
        tokens=tokens,
        zeros=counted(made.matrices, cut, sparsity, masks),
        machine=Machine.here(loaded.device, loaded.dtype),
    )
    report(f"{account.zeros.words}.")
    place = _place(out)
    shutil.rmtree(place, ignore_errors=True)  # of a prune that was stopped
    _write(place, checkpoint, cut, account, learned)
    return place


def forget_weights(out: Path) -> None:
    """Delete the hidden folder: its work is in the checkpoint now."""
    shutil.rmtree(_place(out), ignore_errors=True)


def counted(matrices: list[Matrix], cut: Cut, sparsity: Sparsity, masks: Masks) -> Zeros:
    """Count the zeros of a cut, and what they would save."""
    zeros = weights = stored = packed = 0
    for matrix in matrices:
        values = cut.matrices[matrix.place][matrix.name].values
        gone = int((~masks[matrix.place][matrix.name]).sum())
        zeros, weights, stored = zeros + gone, weights + values.numel(), stored + values.nbytes
        packed += sparsity.packed_bytes(values.numel(), gone, values.element_size())
    return Zeros(
        sparsity=str(sparsity),
        zeros=zeros,
        weights=weights,
        stored_bytes=stored,
        packed_bytes=packed,
        masks=digest_of(masks),
    )


class _Made:
    """Makes masks, and weights that suit them."""

    def __init__(
        self,
        loaded: LoadedModel,
        matrices: list[Matrix],
        recipe: WeightRecipe,
        metric: Metric | None,
        sparsity: Sparsity,
        text: CalibrationSet | None,
        report: Report,
    ) -> None:
        self.loaded, self.matrices, self.recipe, self.report = loaded, matrices, recipe, report
        self.metric, self.sparsity, self.text = metric, sparsity, text
        space = pattern_space(loaded.checkpoint, WEIGHT)
        self.evaluator = Evaluator(loaded, space, Ranking(), recipe.max_tokens, recipe.batch_size, cache_mb=0)

    def masks(self) -> tuple[Masks, dict[str, int]]:
        """Say which weights stay, and how many tokens of which split were read for it."""
        passes = passes_of([self.metric])
        if self.metric is not None and self.metric.shares:
            refuse_strangers(self.metric, self._passages().groups)
        if not passes:
            return WeightScores(self.matrices, seed=self.recipe.seed).masks(self.metric, self.sparsity), {}
        passages = drawn(self._passages(), self.metric.draw if self.metric else "")
        self.report(f"measuring inputs{' and gradients' if passes > 1 else ''} on {passages.total:,} tokens of search")
        scores = self.evaluator.backoff(
            lambda batch_tokens: WeightScores.gathered(
                self.loaded.model, self.matrices, passages, batch_tokens, gradients=passes > 1
            )
        )
        return scores.masks(self.metric, self.sparsity), {"search": passages.total}

    def _passages(self) -> TokenPassages:
        assert self.text is not None
        as_search = SearchRecipe.of(
            grain="channel", max_tokens=self.recipe.max_tokens, min_group_tokens=self.recipe.min_group_tokens
        )
        return objective_passages(self.text, self.loaded.tokenizer, as_search).search.as_text()

    def refitted(self, masks: Masks) -> tuple[Cut, LearningText]:
        """Let the weights that stay make up for the others, and say by which text."""
        assert self.text is not None
        learning = LearningText.of(self.text, self.loaded.tokenizer, self.recipe.max_tokens)
        self.report(f"fitting what stays on {learning.tokens:,} tokens of train")

        def fit(batch_tokens: int) -> Cut:
            return SparseRefit(self.loaded, self.matrices, masks, learning, batch_tokens, self._tick).cut()

        return self.evaluator.backoff(fit), learning

    def _tick(self, place: Place) -> None:
        if place[0] == "attn":
            self.report(f"fitting {part_name('layer', place[1])}")


def _text(calibration: str | Path | CalibrationSet | None, metric: Metric | None, refit: str) -> CalibrationSet | None:
    """Open the calibration set, where text is read, or groups of it are named.

    Raises:
        EvopError: it is not given, or has nothing to learn from.
    """
    if calibration is None:
        measures = "measures inputs" if passes_of([metric]) else "names groups" if metric and metric.shares else ""
        if measures or refit != "none":
            what = f"the metric {measures}" if measures else f"--refit {refit} learns from text"
            raise EvopError(f"--grain {WEIGHT}: {what}; give --calibration, or --importance magnitude --refit none")
        return None
    text = CalibrationSet.opened(calibration)
    if refit != "none":
        LearningText.refuse_without_text(text)
    return text


def _write(place: Path, checkpoint: Checkpoint, cut: Cut, account: ZerosFile, learned: LearningText | None) -> None:
    """Write the pattern, its weights and the account, whole or not at all."""
    space = pattern_space(checkpoint, WEIGHT)
    note = None
    if learned is not None and account.calibration is not None:
        layers = int(checkpoint.resolved.num_hidden_layers)
        note = RefitNote(
            method=LEAST_SQUARES,
            ridge=DAMPING,
            through=layers - 1,
            calibration=account.calibration,
            tokens=learned.tokens,
            anchor=0.0,
        )
    with drafted(place, account.zeros.stored_bytes) as draft:
        corrections = write_corrections(cut, draft.folder / CORRECTIONS)
        account.write(draft.folder / ZEROS)
        PatternFile.describe(
            checkpoint, space, space.dense, Cut(), remove=None, cost="params", refit=note, corrections=corrections
        ).write(draft.folder / PATTERN)
        draft.publish()


def _place(out: Path) -> Path:
    return out.with_name(f".{out.name}.weights")

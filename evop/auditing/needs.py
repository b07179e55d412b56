"""Which domain needs which layer: what every group loses when one part alone leaves the dense model."""

from __future__ import annotations

from collections import Counter

import numpy as np

from calibration import CalibrationSet
from evop.auditing.audit_rows import Needs
from evop.evaluator import Evaluator
from evop.losses.loss import Loss
from evop.losses.table import excess
from evop.model.loaded import LoadedModel
from evop.recipes.search import CACHE_MB
from evop.removal.cut import Cut
from evop.removal.ranking import Ranking
from evop.removal.space import pattern_space
from evop.tokens.passages import TokenPassages, tokenize

PASSAGES, ITEMS = 3, 24
"""So many passages, or questions, per group are read: enough to see what a group cannot do without."""


def measure_needs(
    loaded: LoadedModel, calibration: CalibrationSet, max_tokens: int, batch_size: int | None = None
) -> Needs | None:
    """Measure every attention and every MLP gone alone, or every layer where the family holds no less.

    Args:
        loaded: the dense model.
        calibration: the set whose ``audit`` split is read: its text, or where it has none, its questions.
        max_tokens: tokens per passage at most.
        batch_size: passages per batch; None to try out how many fit.

    Returns:
        Excess per group and part, nats per token or share of the questions; None where a loss is no number.
    """
    config = loaded.checkpoint.resolved
    grain = "layer" if loaded.family.refusal(config, "subblock", "any") else "subblock"
    space = pattern_space(loaded.checkpoint, grain, "any", ())
    passages = _glance(calibration, loaded, max_tokens)
    evaluator = Evaluator(
        loaded, space, Ranking(), max_tokens, batch_size, Loss.named("nll+accuracy"), cache_mb=CACHE_MB
    )
    cuts = [evaluator.cut(space.pattern([part.name])) for part in space.parts]
    dense, *alone = (table.by_group for table in evaluator.of_cuts([Cut(), *cuts], passages))
    lost = [excess(losses, dense) for losses in alone]
    if not all(np.isfinite(list(losses.values())).all() for losses in lost):
        return None
    return Needs(
        kind="text" if passages.item(0) is None else "item",
        parts=[part.name for part in space.parts],
        excess={group: [round(losses[group], 6) for losses in lost] for group in sorted(dense)},
        passages=len(passages.ids),
    )


def _glance(calibration: CalibrationSet, loaded: LoadedModel, max_tokens: int) -> TokenPassages:
    """Tokenize the first passages of every group, in the order of the split."""
    audited = calibration.split("audit")
    kind = "text" if any(passage.kind == "text" for passage in audited) else "item"
    most, seen, chosen = PASSAGES if kind == "text" else ITEMS, Counter[str](), []
    for passage in audited:
        if passage.kind == kind and seen[passage.group] < most:
            seen[passage.group] += 1
            chosen.append(passage)
    return tokenize(chosen, loaded.tokenizer, max_tokens)

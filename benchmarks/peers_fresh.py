"""evop's ``swap`` as EvoPress runs its own: its settings, and tokens drawn anew for each selection.

Apart from the search loop: there a pattern is measured once, on tokens that stay. Here the strategy is asked and told,
and every step of a selection measures the mean divergence from the dense model over a stretch of passages drawn anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration import CalibrationSet
from evop.evaluator import Evaluator
from evop.losses.loss import Loss
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.removal.space import layer_count, pattern_space
from evop.tokens.passages import TokenPassages, tokenize
from patterns import Budget, Pattern
from patterns.strategies.swap import Swap, SwapSettings

FEW, MANY = 256, 4096
"""Tokens of the first step of a selection, and of the last: EvoPress' for depth by eight, as its own code was run."""
BATCH = 4
"""Passages of full length in a forward pass."""


@dataclass(frozen=True)
class Evolved:
    """What a search found.

    Attributes:
        removed: names of the parts that are gone.
        patterns: number of measurements.
        tokens: tokens scored, of the dense model not counted.
    """

    removed: list[str]
    patterns: int
    tokens: int


def evolve(model: str, calibration: CalibrationSet, remove: float, seed: int, max_tokens: int) -> Evolved:
    """Search as EvoPress does: search and select passages alike, none set aside.

    Args:
        model: the model.
        calibration: the calibration set.
        remove: fraction of the decoder blocks' parameters.
        seed: of the strategy, and of the tokens drawn.
        max_tokens: tokens of a passage.
    """
    checkpoint = Checkpoint.find(model)
    loaded = load_model(checkpoint, "cpu", "float32")
    budget = Budget(pattern_space(checkpoint, "subblock", "balanced"), remove)
    evaluator = Evaluator.of(loaded, budget.space, max_tokens, BATCH, Loss.named("kl"))
    pool = tokenize([*calibration.split("search"), *calibration.split("select")], loaded.tokenizer, max_tokens)
    rng = np.random.default_rng(seed)
    pairs = sum(budget.draw(rng).levels) // 2
    strategy = Swap(budget, seed, settings=SwapSettings.of_evopress(pairs, layer_count(checkpoint)))
    patterns = tokens = 0
    while asked := strategy.ask():
        passages = stretch(pool, MANY if strategy.fidelity == 1 else FEW, rng)
        strategy.tell(_divergences(evaluator, asked, passages))
        patterns, tokens = patterns + len(asked), tokens + len(asked) * passages.total
    answer = strategy.completion({})
    assert answer is not None
    return Evolved(list(budget.space.names(answer)), patterns, tokens)


def stretch(pool: TokenPassages, tokens: int, rng: np.random.Generator) -> TokenPassages:
    """Draw passages without repetition until they hold so many tokens; the last one is cut to fit."""
    ids: list[tuple[int, ...]] = []
    chosen: list[int] = []
    for i in rng.permutation(len(pool.ids)).tolist():
        left = tokens - sum(map(len, ids))
        if left < 2:
            break
        chosen.append(i)
        ids.append(pool.ids[i][:left])
    drawn = pool.take(chosen)
    return TokenPassages(tuple(ids), drawn.groups, drawn.documents, drawn.shortened)


def _divergences(evaluator: Evaluator, patterns: list[Pattern], passages: TokenPassages) -> dict[Pattern, float]:
    """Measure the mean divergence from the dense model over all tokens, in nats."""
    tables = evaluator.losses(patterns, passages)
    return {
        pattern: float(table.loss.sum() / table.counts.sum()) for pattern, table in zip(patterns, tables, strict=True)
    }

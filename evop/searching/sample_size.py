"""Is the sample large enough? How well a group's mean is known, beside how much groups differ."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from calibration import Recipe
from calibration.seeded import generator
from evop.fitness.fitness import Fitness
from evop.losses.table import LossTable
from evop.recipes.search import SearchRecipe
from evop.searching.search_file import SampleSize
from patterns import Budget

RANDOM_PATTERNS = 4
"""Random patterns that are measured passage by passage; the better half of them counts."""
LEAST_EVALUATIONS = 20 * RANDOM_PATTERNS
"""A search of fewer patterns than this does without: these would be more than a twentieth of its work."""
ENOUGH = 0.5
"""A sample is enough where the standard error of a group's mean is this share of the spread between groups."""


def note_on(size: SampleSize, recipe: SearchRecipe, asked: Recipe) -> str:
    """Say that the sample is too small for the objective; "" where it is not.

    The worst group alone is a maximum over noisy means, so it needs more than a mean over groups does.

    Args:
        size: what was measured.
        recipe: names the objective, the loss and the scale.
        asked: what the calibration set was built by.
    """
    worst = recipe.objective == "worst"
    if size.error <= size.spread * (ENOUGH if worst else 1):
        return ""
    unit = recipe.loss.unit if recipe.scale == "none" else "of a random pattern's excess"
    what, sampled = ("passages", asked.passages) if "text" in recipe.loss.kinds else ("items", asked.items)
    known = f"the sample is small: a group's mean excess is known to {size.error:.3f} {unit}"
    if size.enough is None:
        line = f"{known}, and groups differ by less than can be seen so; calibrate with more --{what}"
    else:
        more = math.ceil(sampled * size.enough / size.passages)
        line = (
            f"{known}, and groups differ by {size.spread:.3f}; about {size.enough} {what} per group would do (now "
            f"{size.passages:.1f}): calibrate with --{what} {more} instead of {sampled}"
        )
    return line + ("; until then --objective worst follows the noise: use cvar" if worst else "")


def asks_for_sample_size(recipe: SearchRecipe) -> bool:
    """Say whether a search measures whether its sample is large enough.

    One that counts its tokens spends them on its own patterns, and one that judges no patterns needs no sample. One
    with tolerances says by an interval what its sample leaves open.
    """
    if recipe.tolerate:
        return False
    enough = recipe.evaluations is None or recipe.evaluations >= LEAST_EVALUATIONS
    return recipe.tokens is None and recipe.strategy != "oneshot" and enough


def measured_sample_size(fitness: Fitness, budget: Budget) -> SampleSize | None:
    """Measure random patterns of the budget on the search sample, passage by passage.

    A pattern that ruins the model tells groups apart far more than a good one does, and a search is among good ones:
    the half that loses more is left out.

    Returns:
        None where a loss is no number, or where fewer than two groups have two documents.
    """
    sample, rng = fitness.sample, generator("sample size", *budget.seed_words)
    drawn = [budget.draw(rng) for _ in range(RANDOM_PATTERNS)]
    dense, *tables = sample.tables([budget.space.dense, *drawn], sample.passages)
    if not all(table.finite for table in (dense, *tables)):
        return None
    scale = fitness.scale or {}
    units = np.array([scale.get(group, 1.0) for group in dense.groups])
    losses = [LossTable(dense.groups, (table.loss - dense.loss) / units, dense.counts) for table in tables]
    losses.sort(key=lambda table: float(np.mean(list(table.by_group.values()))))
    return sample_size_of(losses[: RANDOM_PATTERNS // 2], sample.passages.documents)


def sample_size_of(losses: Sequence[LossTable], documents: Sequence[str]) -> SampleSize | None:
    """Compare the noise of groups' means with what they differ by.

    Passages of one document are alike, so documents are what is drawn: the error is that of a ratio of sums over
    documents. The variance between groups is that of the measured means less the mean squared error.

    Args:
        losses: the excess of each pattern, passage by passage.
        documents: the document of each passage.

    Returns:
        None where fewer than two groups have two documents.

    Source: Cochran, "Sampling Techniques" (1977), section 2.11 (variance of a ratio); one-way analysis of variance.
    """
    numbers = [_means_and_errors(table, documents) for table in losses]
    noise = [float(np.mean(squares)) for _, squares in numbers]
    if len(numbers[0][0]) < 2:
        return None
    between = [float(np.var(means, ddof=1)) - square for (means, _), square in zip(numbers, noise, strict=True)]
    error, spread = math.sqrt(np.mean(noise)), math.sqrt(max(0.0, float(np.mean(between))))
    passages = len(documents) / len(losses[0].names)
    enough = math.ceil(passages * (error / (ENOUGH * spread)) ** 2) if spread > 0 else None
    return SampleSize(
        patterns=len(losses), error=round(error, 6), spread=round(spread, 6), passages=round(passages, 2), enough=enough
    )


def _means_and_errors(table: LossTable, documents: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Compute mean and squared standard error of every group with two documents or more, float64 [groups] each."""
    means, squares = [], []
    for group in table.names:
        rows = [i for i, name in enumerate(table.groups) if name == group]
        names = sorted({documents[i] for i in rows})
        if len(names) < 2:
            continue
        owner = [names.index(documents[i]) for i in rows]
        sums, counts = (np.bincount(owner, weights=values[rows]) for values in (table.loss, table.counts))
        mean = sums.sum() / counts.sum()
        rest = ((sums - mean * counts) ** 2).sum() * len(names) / (len(names) - 1)
        means.append(mean)
        squares.append(rest / counts.sum() ** 2)
    return np.array(means), np.array(squares)

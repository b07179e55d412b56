"""The setup of a search: all it needs before its first pattern, measured, or read where a log is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from calibration import CalibrationSet
from calibration.seeded import generator
from evop.errors import EvopError
from evop.files.machine import Machine, note_machine
from evop.fitness.fitness import Fitness
from evop.fitness.folds import Folds
from evop.fitness.sample import Losses, Sample
from evop.fitness.search_evaluator import search_evaluator
from evop.losses.objectives import objective_of
from evop.losses.table import excess
from evop.model.loaded import LoadedModel
from evop.recipes.search import SearchRecipe
from evop.searching.folder import SearchRun
from evop.searching.identity import identity_asked, identity_found
from evop.searching.moments import moment_texts, moment_tokens
from evop.searching.passages import ObjectivePassages, at_chance, objective_passages
from evop.searching.plan import SearchPlan
from evop.searching.progress import Progress, Watch
from evop.searching.rankings import folds_of, notes_on_folds, rankings_of, samples_of, tokens_of_rankings
from evop.searching.refits import FinalistRefits
from evop.searching.sample_size import RANDOM_PATTERNS, asks_for_sample_size, measured_sample_size, note_on
from evop.searching.sampling import Sampling
from evop.searching.search_file import SampleSize
from evop.searching.tolerated import tolerated
from patterns import Budget, Pattern, TrialLog

SCALE_PATTERNS = 32
"""Number of random patterns whose median excess is the unit of ``--scale random``."""


@dataclass(frozen=True)
class SearchSetup:
    """Everything that one search works with.

    Attributes:
        calibration: the calibration set.
        budget: what has to go, over a space that knows how much its units matter.
        passages: the passages that are searched and selected on.
        fitness: judges patterns on ``search``.
        log: the trials, and what follows from the identity.
        tokens: purpose -> tokens scored for it before the first pattern.
        refits: the text that finalists are refitted by, and how many of them are.
        sample_size: whether the search sample is large enough; None where that was not measured.
        notes: lines that a person would like to know before the search begins.
        starts: patterns that the search begins with, beside what its strategy begins with.
    """

    calibration: CalibrationSet
    budget: Budget
    passages: ObjectivePassages
    fitness: Fitness
    log: TrialLog
    tokens: Mapping[str, int]
    refits: FinalistRefits
    sample_size: SampleSize | None
    notes: tuple[str, ...]
    starts: tuple[Pattern, ...] = ()

    @property
    def labels(self) -> dict[str, str]:
        """Group key -> the label that a person reads."""
        return self.calibration.labels

    @property
    def spent(self) -> int:
        """Tokens scored before the first pattern."""
        return sum(self.tokens.values())

    def reserve(self, finalists: int) -> int:
        """Count the tokens that the end of a search takes: choosing among finalists, or completing a pattern."""
        holding = self.refits.holdings(self.tolerates) * self.passages.select.total
        return self.refits.reserve(finalists, self.passages) + holding

    @property
    def tolerates(self) -> bool:
        """Whether groups have tolerances, against which the answer is held in the end."""
        return self.log.header.get("tolerate") is not None


def set_up(
    plan: SearchPlan, calibration: CalibrationSet, run: SearchRun, loaded: LoadedModel, watch: Watch
) -> SearchSetup:
    """Read the passages, rank the units, measure the dense model, open the log.

    What the header of a log and the files beside it say is not measured again. A table of times, where the budget
    counts them, was measured before; it is written with the rest.

    Raises:
        EvopError: no group can be judged, ``--tokens`` are too few, or the folder holds another search.
    """
    recipe, header = plan.recipe, run.header or {}
    evaluator = search_evaluator(recipe, loaded, plan.budget.space)
    passages = objective_passages(calibration, loaded.tokenizer, recipe)
    # A log's own word is taken: another device could find a group just on the other side of chance.
    guessed = header.get("at_chance", {}) if header else at_chance(passages, evaluator)
    passages = passages.without(guessed)
    folds = folds_of(recipe, passages.search)
    texts = moment_texts(recipe, calibration, loaded.tokenizer, samples_of(passages.search, folds))
    sampling = Sampling.of(recipe, calibration, loaded, passages.search)
    tokens = {**_tokens_before(recipe, sampling, folds), **moment_tokens(evaluator, texts)}
    refits = FinalistRefits.within(recipe, calibration, loaded, passages, sampling.fidelities[-1].trained)
    _refuse_too_few_tokens(recipe, passages, tokens, refits)
    rankings = rankings_of(recipe, run, evaluator, passages.search, folds, texts, watch)
    evaluator = evaluator.with_ranking(rankings.whole)
    budget = replace(plan.budget, space=evaluator.space)
    # The identity is known in full only now: the space's fingerprint covers the ranking.
    identity = {**identity_asked(plan, calibration), **identity_found(loaded, passages, evaluator.space, rankings)}
    run.refuse_another(identity)
    watch(Progress("dense"))
    sample = sampling.sample(recipe, identity, evaluator, rankings.cross)
    fitness = _fitness(recipe, sample, budget, header, tolerated(recipe, calibration, passages.search))
    derived = {
        "parts": [part.name for part in budget.space.parts],
        "groups": list(passages.groups),
        "at_chance": guessed,
        "dense": {str(count): losses for count, losses in fitness.dense.items()},
        "scale_by": fitness.scale,
    }
    other_machine: list[str] = []
    run.machines = note_machine(run.folder, Machine.here(loaded.device, loaded.dtype), other_machine.append)
    log = run.log(identity, derived, rankings.all, plan.table)
    size = measured_sample_size(fitness, budget) if asks_for_sample_size(recipe) else None
    on_size = note_on(size, recipe, calibration.manifest.recipe) if size else ""
    told = tuple(filter(None, [*other_machine, *notes_on_folds(recipe, folds), on_size, refits.note]))
    return SearchSetup(calibration, budget, passages, fitness, log, tokens, refits, size, told, plan.starts)


def _tokens_before(recipe: SearchRecipe, sampling: Sampling, folds: Folds | None) -> dict[str, int]:
    """Count the tokens scored before the first pattern, by purpose."""
    search = sampling.passages
    return {
        "dense": sampling.dense,
        "importance": tokens_of_rankings(recipe, search, folds),
        "scale": SCALE_PATTERNS * search.total if recipe.scale == "random" else 0,
        "sample_size": RANDOM_PATTERNS * search.total if asks_for_sample_size(recipe) else 0,
    }


def _refuse_too_few_tokens(
    recipe: SearchRecipe, passages: ObjectivePassages, tokens: Mapping[str, int], refits: FinalistRefits
) -> None:
    least = sum(tokens.values()) + passages.search.total + refits.trained + refits.reserve(0, passages)
    least += refits.holdings(bool(recipe.tolerate)) * passages.select.total
    if recipe.tokens is not None and recipe.tokens < least:
        raise EvopError(
            f"--tokens {recipe.tokens:,} is too few for one pattern: with the dense model, what ranks units and the "
            f"answer on search and select it takes {least:,}; give more, or fewer --passages when calibrating"
        )


def _fitness(
    recipe: SearchRecipe,
    sample: Sample,
    budget: Budget,
    header: Mapping[str, Any],
    tolerance: Mapping[str, float] | None,
) -> Fitness:
    """Measure the dense model, and the scale where one is asked for; read them where the log has a header.

    Where groups have tolerances, these are the scale.
    """
    dense = header.get("dense") or {str(fidelity.passages): sample.dense(fidelity) for fidelity in sample.fidelities}
    unscaled = Fitness(
        sample, objective_of(recipe.objective, recipe.tail), {int(count): losses for count, losses in dense.items()}
    )
    scale = header.get("scale_by") or (_scale(unscaled, budget) if recipe.scale == "random" else None)
    return replace(unscaled, scale=scale or tolerance)


def _scale(fitness: Fitness, budget: Budget) -> dict[str, float]:
    """Measure random patterns of the budget: each group's median excess over them, in the unit of its loss.

    Raises:
        EvopError: random patterns do not lose anything in some group.
    """
    rng = generator("scale", *budget.seed_words)
    excesses: list[Losses] = []
    for measurement in fitness(budget.draw(rng) for _ in range(SCALE_PATTERNS)):
        if measurement.failed is None:
            excesses.append(excess(measurement.losses, fitness.dense[fitness.sample.full.passages]))
    groups = excesses[0] if excesses else {}
    medians = {group: float(np.median([losses[group] for losses in excesses])) for group in groups}
    harmless = next((group for group, median in medians.items() if median <= 0), None)
    if not medians or harmless:
        where = f"in {harmless}" if harmless else "that is a number"
        raise EvopError(
            f"--scale random: random patterns of this budget have no median excess above zero {where}; use --scale "
            "none, on text and tasks each by itself"
        )
    return medians

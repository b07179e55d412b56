"""What a search needs before its first pattern: the ranking of units, the dense model's losses, scales, the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from calibration import CalibrationSet
from calibration.seeded import generator
from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.fitness.fidelities import fidelities_of
from evop.fitness.fitness import Fitness
from evop.fitness.sample import Losses, Sample
from evop.fitness.search_evaluator import search_evaluator
from evop.fitness.store import LossStore
from evop.importance.measured import measured_ranking, passes
from evop.losses.objectives import objective_of
from evop.losses.table import excess
from evop.model.loaded import LoadedModel
from evop.recipes.search import SearchRecipe
from evop.removal.ranking import Ranking
from evop.searching.folder import SearchRun
from evop.searching.identity import identity_asked, identity_found
from evop.searching.passages import ObjectivePassages, at_chance, objective_passages
from evop.searching.plan import SearchPlan
from evop.searching.progress import Progress, Watch
from patterns import FINALISTS, Budget, Fidelity, TrialLog

SCALE_PATTERNS = 32
"""Random patterns whose median excess is the unit of ``--scale random``."""


@dataclass(frozen=True)
class SearchSetup:
    """Everything one search works with.

    Attributes:
        calibration: the set.
        budget: over a space that knows what its units matter.
        passages: what is searched and selected on.
        fitness: judges patterns on ``search``.
        log: the trials, and what follows from the identity.
        tokens: what was scored before the first pattern, by purpose.
    """

    calibration: CalibrationSet
    budget: Budget
    passages: ObjectivePassages
    fitness: Fitness
    log: TrialLog
    tokens: Mapping[str, int]

    @property
    def labels(self) -> dict[str, str]:
        """Group key -> what a person reads."""
        return self.calibration.labels

    @property
    def set_aside(self) -> int:
        """Tokens scored before the first pattern, and those that the finalists will take."""
        return _set_aside(self.tokens, self.passages)


def set_up(
    plan: SearchPlan, calibration: CalibrationSet, run: SearchRun, loaded: LoadedModel, watch: Watch
) -> SearchSetup:
    """Read the passages, rank the units, measure the dense model, open the log.

    What a log's header and the files beside it say is not measured again. A table of times, where the budget counts
    them, was measured before; it is written with the rest.
    """
    recipe, evaluator = plan.recipe, search_evaluator(plan.recipe, loaded, plan.budget.space)
    passages = objective_passages(calibration, loaded.tokenizer, recipe)
    header = run.header or {}
    guessed = header.get("at_chance", {}) if header else at_chance(passages, evaluator)
    passages = passages.without(guessed)
    tokens = _tokens_before(recipe, passages.search.total)
    _refuse_too_few_tokens(recipe, passages, tokens)
    ranking = _ranking(recipe, run, evaluator, passages, watch)
    evaluator = evaluator.ordered(ranking)
    budget = replace(plan.budget, space=evaluator.space)
    identity = {**identity_asked(plan, calibration), **identity_found(loaded, passages, evaluator.space)}
    run.refuse_another(identity)
    watch(Progress("dense"))
    fidelities = fidelities_of(passages.search)
    sample = Sample(evaluator, passages.search, fidelities, _store(recipe, identity, fidelities))
    dense = header.get("dense") or {str(fidelity.passages): sample.dense(fidelity) for fidelity in sample.fidelities}
    plain = Fitness(sample, objective_of(recipe.objective), {int(n): losses for n, losses in dense.items()})
    scale = header.get("scale_by") or (_scale(plain, budget) if recipe.scale == "random" else None)
    derived = {
        "parts": [part.name for part in budget.space.parts],
        "groups": list(passages.groups),
        "at_chance": guessed,
        "dense": dense,
        "scale_by": scale,
    }
    log = run.log(identity, derived, ranking, plan.table)
    fitness = Fitness(sample, plain.objective, plain.dense, scale)
    return SearchSetup(calibration, budget, passages, fitness, log, tokens)


def _tokens_before(recipe: SearchRecipe, sample: int) -> dict[str, int]:
    """What is scored before the first pattern, by purpose; ``sample`` is the tokens of the search sample."""
    return {
        "dense": sample,
        "importance": passes(recipe.importance, recipe.compensate == "bias") * sample,
        "scale": SCALE_PATTERNS * sample if recipe.scale == "random" else 0,
    }


def _set_aside(tokens: Mapping[str, int], passages: ObjectivePassages) -> int:
    select = passages.select.total
    completing = 2 * select + passages.search.total  # where nothing measured met the budget
    return sum(tokens.values()) + max((1 + FINALISTS) * select, completing)


def _refuse_too_few_tokens(recipe: SearchRecipe, passages: ObjectivePassages, tokens: Mapping[str, int]) -> None:
    least = _set_aside(tokens, passages) + passages.search.total
    if recipe.tokens is not None and recipe.tokens < least:
        raise EvopError(
            f"--tokens {recipe.tokens:,} is too few for one pattern: with the dense model, what ranks units and "
            f"{FINALISTS} finalists on select it takes {least:,}; give more, or fewer --passages when calibrating"
        )


def _ranking(
    recipe: SearchRecipe, run: SearchRun, evaluator: Evaluator, passages: ObjectivePassages, watch: Watch
) -> Ranking:
    """Read the ranking of a run that is there, else measure one."""
    if recipe.importance == "none":
        return Ranking()
    if run.header is not None:
        return Ranking.load(run.ranking)
    watch(Progress("importance"))
    return measured_ranking(
        evaluator,
        passages.search,
        metric=recipe.importance,
        over=recipe.importance_over,
        compensate=recipe.compensate == "bias",
        seed=recipe.seed,
    )


def _store(recipe: SearchRecipe, identity: Mapping[str, object], fidelities: tuple[Fidelity, ...]) -> LossStore:
    """Where measurements are shared by searches of one space, sample, meter and dtype, on whatever device."""
    from pathlib import Path

    same = ("space", "search_tokens", "dtype", "loss")
    key = {name: identity[name] for name in same} | {"fidelities": [fidelity.passages for fidelity in fidelities]}
    return LossStore(Path(recipe.store) if recipe.store else None, key)


def _scale(fitness: Fitness, budget: Budget) -> dict[str, float]:
    """Each group's median excess over random patterns of the budget, nats a token.

    Raises:
        EvopError: random patterns do not lose anything in some group.
    """
    rng = generator("scale", budget.remove, budget.cost)
    found: list[Losses] = []
    for measurement in fitness(budget.draw(rng) for _ in range(SCALE_PATTERNS)):
        if measurement.failed is None:
            found.append(excess(measurement.losses, fitness.dense[fitness.sample.full.passages]))
    medians = {group: float(np.median([losses[group] for losses in found])) for group in found[0]} if found else {}
    harmless = next((group for group, median in medians.items() if median <= 0), None)
    if not medians or harmless:
        where = f"in {harmless}" if harmless else "that is a number"
        raise EvopError(
            f"--scale random: random patterns of this budget have no median excess above zero {where}; use --scale "
            "none, on text and tasks each by itself"
        )
    return medians

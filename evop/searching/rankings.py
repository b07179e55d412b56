"""Which units leave first: ranked on the whole search sample, and where fitness is held out on each half of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evop.evaluator import Evaluator
from evop.fitness.folds import FOLDS, CrossFit, Folds, halves
from evop.importance.measured import measured_ranking, passes, ranking_tokens, refuse_shares
from evop.recipes.search import SearchRecipe
from evop.removal.ranking import Ranking
from evop.removal.space import THINNED
from evop.searching.folder import SearchRun
from evop.searching.moments import refuse_no_room, with_moments
from evop.searching.progress import Progress, Watch
from evop.tokens.passages import TokenPassages


@dataclass(frozen=True)
class Rankings:
    """The rankings of one search.

    Attributes:
        whole: ranked on the whole search sample: what the space is priced by, and what the answer removes.
        cross: ranked on each half of it, for judging on the other; None where fitness is not held out.
    """

    whole: Ranking
    cross: CrossFit | None = None

    @property
    def all(self) -> tuple[Ranking, ...]:
        """The ranking of the whole sample, and those of the halves behind it."""
        return (self.whole, *(self.cross.rankings if self.cross else ()))

    @property
    def fingerprint(self) -> str | None:
        """Sha256 of the rankings of the halves; None where there are none."""
        return None if self.cross is None else self.cross.fingerprint


def holds_out(recipe: SearchRecipe) -> bool:
    """Say whether a search judges units on other passages than it ranks them, or refits what stays of them, on.

    Whole parts are not made of ranked units, and some metrics read no passages: nothing is fitted there that could be
    held out from.
    """
    fitted = recipe.compensate == "obs" or passes(recipe.importance, recipe.compensate == "bias") > 0
    return recipe.fitness_on == "held-out" and recipe.grain in THINNED and fitted


def folds_of(recipe: SearchRecipe, search: TokenPassages) -> Folds | None:
    """Part the search sample in halves where fitness is held out; None where it is not."""
    return halves(search, recipe.seed) if holds_out(recipe) else None


def tokens_of_rankings(recipe: SearchRecipe, search: TokenPassages, folds: Folds | None) -> int:
    """Count the tokens that all rankings of a search take."""
    compensate = recipe.compensate == "bias"
    return sum(ranking_tokens(recipe.importance, compensate, part) for part in samples_of(search, folds))


def samples_of(search: TokenPassages, folds: Folds | None) -> list[TokenPassages]:
    """List what rankings are measured on: the search sample, and where fitness is held out each half of it."""
    return [search, *(folds.ranking_passages(search, fold) for fold in FOLDS if folds)]


def rankings_of(
    recipe: SearchRecipe,
    run: SearchRun,
    evaluator: Evaluator,
    search: TokenPassages,
    folds: Folds | None,
    texts: Sequence[TokenPassages],
    watch: Watch,
) -> Rankings:
    """Read the rankings of a search that has a log; measure them for a new one.

    Args:
        recipe: says how units are ranked.
        run: the folder of the search; moments are written there at once, since they may not fit in memory.
        evaluator: the dense model, and the space.
        search: the search sample.
        folds: its halves, where fitness is held out.
        texts: what levels are refitted on, from ``moment_texts``.
        watch: is shown the progress.

    Raises:
        EvopError: a metric that cannot be computed, or one with a share of a group that is not there.
    """
    refuse_shares(recipe.importance, search)
    if recipe.importance == "none":
        return Rankings(Ranking())
    if run.header is not None:
        rankings = [Ranking.load(path) for path in (run.ranking, *(run.half_rankings if folds else ()))]
    else:
        refuse_no_room(run, evaluator, texts)
        watch(Progress("importance"))
        rankings = [_measured(recipe, evaluator, sample) for sample in samples_of(search, folds)]
    whole, *parts = with_moments(rankings, run, evaluator, texts, watch)
    return Rankings(whole, CrossFit(folds, (parts[0], parts[1])) if folds else None)


def _measured(recipe: SearchRecipe, evaluator: Evaluator, passages: TokenPassages) -> Ranking:
    return measured_ranking(
        evaluator,
        passages,
        metric=recipe.importance,
        over=recipe.importance_over,
        compensate=recipe.compensate == "bias",
        seed=recipe.seed,
    )


def notes_on_folds(recipe: SearchRecipe, folds: Folds | None) -> list[str]:
    """Say where held-out fitness is not what its name promises, one line per case."""
    if recipe.fitness_on == "held-out" and folds is None:
        why = (
            f"--importance {recipe.importance} reads no passages"
            if recipe.grain in THINNED
            else f"at --grain {recipe.grain} parts leave whole"
        )
        return [f"--fitness-on held-out changes nothing here: {why}, so nothing is fitted that could be held out from"]
    if folds is None or not folds.documents:
        return []
    names = ", ".join(folds.documents)
    return [
        f"--fitness-on held-out: {names} parted by documents, not by clusters; it has a single cluster, or documents "
        "that reach into most of them"
    ]

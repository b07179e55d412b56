"""The evaluator of a search: built in one place, for this process and for every worker."""

from __future__ import annotations

from evop.evaluator import Evaluator, Profile
from evop.model.loaded import LoadedModel
from evop.recipes.search import SearchRecipe
from evop.removal.ranking import Ranking
from patterns import PatternSpace


def search_evaluator(
    recipe: SearchRecipe, loaded: LoadedModel, space: PatternSpace, ranking: Ranking | None = None
) -> Evaluator:
    """Build the evaluator that a search measures with, in the driver and in every worker alike.

    Args:
        recipe: says how passages are run, and what is measured.
        loaded: the model.
        space: the parts of the model.
        ranking: which units of the parts leave first; None where that is still to be measured.
    """
    return Evaluator(
        loaded,
        space,
        ranking or Ranking(),
        recipe.max_tokens,
        recipe.batch_size,
        recipe.loss,
        cache_mb=recipe.cache_mb,
        share=recipe.share,
        profile=Profile(exact=recipe.profile),
    )

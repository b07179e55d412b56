"""The plan of a search: what it looks for and how, decided once, before any weights are read."""

from __future__ import annotations

from dataclasses import dataclass

from evop.engines import refuse_engine
from evop.errors import EvopError
from evop.importance.measured import default_importance, refuse_importance
from evop.importance.metric_file import metric_named
from evop.losses.objectives import TAIL, objective_of
from evop.model.checkpoint import Checkpoint
from evop.recipes.search import SearchRecipe
from evop.removal.space import THINNED, pattern_space
from evop.timing.chosen_table import refuse_options
from evop.timing.table import LatencyTable
from patterns import Budget, PatternSpace, default_strategy, refuse_strategy

MOST_COUNTED = 2000
"""Number of patterns that are counted at most, before an exhaustive search that was asked for begins."""


@dataclass(frozen=True)
class SearchPlan:
    """A search as it will be run.

    Attributes:
        checkpoint: the model.
        recipe: what was asked, every ``auto`` of what is searched, and how, decided.
        budget: what has to go, over the space of the model; the space does not know yet how much its units matter.
        table: what every level of every part takes; None where the budget counts no time.
        choice: a line that says which strategy was chosen for the caller and why, or how many patterns it has to
            measure; empty where there is nothing to say.
    """

    checkpoint: Checkpoint
    recipe: SearchRecipe
    budget: Budget
    table: LatencyTable | None
    choice: str

    @classmethod
    def of(
        cls, checkpoint: Checkpoint, recipe: SearchRecipe, space: PatternSpace, table: LatencyTable | None = None
    ) -> SearchPlan:
        """Decide what a recipe leaves open.

        Args:
            checkpoint: the model.
            recipe: what was asked.
            space: the model's, from ``searched_space``; without times.
            table: the times, where the budget counts them.

        Raises:
            EvopError: an importance that the grain cannot have.
            PatternError: a budget that cannot be met, or an unknown strategy, or an option it does not take.
        """
        budget = Budget(space if table is None else table.timed(space), recipe.remove, recipe.cost)
        chosen, choice = {}, ""
        if recipe.strategy == "auto":
            chosen["strategy"], why = default_strategy(budget)
            choice = f"strategy {chosen['strategy']}: {why}"
        elif recipe.strategy == "exhaustive":
            few = budget.few(MOST_COUNTED)
            count = f"more than {MOST_COUNTED:,}" if few is None else f"{len(few):,}"
            choice = f"strategy exhaustive: {count} patterns to measure"
        if recipe.importance == "auto":
            chosen["importance"] = default_importance(space.grain)
        else:
            chosen["importance"] = metric_named(recipe.importance)
        recipe = recipe.model_copy(update=chosen)
        refuse_importance(recipe.importance, space.grain, recipe.importance_over)
        refuse_strategy(recipe.strategy, **recipe.strategy_options)
        return cls(checkpoint, recipe, budget, table, choice)


def searched_space(checkpoint: Checkpoint, recipe: SearchRecipe) -> PatternSpace:
    """Build the space that a search looks in, without times; refuse what can be refused without them.

    Raises:
        EvopError: an unknown objective, a tail of another than ``cvar``, a grain the model cannot have, a table's
            options without ``--cost latency``, or an engine that is not there.
        PatternError: an unknown deploy, or a part to protect that is not there.
    """
    objective_of(recipe.objective, recipe.tail)
    if recipe.objective != "cvar" and recipe.tail != TAIL:
        raise EvopError(f"--tail is of --objective cvar, not of {recipe.objective}; leave one of them out")
    refuse_options(recipe)
    refuse_engine(recipe)
    space = pattern_space(
        checkpoint,
        recipe.grain,
        recipe.deploy,
        recipe.protect,
        width_step=recipe.width_step,
        compensate=recipe.compensate == "bias",
    )
    if recipe.compensate == "obs" and recipe.grain not in THINNED:
        raise EvopError(
            f"--compensate obs is for thinned blocks, but --grain {recipe.grain} takes blocks whole; use --compensate "
            "none"
        )
    return space

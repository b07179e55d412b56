"""The plan of a search: what it looks for and how, decided once, before any weights are read."""

from __future__ import annotations

from dataclasses import dataclass, replace

from evop.engines import refuse_engine
from evop.errors import EvopError
from evop.importance.measured import default_importance, refuse_importance
from evop.importance.metric_file import metric_named
from evop.losses.objectives import TAIL, objective_of
from evop.model.checkpoint import Checkpoint
from evop.model.families.family import WEIGHT
from evop.recipes.search import SearchRecipe
from evop.removal.memory import Memory
from evop.removal.space import THINNED, pattern_space
from evop.searching.bisection import FIRST, STEPS
from evop.timing.chosen_table import refuse_options
from evop.timing.table import LatencyTable
from patterns import FINALISTS, Budget, Pattern, PatternSpace, default_strategy, refuse_strategy
from patterns.strategies.sensitivities import PROBING, probes

MOST_COUNTED = 2000
"""Number of patterns that are counted at most, before an exhaustive search that was asked for begins."""


@dataclass(frozen=True)
class SearchPlan:
    """A search as it will be run.

    Attributes:
        checkpoint: the model.
        recipe: what was asked, every ``auto`` of what is searched, and how, decided.
        budget: what has to go, over the space of the model; the space does not know yet how much its units matter.
            Of a search by tolerances alone, the budget that it begins with.
        choice: a line that says which strategy was chosen for the caller and why, or how many patterns it has to
            measure; empty where there is nothing to say.
        table: what every level of every part takes; None where the budget counts no time.
        memory: how bytes are counted; None where the budget has no limit of them.
        starts: patterns that the search begins with, beside what its strategy begins with; they meet the budget.
    """

    checkpoint: Checkpoint
    recipe: SearchRecipe
    budget: Budget
    choice: str
    table: LatencyTable | None = None
    memory: Memory | None = None
    starts: tuple[Pattern, ...] = ()

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
        space, memory = space if table is None else table.timed(space), memory_of(checkpoint, recipe)
        if memory is not None:
            space = memory.counted(checkpoint, space)
        remove = FIRST / STEPS if recipe.seeks_largest else recipe.remove
        budget = Budget(space, remove, recipe.cost, recipe.fit_in)
        chosen = default_importance(space.grain) if recipe.importance == "auto" else metric_named(recipe.importance)
        recipe = recipe.model_copy(update={"importance": chosen})
        refuse_importance(recipe.importance, space.grain, recipe.importance_over)
        return cls(checkpoint, *_with_strategy(recipe, budget), table=table, memory=memory)

    @property
    def too_few(self) -> str:
        """Say that so few evaluations end before a pattern of the size that was asked for is measured; else empty."""
        asked, name = self.recipe.evaluations, self.recipe.strategy
        if asked is None or name not in PROBING:
            return ""
        alone = len(probes(self.budget.space))
        if asked > alone:
            return ""
        chosen = FINALISTS if name == "surrogate" else 1
        return (
            f"--evaluations {asked}: strategy {name} first measures what each of {alone} parts costs alone, then no "
            f"more than {chosen} of the patterns that this chooses; give {2 * alone} or more, or --strategy random"
        )

    def at(self, remove: float) -> SearchPlan:
        """Plan the same search at another budget.

        Raises:
            PatternError: a budget that cannot be met.
        """
        budget, recipe = replace(self.budget, remove=remove), self.recipe.model_copy(update={"remove": remove})
        return SearchPlan(self.checkpoint, *_with_strategy(recipe, budget), table=self.table)


def _with_strategy(recipe: SearchRecipe, budget: Budget) -> tuple[SearchRecipe, Budget, str]:
    """Choose the strategy where that is left open; a search by tolerances leaves it open for each of its budgets.

    Returns:
        The recipe, the budget, and a line that says what was chosen.
    """
    choice = ""
    if recipe.strategy == "auto" and not recipe.seeks_largest:
        strategy, why = default_strategy(budget)
        recipe, choice = recipe.model_copy(update={"strategy": strategy}), f"strategy {strategy}: {why}"
    elif recipe.strategy == "exhaustive":
        few = budget.few(MOST_COUNTED)
        count = f"more than {MOST_COUNTED:,}" if few is None else f"{len(few):,}"
        choice = f"strategy exhaustive: {count} patterns to measure"
    if recipe.strategy != "auto":
        refuse_strategy(recipe.strategy, **recipe.strategy_options)
    return recipe, budget, choice


def memory_of(checkpoint: Checkpoint, recipe: SearchRecipe) -> Memory | None:
    """Say how a search counts bytes; None where it has no limit of them.

    Raises:
        EvopError: an option of such a limit without one, or one that does not suit the model.
    """
    if recipe.fit_in is not None:
        return Memory.of(checkpoint, recipe.fit_context, recipe.fit_batch, recipe.fit_dtype)
    for name in ("fit_context", "fit_batch", "fit_dtype"):
        if getattr(recipe, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise EvopError(f"{option} is for --fit-in, which is not given; give it, or leave {option} out")
    return None


def searched_space(checkpoint: Checkpoint, recipe: SearchRecipe) -> PatternSpace:
    """Build the space that a search looks in, without times; refuse what can be refused without them.

    Raises:
        EvopError: an unknown objective, a tail of another than ``cvar``, a grain the model cannot have, a table's
            options without ``--cost latency``, or an engine that is not there.
        PatternError: an unknown deploy, or a part to protect that is not there.
    """
    if recipe.grain == WEIGHT:
        raise EvopError(
            f"--grain {WEIGHT}: no search chooses which weights leave one by one; evop prune --grain {WEIGHT} does, by "
            f"a metric, and evop metric --grain {WEIGHT} searches that"
        )
    objective_of(recipe.objective, recipe.tail)
    if recipe.objective != "cvar" and recipe.tail != TAIL:
        raise EvopError(f"--tail is of --objective cvar, not of {recipe.objective}; leave one of them out")
    refuse_options(recipe)
    memory_of(checkpoint, recipe)
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

"""The cells of a run: every search that it makes, and what its folder is called."""

from __future__ import annotations

from dataclasses import dataclass

from evop.recipes.search import SearchRecipe


@dataclass(frozen=True)
class Cell:
    """One search of a run.

    Attributes:
        recipe: what is asked of the search.
    """

    recipe: SearchRecipe

    @property
    def name(self) -> str:
        """The name of the search's folder; it names all of ``CELLS``, so that it stays when their lists grow."""
        return cell_name(self.recipe.strategy, self.recipe.budget_name, self.recipe.seed)


def cell_name(strategy: str, budget: str, seed: int) -> str:
    """Name a cell, such as ``cma-0.25-seed0``."""
    return f"{strategy}-{budget}-seed{seed}"

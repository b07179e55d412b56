"""Engines, which measure the patterns of a round here or elsewhere: their protocol, and the table of all of them.

An engine is not part of what makes a search: a search that one began, another may go on with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from evop.errors import EvopError
from evop.model.loaded import SPREAD
from patterns import Measurement, Request, Stop
from patterns.search import BATCH

if TYPE_CHECKING:
    from evop.fitness.fitness import Fitness
    from evop.recipes.search import SearchRecipe


class Engine(Protocol):
    """Measures what a search asks for.

    What is measured of a pattern depends on the pattern, the fidelity, the bound and the order of the groups alone, so
    an engine may deal the patterns of a request out as it likes.
    """

    def measure(self, request: Request, order: Sequence[str], stop: Stop) -> list[Measurement]:
        """Measure a request: one measurement per pattern, in its order; none at all if the search is over before.

        Args:
            request: the patterns, and how far they are measured.
            order: the groups in the order in which they are measured, those likely to be the worst first.
            stop: says, while measuring, whether the search is over.

        Raises:
            EvopError: what a person can mend.
        """

    def close(self) -> None:
        """Free everything; nothing is measured afterwards. Closing twice does no harm."""


ENGINES: dict[str, str] = {"serial": "evop.engines.serial:SerialEngine", "ray": "evop.engines.ray_engine:RayEngine"}
"""``--engine`` -> ``module:class``; a class takes ``(recipe, fitness, report)``, and is imported when used."""


def make_engine(recipe: SearchRecipe, fitness: Fitness, report: Callable[[str], None]) -> Engine:
    """Build the engine of a recipe.

    Args:
        recipe: says which engine, and how many workers.
        fitness: judges patterns in this process; workers judge as it does.
        report: is given a line where something happens that a person would like to know.
    """
    module, _, name = ENGINES[recipe.engine].partition(":")
    return getattr(import_module(module), name)(recipe, fitness, report)


def refuse_engine(recipe: SearchRecipe) -> None:
    """Check that the engine of a recipe can run, before anything is loaded.

    Raises:
        EvopError: the engine is not installed, has no workers or too many, or cannot spread a model.
    """
    if recipe.workers is not None and recipe.engine == "serial":
        raise EvopError(
            f"--workers {recipe.workers}: the serial engine has none; give --engine ray too, or leave it out"
        )
    if recipe.workers is not None and recipe.workers > BATCH:
        raise EvopError(
            f"--workers {recipe.workers}: {BATCH} patterns are measured together at most, and more workers would wait; "
            f"give {BATCH} or fewer"
        )
    if recipe.engine == "ray" and recipe.device == SPREAD:
        raise EvopError(f"--engine ray: a worker holds its model on one device, so not with --device {SPREAD}")
    if recipe.engine == "ray" and find_spec("ray") is None:
        raise EvopError("--engine ray: Ray is not installed; pip install 'evop[ray]', or use --engine serial")

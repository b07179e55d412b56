"""Engines: where the patterns of a round are measured, the table of all of them, and the protocol.

An engine is not part of what a search is: it may be gone on with by another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from evop.errors import EvopError
from evop.model.loaded import SPREAD
from patterns import Measurement, Request, Stop

if TYPE_CHECKING:
    from evop.fitness.fitness import Fitness
    from evop.recipes.search import SearchRecipe


class Engine(Protocol):
    """Measures what a search asks for.

    What it finds of a pattern depends on the pattern, the fidelity, the bound and the order alone, so it may deal the
    patterns of a request out as it likes.
    """

    def measure(self, request: Request, order: Sequence[str], stop: Stop) -> list[Measurement]:
        """One measurement a pattern, in the order asked; none at all where the search is over before they are there.

        Args:
            request: what is to be measured.
            order: of the groups, those likely to be the worst first.
            stop: looked at while measuring.

        Raises:
            EvopError: something a person can mend.
        """

    def close(self) -> None:
        """Let go of everything; nothing is measured afterwards. Doing it twice does no harm."""


ENGINES: dict[str, str] = {"serial": "evop.engines.serial:SerialEngine", "ray": "evop.engines.ray_engine:RayEngine"}
"""``--engine`` -> ``module:class``; a class is built with ``(recipe, fitness, report)``. Imported when used."""


def make_engine(recipe: SearchRecipe, fitness: Fitness, report: Callable[[str], None]) -> Engine:
    """Build the engine of a recipe.

    Args:
        recipe: says which, and how many workers.
        fitness: judges patterns in this process; workers judge as it does.
        report: is given a line where something happened that a person would like to know.
    """
    module, _, name = ENGINES[recipe.engine].partition(":")
    return getattr(import_module(module), name)(recipe, fitness, report)


def refuse_engine(recipe: SearchRecipe) -> None:
    """Check that an engine can be had, before anything is loaded.

    Raises:
        EvopError: it is not installed, or has no workers.
    """
    if recipe.workers is not None and recipe.engine == "serial":
        raise EvopError(
            f"--workers {recipe.workers}: the serial engine has none; give --engine ray too, or leave it out"
        )
    if recipe.engine == "ray" and recipe.device == SPREAD:
        raise EvopError(f"--engine ray: a worker holds its model on one device, so not with --device {SPREAD}")
    if recipe.engine == "ray" and find_spec("ray") is None:
        raise EvopError("--engine ray: Ray is not installed; pip install 'evop[ray]', or use --engine serial")

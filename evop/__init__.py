"""evop: prune a language model so that its worst domain holds up.

The stages are plain functions, imported when first used (``import evop`` loads no torch):

    >>> from evop import build_calibration_set, search, refit, audit, prune  # doctest: +SKIP

Rooms are called ``searching`` and ``auditing``: a subpackage ``search`` would overwrite the function ``evop.search``.
"""

from importlib import import_module, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evop.version import __version__

if TYPE_CHECKING:
    from calibration import CalibrationSet, Recipe
    from evop.errors import EvopError
    from evop.recipes.run import RunRecipe
    from evop.stages.audit import AuditResult, audit
    from evop.stages.calibrate import build_calibration_set
    from evop.stages.compare import compare
    from evop.stages.heal import HealResult, heal
    from evop.stages.metric import search_metric
    from evop.stages.prune import PruneResult, prune
    from evop.stages.refit import RefitResult, refit
    from evop.stages.run import RunResult, run
    from evop.stages.search import SearchResult, search
    from evop.stages.speed import speed

__all__ = [
    "AuditResult",
    "CalibrationSet",
    "EvopError",
    "HealResult",
    "PruneResult",
    "Recipe",
    "RefitResult",
    "RunRecipe",
    "RunResult",
    "SearchResult",
    "__version__",
    "audit",
    "build_calibration_set",
    "compare",
    "heal",
    "prune",
    "refit",
    "run",
    "search",
    "search_metric",
    "speed",
]

_HOMES = {
    "AuditResult": "evop.stages.audit",
    "audit": "evop.stages.audit",
    "HealResult": "evop.stages.heal",
    "heal": "evop.stages.heal",
    "PruneResult": "evop.stages.prune",
    "prune": "evop.stages.prune",
    "RefitResult": "evop.stages.refit",
    "refit": "evop.stages.refit",
    "SearchResult": "evop.stages.search",
    "search": "evop.stages.search",
    "search_metric": "evop.stages.metric",
    "speed": "evop.stages.speed",
    "RunRecipe": "evop.recipes.run",
    "RunResult": "evop.stages.run",
    "run": "evop.stages.run",
    "compare": "evop.stages.compare",
    "CalibrationSet": "calibration",
    "Recipe": "calibration",
    "build_calibration_set": "evop.stages.calibrate",
    "EvopError": "evop.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'evop' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def _same_house() -> None:
    """The three packages must come from one place; other distributions ship a ``calibration`` of their own."""
    here = Path(__file__).resolve().parent.parent
    for room in ("calibration", "patterns"):
        found = util.find_spec(room)
        place = Path(found.origin).resolve().parent.parent if found and found.origin else None
        if place != here:
            raise ImportError(
                f"evop is installed in {here}, but the package {room!r} comes from {place or 'nowhere'}: another "
                f"distribution of that name shadows evop's; uninstall it, or give evop an environment of its own"
            )


_same_house()

"""A pattern whose search has judged it healed: given by itself it is another model than the one that was judged."""

from __future__ import annotations

from pathlib import Path

from evop.errors import EvopError
from evop.files.names import FRONTIER, POINTS
from evop.removal.opened import OpenedPattern
from evop.searching.frontier_file import healed_answer


def judged_healed(opened: OpenedPattern) -> Path | None:
    """Find the healed model that a search has judged its answer as; None where it judged the pattern.

    Args:
        opened: a pattern, as it was given.
    """
    folder = opened.place.parent
    run = folder if (folder / FRONTIER).is_file() or folder.parent.name != POINTS else folder.parent.parent
    try:
        healed = healed_answer(run)
    except EvopError:  # of another version: the pattern is good all the same
        return None
    return healed if healed is not None and healed.is_dir() and folder in (run, healed.parent) else None


def unhealed_words(opened: OpenedPattern, healed: Path) -> str:
    """Say that a pattern was given, and which model was judged."""
    return f"{opened.path} is the pattern, not healed: what its search has judged is the healed model {healed}"

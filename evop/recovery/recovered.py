"""What a pruned model has got back: nothing, weights solved anew, or weights that learned."""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from evop.recovery.heal_file import HealFile
from evop.removal.pattern_file import PatternFile
from evop.removal.zeros_file import Zeros

Recovery = Literal["none", "refitted", "healed"]
"""A refitted model has weights solved in closed form, or trained by strategy ``darwin`` as it was searched; a healed
one has learned, refitted before or not."""


def recovery_of(file: PatternFile, heal: HealFile | None) -> Recovery:
    """Say how a pruned model was recovered.

    Args:
        file: its pattern.
        heal: the account of its healing; None where it was not healed.
    """
    if heal is not None:
        return "healed"
    return "none" if file.refit is None else "refitted"


def parts_digest(file: PatternFile, zeros: Zeros | None = None) -> str:
    """Hash what leaves: two patterns of one model agree in it if they take out the same blocks, units and weights.

    Args:
        file: the pattern.
        zeros: the weights that left one by one; None where units did.

    Returns:
        Sha256, in hexadecimal, whatever was refitted or healed since.
    """
    cut = file.cut_alone
    content: list[object] = [sorted(cut.gone), sorted((*place, list(units)) for place, units in cut.kept.items())]
    content += [] if zeros is None else [zeros.masks]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()

"""What a reader calls the model and the patterns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evop.auditing.audit_rows import AuditedPattern

CACHED = re.compile(r"models--([^/]+?)--([^/]+)/snapshots/")
"""Where the hub's cache keeps a model."""


def model_title(name: str) -> str:
    """Shorten a model's name: that on the hub, or the last two parts of its folder.

    Example:
        >>> model_title("meta-llama/Llama-3.2-1B"), model_title("/home/me/models/mine/model")
        ('meta-llama/Llama-3.2-1B', 'mine/model')
    """
    cached = CACHED.search(name)
    return "/".join(cached.groups()) if cached else _last_two(Path(name))


def row_name(pattern: AuditedPattern) -> str:
    """Name a row of a table: as the audit names it, and how it was recovered where that does not say so.

    Example:
        >>> from types import SimpleNamespace as Pattern
        >>> row_name(Pattern(name="long", recovery="healed")), row_name(Pattern(name="healed-1M", recovery="healed"))
        ('long (healed)', 'healed-1M')
    """
    is_said = pattern.recovery == "none" or pattern.recovery in pattern.name.lower()
    return pattern.name if is_said else f"{pattern.name} ({pattern.recovery})"


def pattern_title(pattern: AuditedPattern, run: Path | None = None, header: Mapping[str, Any] | None = None) -> str:
    """Say which pattern it is: where it comes from, how much it removes, and how it was searched.

    Args:
        pattern: the pattern, as an audit describes it.
        run: the folder of the search that found it; None where it is from none.
        header: the header of that search's log.
    """
    what = "pattern" if pattern.checkpoint is None else "checkpoint"
    if pattern.recovery != "none":
        what = f"{pattern.recovery} {what}"
    origin = f"the {what} {pattern.name}" if run is None else f"the {what} of {_last_two(run.resolve())}"
    how = [f"{key} {header[key]}" for key in ("grain", "strategy", "objective") if header and key in header]
    share = f"{pattern.reached.block_params:.0%} of the blocks' parameters"
    if not pattern.left:
        share += ", by its size; what left is not known"
    if pattern.zeros is not None:
        share = f"{pattern.zeros.zeros / pattern.zeros.weights:.0%} of the weights zero, none removed"
    return f"{origin}: {', '.join([share, *how])}"


def _last_two(place: Path) -> str:
    return "/".join(place.parts[-2:])

"""The row of a domain in ``audit.json``."""

from __future__ import annotations

from typing import Literal

from evop.files.json_file import JsonPart


class DomainRow(JsonPart):
    """One domain of one split under one pattern: of its groups of one kind that which loses most."""

    pattern: str
    split: str
    kind: Literal["text", "item"]
    domain: str
    groups: int
    """How many of its groups are judged."""
    worst: float
    """The estimate of the largest true excess of a group of the domain, without what chance adds to a largest."""
    low: float | None
    """Ends of its 95% interval: those of all domains of the split, of both kinds, hold at once under the pattern."""
    high: float | None
    worst_measured: float
    """The largest excess as measured."""
    worst_group: str
    """The group that it was measured in."""

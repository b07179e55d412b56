"""From what every choice costs to what every item loses."""

from __future__ import annotations

import numpy as np

from evop.losses import ItemMeter
from evop.tokens.items import TokenItem
from evop.tokens.passages import TokenPassages


def of_lines(lines: np.ndarray, passages: TokenPassages, meter: ItemMeter) -> np.ndarray:
    """The loss of every passage: of a text that of its line, of an item what the meter makes of its choices.

    Args:
        lines: float64 [cuts, lines], nats.
        passages: whose lines they are.
        meter: of items.

    Returns:
        float64 [cuts, passages].
    """
    losses = lines[:, passages.lines[:-1]].copy()
    at, items = items_of(passages)
    if items:
        losses[:, at] = meter(choice_costs(lines, passages), items)
    return losses


def items_of(passages: TokenPassages) -> tuple[list[int], list[TokenItem]]:
    """Which passages are items, and these."""
    found = [(i, item) for i, item in enumerate(passages.items) if item is not None]
    return [i for i, _ in found], [item for _, item in found]


def choice_costs(lines: np.ndarray, passages: TokenPassages) -> np.ndarray:
    """The lines of the items, a row an item: float64 [cuts, items, most choices], infinite where there is no choice."""
    at, items = items_of(passages)
    most = max((len(item.choices) for item in items), default=0)
    costs = np.full((len(lines), len(items), most), np.inf)
    for row, (i, item) in enumerate(zip(at, items, strict=True)):
        costs[:, row, : len(item.choices)] = lines[:, passages.lines[i] : passages.lines[i + 1]]
    return costs

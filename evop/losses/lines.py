"""From the losses of lines to the losses of passages: a text is one line, a question one line per choice."""

from __future__ import annotations

import numpy as np

from evop.losses import ItemMeter
from evop.tokens.items import TokenItem
from evop.tokens.passages import TokenPassages


def passage_losses(lines: np.ndarray, passages: TokenPassages, meter: ItemMeter) -> np.ndarray:
    """Make the loss of every passage of its lines: of a text in nats, of a question as the meter says.

    Args:
        lines: float64 [cuts, lines], summed loss of every line in nats.
        passages: the passages that the lines are of.
        meter: makes a loss of what the choices of a question cost.

    Returns:
        float64 [cuts, passages].
    """
    losses = lines[:, passages.lines[:-1]].copy()
    at, items = items_of(passages)
    if items:
        losses[:, at] = meter(choice_costs(lines, passages), items)
    return losses


def items_of(passages: TokenPassages) -> tuple[list[int], list[TokenItem]]:
    """List which passages are questions, and the questions."""
    numbered = [(i, item) for i, item in enumerate(passages.items) if item is not None]
    return [i for i, _ in numbered], [item for _, item in numbered]


def choice_costs(lines: np.ndarray, passages: TokenPassages) -> np.ndarray:
    """List what the choices of every question cost, in nats.

    Args:
        lines: float64 [cuts, lines], summed loss of every line in nats.
        passages: the passages that the lines are of.

    Returns:
        float64 [cuts, items, most choices]; infinite where a question has fewer choices.
    """
    at, items = items_of(passages)
    most = max((len(item.choices) for item in items), default=0)
    costs = np.full((len(lines), len(items), most), np.inf)
    for row, (i, item) in enumerate(zip(at, items, strict=True)):
        costs[:, row, : len(item.choices)] = lines[:, passages.lines[i] : passages.lines[i + 1]]
    return costs

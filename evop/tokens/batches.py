"""Passages of like length in one forward pass, and where in it what is predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from evop.tokens.items import TokenItem
from evop.tokens.passages import TokenPassages

PAD = 0
IGNORED = -100
LEAST_FULL = 0.5
"""A passage joins a batch where it is at least that much of the longest: short batches cost more than some padding."""


def batches(passages: TokenPassages, batch_tokens: int) -> list[list[int]]:
    """Indices of passages that share a forward pass, longest first: of one group, and not of very different length.

    Batches of one group, so that its loss is the same to the last bit whichever other groups are measured with it.
    """
    order = sorted(range(len(passages.ids)), key=lambda i: (passages.groups[i], -len(passages.ids[i]), i))
    found: list[list[int]] = []
    for i in order:
        if found and _fits(passages, found[-1], i, batch_tokens):
            found[-1].append(i)
        else:
            found.append([i])
    return sorted(found, key=lambda batch: -len(batch) * len(passages.ids[batch[0]]))


def _fits(passages: TokenPassages, batch: Sequence[int], i: int, batch_tokens: int) -> bool:
    longest = len(passages.ids[batch[0]])
    alike = passages.groups[i] == passages.groups[batch[0]] and len(passages.ids[i]) >= LEAST_FULL * longest
    return alike and (len(batch) + 1) * longest <= batch_tokens


def padded(passages: TokenPassages, batch: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids of a batch and what is to be predicted at each but the last position.

    Padding is on the right: in a causal model what follows a token cannot change its loss, so no attention mask is
    needed.

    Returns:
        int64 [batch, longest] and int64 [batch, longest - 1], ``IGNORED`` where nothing is.
    """
    longest = max(len(passages.ids[i]) for i in batch)
    gaps = [longest - len(passages.ids[i]) for i in batch]
    ids = torch.tensor([[*passages.ids[i], *[PAD] * gap] for i, gap in zip(batch, gaps, strict=True)])
    wanted = torch.tensor([[*passages.ids[i][1:], *[IGNORED] * gap] for i, gap in zip(batch, gaps, strict=True)])
    return ids, wanted


@dataclass(frozen=True)
class Layout:
    """One batch: what the model reads, and which of its predictions count for what.

    Attributes:
        ids: int64 [rows, longest], padded on the right.
        at: int64 [n], places in the flattened rows where something is predicted.
        wanted: int64 [n], what follows there.
        line: int64 [n], the line that each prediction counts for.
        lines: how many lines there are: one a passage of text, one a choice of an item, in their order.
        branches: int64 [rows, longest] where rows are items: 0 in a query, the number of a choice from 1 on; None
            for text.
        positions: int64 [rows, longest]: a choice goes on where the query ends; None for text.
    """

    ids: torch.Tensor
    at: torch.Tensor
    wanted: torch.Tensor
    line: torch.Tensor
    lines: int
    branches: torch.Tensor | None = None
    positions: torch.Tensor | None = None


def lay_out(passages: TokenPassages, batch: Sequence[int]) -> Layout:
    """How a batch, of text or of items, is layout out."""
    items = [passages.item(i) for i in batch]
    if items[0] is not None:
        return _of_items([item for item in items if item is not None])
    ids, wanted = padded(passages, batch)
    scored = torch.cat([wanted != IGNORED, torch.zeros(len(batch), 1, dtype=torch.bool)], dim=1)
    at = scored.flatten().nonzero()[:, 0]
    return Layout(ids, at, wanted[wanted != IGNORED], at // ids.shape[1], len(batch))


def _of_items(items: Sequence[TokenItem]) -> Layout:
    longest = max(len(item.ids) for item in items)
    ids, branches, positions = (torch.full((len(items), longest), PAD) for _ in range(3))
    at: list[int] = []
    wanted: list[int] = []
    line: list[int] = []
    lines = 0
    for row, item in enumerate(items):
        first = len(item.query)
        ids[row, : len(item.ids)] = torch.tensor(item.ids)
        positions[row, :first] = torch.arange(first)
        start = first
        for number, choice in enumerate(item.choices, start=1):
            more = len(choice) - 1
            branches[row, start : start + more] = number
            positions[row, start : start + more] = torch.arange(first, first + more)
            at += [row * longest + place for place in (first - 1, *range(start, start + more))]
            wanted += choice
            line += [lines] * len(choice)
            start, lines = start + more, lines + 1
        branches[row, start:] = len(item.choices) + 1  # padding sees itself and the query, and nobody sees it
    return Layout(ids, torch.tensor(at), torch.tensor(wanted), torch.tensor(line), lines, branches, positions)

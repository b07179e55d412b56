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
"""A passage joins a batch if it is at least that fraction of the longest: more batches cost more than some padding."""


def batches(passages: TokenPassages, batch_tokens: int) -> list[list[int]]:
    """Choose the passages that share a forward pass: of one group, and not of very different length.

    Batches are of one group, so that its loss is the same to the last bit whichever other groups are measured with it.

    Returns:
        Indices of the passages of each batch, the batch of the most tokens first.
    """
    order = sorted(range(len(passages.ids)), key=lambda i: (passages.groups[i], -len(passages.ids[i]), i))
    chosen: list[list[int]] = []
    for i in order:
        if chosen and _fits(passages, chosen[-1], i, batch_tokens):
            chosen[-1].append(i)
        else:
            chosen.append([i])
    return sorted(chosen, key=lambda batch: -len(batch) * len(passages.ids[batch[0]]))


def _fits(passages: TokenPassages, batch: Sequence[int], i: int, batch_tokens: int) -> bool:
    longest = len(passages.ids[batch[0]])
    alike = passages.groups[i] == passages.groups[batch[0]] and len(passages.ids[i]) >= LEAST_FULL * longest
    return alike and (len(batch) + 1) * longest <= batch_tokens


def padded(passages: TokenPassages, batch: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Lay out the token ids of a batch, and what is to be predicted at each but the last position.

    Padding is on the right: in a causal model what follows a token cannot change its loss, so no attention mask is
    needed.

    Returns:
        int64 [batch, longest] and int64 [batch, longest - 1], the latter ``IGNORED`` where nothing is predicted.
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
        ids: token ids, int64 [rows, longest], padded on the right.
        at: places in the flattened rows where something is predicted, int64 [n].
        wanted: the token that follows at each place, int64 [n].
        line: the line that each prediction counts for, int64 [n].
        lines: number of lines: one per passage of text, one per choice of an item, in their order.
        branches: where rows are items, what each token belongs to, int64 [rows, longest]: 0 for the query, the number
            of a choice from 1 on; None for text.
        positions: position of each token, int64 [rows, longest]: every choice goes on where the query ends; None for
            text.
    """

    ids: torch.Tensor
    at: torch.Tensor
    wanted: torch.Tensor
    line: torch.Tensor
    lines: int
    branches: torch.Tensor | None = None
    positions: torch.Tensor | None = None


def lay_out(passages: TokenPassages, batch: Sequence[int]) -> Layout:
    """Lay out a batch, of text or of items."""
    items = [passages.item(i) for i in batch]
    if items[0] is not None:
        return _of_items([item for item in items if item is not None])
    ids, wanted = padded(passages, batch)
    scored = torch.cat([wanted != IGNORED, torch.zeros(len(batch), 1, dtype=torch.bool)], dim=1)
    at = scored.flatten().nonzero()[:, 0]
    return Layout(ids, at, wanted[wanted != IGNORED], at // ids.shape[1], len(batch))


def _of_items(items: Sequence[TokenItem]) -> Layout:
    """Lay out items: a row is the query, then its choices side by side."""
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
            more = len(choice) - 1  # the last token predicts nothing, so it is not read
            branches[row, start : start + more] = number
            positions[row, start : start + more] = torch.arange(first, first + more)
            at += [row * longest + place for place in (first - 1, *range(start, start + more))]
            wanted += choice
            line += [lines] * len(choice)
            start, lines = start + more, lines + 1
        branches[row, start:] = len(item.choices) + 1  # padding sees itself and the query, and nobody sees it
    return Layout(ids, torch.tensor(at), torch.tensor(wanted), torch.tensor(line), lines, branches, positions)

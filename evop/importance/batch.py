"""Padded batches that know which of their tokens are real, and of which group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from evop.importance.site import widened
from evop.tokens.batches import batches, padded
from evop.tokens.passages import TokenPassages


@dataclass(frozen=True, eq=False)
class Batch:
    """Passages that share a forward pass.

    Attributes:
        ids: token ids, int64 [rows, longest], padded on the right.
        wanted: the token that follows each, int64 [rows, longest - 1], as ``padded`` lays it out.
        lengths: number of real tokens of each row, int64 [rows].
        groups: number of each row's group, int64 [rows].
    """

    ids: torch.Tensor
    wanted: torch.Tensor
    lengths: np.ndarray
    groups: np.ndarray

    def real(self, values: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the values of the real tokens, row by row.

        Args:
            values: values of all tokens, [rows, longest, F] or flattened [rows * longest, F].

        Yields:
            Values of one row's tokens, [length of the row, F], at least fp32.
        """
        for row, length in zip(values.reshape(*self.ids.shape, values.shape[-1]), self.lengths, strict=True):
            yield widened(row[:length])


def group_batches(passages: TokenPassages, batch_tokens: int, device: torch.device) -> Iterator[Batch]:
    """Yield all passages in batches; groups are numbered in order of first appearance."""
    number = {group: i for i, group in enumerate(passages.tokens_by_group)}
    for batch in batches(passages, batch_tokens):
        ids, wanted = padded(passages, batch)
        yield Batch(
            ids.to(device),
            wanted.to(device),
            np.array([len(passages.ids[i]) for i in batch]),
            np.array([number[passages.groups[i]] for i in batch]),
        )

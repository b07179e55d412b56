"""Attention masks of questions whose choices stand side by side behind one query."""

from __future__ import annotations

import torch


class BranchMasks:
    """Makes attention masks of a batch of questions: a choice sees the query and itself, a query itself alone.

    Args:
        branches: int64 [rows, length], 0 in a query, else the number of a choice from 1 on.
        positions: int64 [rows, length], the position of each token in its own line.
        dtype: what the model computes in.
    """

    def __init__(self, branches: torch.Tensor, positions: torch.Tensor, dtype: torch.dtype) -> None:
        own = branches[:, :, None] == branches[:, None, :]
        apart = positions[:, :, None] - positions[:, None, :]
        self._sees = (own | (branches[:, None, :] == 0)) & (apart >= 0)
        self._apart, self._dtype = apart, dtype
        self._made: dict[tuple[int | None, torch.device], torch.Tensor] = {}

    def within(self, window: int | None, device: torch.device) -> torch.Tensor:
        """Make the mask that is added to the attention's scores: [rows, 1, length, length].

        Args:
            window: positions that a layer looks back, its own included; None for all.
            device: where the mask is needed.
        """
        if (window, device) not in self._made:
            sees = self._sees if window is None else self._sees & (self._apart < window)
            hidden = torch.zeros(sees.shape, dtype=self._dtype)
            hidden = hidden.masked_fill(~sees, torch.finfo(self._dtype).min)
            self._made[window, device] = hidden[:, None].to(device)
        return self._made[window, device]

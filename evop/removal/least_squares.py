"""The least-squares weight of a projection that has lost some of its inputs, or other ones in every row."""

from __future__ import annotations

import torch

DAMPING = 0.01
"""What is added to the diagonal of the moments, in its mean entries.

Source: DarwinLM's code (IST-DASLab/DarwinLM), as that of SparseGPT before it.
"""
GROWTH = 10.0
"""What the damping is multiplied by each time that the moments with it are not positive definite."""
TRIES = 12
"""Number of times that this is tried; so much damping makes any finite moments positive definite."""

ROWS_BYTES = 256 << 20
"""Bytes of the moments of rows that are solved together."""


def least_squares(weight: torch.Tensor, moments: torch.Tensor, stays: torch.Tensor) -> torch.Tensor:
    """Fit the weight of the inputs that stay so that the outputs change least, in squares over the text.

    Minimises the mean of ``|W x - V x_K|^2`` plus d times ``|V - W_K|^2``: ``V = W_K + W_R H_RK (H_KK + d)^-1`` with K
    the inputs that stay, R the others, and d the damping: it is ten times as much until the sum is positive definite.

    Args:
        weight: the dense weight W, float64 [out, features].
        moments: second moments H of the inputs, float64 [features, features], on the device of the weight.
        stays: which inputs stay, bool [features].

    Returns:
        The weight V, float64 [out, features that stay]. Inputs that are always 0 leave it as it was.

    Source: the optimal brain surgeon for structures, as ZipLM (arXiv 2302.04089) and DarwinLM (arXiv 2502.07780) apply
    it: those take structures out one by one, and end at this where the order in which they leave is given.
    """
    kept, gone = weight[:, stays], weight[:, ~stays]
    scale = moments.diagonal().mean().item()
    if scale <= 0 or not gone.numel():
        return kept
    lost = gone @ moments[~stays][:, stays]
    return kept + torch.cholesky_solve(lost.T, _factor(moments[stays][:, stays], scale)).T


def least_squares_of_rows(weight: torch.Tensor, moments: torch.Tensor, stays: torch.Tensor) -> torch.Tensor:
    """Fit every row as ``least_squares`` does, where each loses other inputs, but as many.

    Takes the time of one solve a row, and ``ROWS_BYTES`` beside the moments.

    Args:
        weight: the dense weight W, float64 [out, features].
        moments: second moments H of the inputs, float64 [features, features].
        stays: which weights stay, bool [out, features], as many of each row and one at least.

    Returns:
        float64 [out, features], zero where nothing stays.

    Source: SparseGPT (Frantar and Alistarh, arXiv 2301.00774), equation 2, which it approximates: here it is exact.
    """
    scale = moments.diagonal().mean().item()
    kept = weight * stays
    if scale <= 0 or stays.all():
        return kept
    at = stays.nonzero()[:, 1].view(len(stays), -1)
    lost = ((weight - kept) @ moments).gather(1, at)
    size = max(1, ROWS_BYTES // (8 * at.shape[1] ** 2))
    for first in range(0, len(at), size):
        rows = slice(first, first + size)
        columns = at[rows]
        inside = moments[columns[:, :, None], columns[:, None, :]]
        change = torch.cholesky_solve(lost[rows, :, None], _factor(inside, scale))[:, :, 0]
        kept[rows] = kept[rows].scatter_add(1, columns, change)
    return kept


def _factor(inside: torch.Tensor, scale: float) -> torch.Tensor:
    """Take the Cholesky factor of damped moments, [..., n, n], of mean diagonal ``scale``; changes them."""
    damping = DAMPING * scale
    diagonal = inside.diagonal(dim1=-2, dim2=-1)  # a view
    undamped = diagonal.clone()
    for _ in range(TRIES):
        diagonal.copy_(undamped + damping)
        factor, failed = torch.linalg.cholesky_ex(inside)
        if not failed.any():
            return factor
        damping *= GROWTH
    raise AssertionError(f"moments that no damping makes positive definite, up to {damping:g}")

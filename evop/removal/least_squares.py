"""The least-squares weight of a projection that has lost some of its inputs."""

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
    inside = moments[stays][:, stays]
    damping = DAMPING * scale
    diagonal = inside.diagonal()  # a view
    undamped = diagonal.clone()
    for _ in range(TRIES):
        diagonal.copy_(undamped + damping)
        factor, failed = torch.linalg.cholesky_ex(inside)
        if not failed.item():
            return kept + torch.cholesky_solve(lost.T, factor).T
        damping *= GROWTH
    raise AssertionError(f"moments that no damping makes positive definite, up to {damping:g}")

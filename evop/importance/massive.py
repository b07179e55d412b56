"""Tokens on which a model puts activations far larger than on all others."""

from __future__ import annotations

import torch

FAR = 100.0
"""Times the median squared size of a passage's tokens from which on one is massive; ordinary ones stay below 60."""


def ordinary(values: torch.Tensor) -> torch.Tensor:
    """Tell which tokens of one passage are not massive.

    Models put activations thousands of times as large as others on a few tokens: on the first, and on some that only a
    long text has, such as separators. In sums of squares one of them counts as much as all the rest. So a token whose
    squared size is more than ``FAR`` times the median of its passage is not counted. Values that are not finite are
    ordinary, so that who sums them up sees them.

    Args:
        values: what a place of the model holds for each token, [tokens, features].

    Returns:
        bool [tokens].

    Source: massive activations, arXiv 2402.17762; the limit is evop's own.
    """
    sizes = values.float().square().sum(dim=-1)
    if not len(sizes) or not float(middle := sizes.median()) > 0:
        return torch.ones_like(sizes, dtype=torch.bool)
    return ~((sizes > FAR * middle) & sizes.isfinite())

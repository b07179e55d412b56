"""Second moments of what runs into the sites: what the least-squares weights of their levels are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from calibration.passage import domain_of
from evop.evaluator import Evaluator
from evop.importance.batch import Batch, group_batches
from evop.importance.massive import ordinary
from evop.importance.measured import sites_of
from evop.importance.site import Site, on_cpu
from evop.model.loaded import LoadedModel
from evop.tokens.passages import TokenPassages
from patterns import PatternSpace

SUMS_BYTES = 4 << 30
"""Bytes of float64 sums that one pass over the passages gathers at most; what does not fit takes another pass."""


def moment_sizes(loaded: LoadedModel, space: PatternSpace) -> list[int]:
    """List the input features of every site, in the order of the parts."""
    return [site.features for site in sites_of(loaded, space, coupled=False)]


def moment_passes(sizes: Sequence[int]) -> int:
    """Count how often the passages go through the model to gather the moments of sites of so many features."""
    return len(_dealt(sizes))


def gathered_moments(evaluator: Evaluator, passages: TokenPassages) -> Iterator[tuple[str, np.ndarray]]:
    """Gather the second moments at the sites of a space's thinned parts: mean of ``x x'``, not centred.

    Every domain has equal weight, whatever its tokens. The first token of a passage is left out, and so are others with
    massive activations: these are so much larger than all else that little but them would be fitted. Memory:
    ``SUMS_BYTES``, or the sums of one site where they are more.

    Args:
        evaluator: the dense model, and the space.
        passages: the text.

    Yields:
        Name of a part, and its moments, float32 [features, features], in the order of the parts.

    Raises:
        EvopError: an input is not finite, or memory does not suffice.
    """
    loaded, passages = evaluator.loaded, passages.as_text()
    sites = sites_of(loaded, evaluator.space, coupled=False)
    for numbers in _dealt([site.features for site in sites]):
        together = [sites[number] for number in numbers]
        sums = evaluator.backoff(partial(second_moments, loaded.model, together, passages))
        for site in together:
            yield site.part, on_cpu(sums.pop(site.part), _what(site)).astype(np.float32)


def second_moments(
    model: nn.Module, sites: Sequence[Site], passages: TokenPassages, batch_tokens: int
) -> dict[str, torch.Tensor]:
    """Gather the second moments at some sites in one pass over the passages.

    Products are of fp32 at least, one passage at a time, and summed in float64: where the site lies if that is a GPU
    which has float64, else on the CPU.

    Args:
        model: a causal language model of transformers; it is left as it was, whatever happens.
        sites: the sites.
        passages: token ids and groups, text alone.
        batch_tokens: padded tokens of one forward pass at most (at least one passage).

    Returns:
        Part name -> float64 [features, features].
    """
    sums = {site.part: _zeros(site) for site in sites}
    shares, device = _shares(passages), next(model.parameters()).device
    language_model: Any = model
    with torch.inference_mode():
        for batch in group_batches(passages, batch_tokens, device):
            with ExitStack() as hooks:
                for site in sites:
                    add = partial(_add, sums[site.part], batch, shares)
                    hooks.enter_context(site.out.register_forward_pre_hook(add))
                language_model.base_model(input_ids=batch.ids, use_cache=False)  # no logits: nobody reads them
    return sums


def _add(
    sums: torch.Tensor, batch: Batch, shares: np.ndarray, _module: nn.Module, args: tuple[torch.Tensor, ...]
) -> None:
    """Add what runs into a site, row by row, so that no passage's share depends on its batch."""
    for row, group in zip(batch.real(args[0]), batch.groups, strict=True):
        counted = row[1:]
        counted = counted[ordinary(counted)]
        product = (counted.T @ counted).to(sums.device)
        sums.add_(product.double(), alpha=float(shares[group]))


def _shares(passages: TokenPassages) -> np.ndarray:
    """Weigh a token of each group: float64 [groups], so that every domain's tokens weigh the same together."""
    domains = [domain_of(group) for group in passages.tokens_by_group]
    tokens = dict.fromkeys(domains, 0)
    for ids, group in zip(passages.ids, passages.groups, strict=True):
        tokens[domain_of(group)] += len(ids) - 1
    return np.array([1 / (len(tokens) * tokens[domain]) for domain in domains])


def _zeros(site: Site) -> torch.Tensor:
    weight = site.weight
    where = weight.device if weight.device.type == "cuda" else "cpu"
    return torch.zeros((site.features, site.features), dtype=torch.float64, device=where)


def _dealt(sizes: Sequence[int]) -> list[list[int]]:
    """Deal sites out to passes, in their order: the numbers of those that are gathered together."""
    passes: list[list[int]] = []
    room = 0
    for number, size in enumerate(sizes):
        needed = 8 * size * size
        if not passes or needed > room:
            passes.append([])
            room = SUMS_BYTES
        passes[-1].append(number)
        room -= needed
    return passes


def _what(site: Site) -> str:
    return f"{site.part}: a second moment of its input"

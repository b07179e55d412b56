"""Statistics of what runs into the sites: mean, variance and gate gradient of every feature, group by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from evop.importance.batch import Batch, group_batches
from evop.importance.site import Site, on_cpu, widened
from evop.tokens.batches import IGNORED
from evop.tokens.passages import TokenPassages

MEASURED = {
    "X": "square",
    "V": "variance",
    "D": "gradient",
    "S": "square_sum",
    "G": "weight_gradient",
    "R": "gradient_sum",
}
"""Terminals of metrics that are measured -> what they are called in the statistics of a site."""


@dataclass(frozen=True)
class SiteStatistics:
    """The inputs of one site over the tokens of each group; every array is float64 [groups, F].

    Attributes:
        mean: mean of each feature.
        variance: mean squared deviation of each feature from its mean.
        gradient: derivative of the group's mean next-token loss with respect to a gate on the feature, at one:
            the sum over tokens of x * dL/dx, in nats; None where no gradients were gathered.
        weight_gradient: of the weight as ``Site.weight`` gives it, root mean square over passages of the gradient of a
            passage's mean next-token loss, every group of equal weight, float32 [out, F], on its device; None where
            it was not gathered.
        tokens: number of tokens of each group, int64 [groups].
        passages: number of passages of each group, int64 [groups].
    """

    mean: np.ndarray
    variance: np.ndarray
    gradient: np.ndarray | None
    weight_gradient: torch.Tensor | None = None
    tokens: np.ndarray | None = None
    passages: np.ndarray | None = None

    @property
    def square(self) -> np.ndarray:
        """Mean square of each feature."""
        return self.variance + self.mean**2

    @property
    def square_sum(self) -> np.ndarray:
        """Sum of squares of each feature over a passage, mean over the passages of each group."""
        assert self.tokens is not None
        assert self.passages is not None
        return self.square * (self.tokens / self.passages)[:, None]

    @property
    def gradient_sum(self) -> torch.Tensor:
        """A hundred times the root of the sum of squares of the weight's gradient over all passages, [out, F].

        Source: Pruner-Zero's code, which sums (100 g)^2; groups of equal weight, as ``weight_gradient`` has them.
        """
        assert self.weight_gradient is not None, "gradients of the weights were not measured"
        assert self.passages is not None
        return self.weight_gradient * (100 * float(np.sqrt(self.passages.sum())))

    @property
    def rms(self) -> np.ndarray:
        """Root of the mean square of each feature."""
        return np.sqrt(self.square)


@dataclass(frozen=True)
class Statistics:
    """Statistics of all sites.

    Attributes:
        groups: group keys in order of first appearance.
        tokens: number of input tokens of each group, int64 [groups]; first and last of a passage included, padding not.
        sites: name of each part -> its statistics.
    """

    groups: tuple[str, ...]
    tokens: np.ndarray
    sites: Mapping[str, SiteStatistics]


def gather(
    model: nn.Module,
    sites: Sequence[Site],
    passages: TokenPassages,
    batch_tokens: int,
    *,
    gradients: bool,
    of_weights: bool = False,
) -> Statistics:
    """Gather the statistics of all sites in one pass over the passages.

    Memory: without gradients one site's inputs at a time, row by row. With gradients what one forward and backward
    pass of a batch needs, the inputs of all sites among it. And float64 [groups, F] per site and statistic on the CPU.

    Args:
        model: a causal language model of transformers; it is left as it was, whatever happens.
        sites: one site per part.
        passages: token ids and groups.
        batch_tokens: padded tokens of one forward pass at most (at least one passage).
        gradients: whether to run backward too.
        of_weights: whether to gather gradients of the sites' own weights too, one passage at a time; no other weight's
            gradient is ever computed. Takes float32 [out, F] a site, on its device.

    Returns:
        The statistics, all finite.

    Raises:
        EvopError: an input or gradient that is not finite.
    """
    groups = tuple(passages.tokens_by_group)
    assert gradients or not of_weights
    number = np.array([passages.groups.count(group) for group in groups])
    counted = [1 / (len(groups) * count) for count in number] if of_weights else None
    sums = {site.part: _Sums(site, len(groups), gradients, counted) for site in sites}
    device = next(model.parameters()).device
    tokens = np.zeros(len(groups), dtype=np.int64)
    with torch.inference_mode(not gradients), torch.set_grad_enabled(gradients):
        for batch in group_batches(passages, batch_tokens, device):
            _run(model, sites, sums, batch, gradients)
            np.add.at(tokens, batch.groups, batch.lengths)
    for part, running in sums.items():
        assert np.array_equal(running.tokens, tokens), f"{part}: its projection did not run once a forward pass"
    scored = np.array(list(passages.tokens_by_group.values()))
    return Statistics(groups, tokens, {part: running.statistics(scored, number) for part, running in sums.items()})


def _run(model: nn.Module, sites: Sequence[Site], sums: Mapping[str, _Sums], batch: Batch, gradients: bool) -> None:
    """Run one batch through the model, forward and, for gradients, backward, while every site is observed."""
    language_model: Any = model
    with ExitStack() as hooks:
        for site in sites:
            observe = partial(_observe, sums[site.part], batch, gradients)
            hooks.enter_context(site.out.register_forward_pre_hook(observe))
            if sums[site.part].shares is not None:
                hooks.enter_context(site.out.register_forward_hook(partial(_observe_output, sums[site.part], batch)))
        if not gradients:
            language_model.base_model(input_ids=batch.ids, use_cache=False)  # no logits: nobody reads them
            return
        # The weights ask for no gradient, so the graph starts where the tokens enter. `grad` fills no `.grad`.
        entered: list[torch.Tensor] = []
        embeddings = language_model.get_input_embeddings()
        hooks.enter_context(
            embeddings.register_forward_hook(lambda _module, _args, output: entered.append(output.requires_grad_()))
        )
        logits = language_model(input_ids=batch.ids, use_cache=False).logits
        wanted = functional.pad(batch.wanted, (0, 1), value=IGNORED)  # cutting the last logits would copy all
        # Summed, so that no passage's share depends on its batch, and fp16 gradients do not vanish.
        loss = functional.cross_entropy(
            widened(logits).flatten(0, 1), wanted.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        torch.autograd.grad(loss, entered)


def _observe(sums: _Sums, batch: Batch, gradients: bool, _module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
    """Add what runs into a site, and have its gradient added when the backward pass comes by."""
    sums.add_inputs(batch, args[0].detach())
    if gradients:
        # The detached twin: a hook that held its own tensor would be a cycle, and the batch would outlive its turn.
        args[0].register_hook(partial(sums.add_gradients, batch, args[0].detach()))


def _observe_output(
    sums: _Sums, batch: Batch, _module: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor
) -> None:
    """Have the gradient of a site's weight added when the backward pass comes by."""
    output.register_hook(partial(sums.add_weight_gradients, batch, args[0].detach()))


class _Sums:
    """Running statistics of one site; ``shares``: what a passage of each group counts in the weight's gradient."""

    def __init__(self, site: Site, groups: int, gradients: bool, shares: Sequence[float] | None) -> None:
        self.part, features = site.part, site.features
        self.tokens = np.zeros(groups, dtype=np.int64)
        self.mean = np.zeros((groups, features))
        self.deviation = np.zeros((groups, features))
        self.gradient = np.zeros((groups, features)) if gradients else None
        self.shares = shares
        self.weight_squares = torch.zeros_like(widened(site.weight)) if shares is not None else None

    def add_inputs(self, batch: Batch, inputs: torch.Tensor) -> None:
        """Add the rows of a batch, each around its own mean, so that a large mean does not drown the variance.

        Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
        variances" (1979), equation 2.1.
        """
        means, deviations = [], []
        for row in batch.real(inputs):
            means.append(row.mean(dim=0))
            deviations.append((row - means[-1]).square_().sum(dim=0))
        what = f"{self.part}: its input"
        added = zip(on_cpu(torch.stack(means), what), on_cpu(torch.stack(deviations), what), strict=True)
        for (mean, deviation), group, length in zip(added, batch.groups, batch.lengths, strict=True):
            before = int(self.tokens[group])
            after = before + length
            shift = mean - self.mean[group]
            self.mean[group] += shift * (length / after)
            self.deviation[group] += deviation + shift**2 * (before * length / after)
            self.tokens[group] = after

    def add_gradients(self, batch: Batch, inputs: torch.Tensor, gradients: torch.Tensor) -> None:
        """Add x * dL/dx of a batch, L its summed loss."""
        assert self.gradient is not None
        rows = zip(batch.real(inputs), batch.real(gradients), strict=True)
        gates = torch.stack([(row * gradient).sum(dim=0) for row, gradient in rows])
        np.add.at(self.gradient, batch.groups, on_cpu(gates, f"{self.part}: its gradient"))

    def add_weight_gradients(self, batch: Batch, inputs: torch.Tensor, gradients: torch.Tensor) -> None:
        """Add the squared gradient of each passage's mean loss; ``gradients`` are those of what the site puts out."""
        assert self.weight_squares is not None
        assert self.shares is not None
        rows = zip(batch.real(inputs), batch.real(gradients), batch.groups, batch.lengths, strict=True)
        for row, gradient, group, length in rows:
            product = (gradient.T @ row) / max(1, int(length) - 1)
            self.weight_squares.add_(product.square_(), alpha=self.shares[int(group)])

    def statistics(self, scored: np.ndarray, passages: np.ndarray) -> SiteStatistics:
        """Divide the sums by their tokens; given are the scored tokens and the passages of each group."""
        gradient = None if self.gradient is None else self.gradient / scored[:, None]
        root = None if self.weight_squares is None else self.weight_squares.sqrt()
        variance = self.deviation / self.tokens[:, None]
        return SiteStatistics(self.mean, variance, gradient, root, self.tokens, passages)

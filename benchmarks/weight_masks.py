"""Weights that leave one by one, so that metrics can be compared where they were published. No command of its own.

What ``evop prune --grain weight`` writes as a checkpoint is measured here in place, many metrics one after the other. A
stock runtime gains nothing by such zeros: they are stored and multiplied like other numbers.

What is not as in the releases: statistics are those of the dense model for every layer (they run each layer pruned
before they measure the next), a matrix's values of every input are means over groups of equal weight, and gradients are
of the same text as inputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from evop.importance.batch import group_batches
from evop.importance.site import Site
from evop.importance.statistics import gather
from evop.metrics.expression import Expression
from evop.metrics.values import value
from evop.model.loaded import LoadedModel
from evop.removal.least_squares import least_squares_of_rows
from evop.removal.sparsity import Sparsity
from evop.tokens.batches import IGNORED, padded
from evop.tokens.passages import TokenPassages

BATCH_TOKENS, ROWS = 512, 16
Share = float | str
"""What leaves of every row: a fraction, or N:M, where N of M neighbours stay."""


@dataclass(frozen=True)
class Sums:
    """What was measured on passages: summed loss and squared distance of logits, and tokens, float64 [groups]."""

    nll: np.ndarray
    distance: np.ndarray
    tokens: np.ndarray

    def __add__(self, other: Sums) -> Sums:
        """Put two splits of the same groups together."""
        return Sums(self.nll + other.nll, self.distance + other.distance, self.tokens + other.tokens)

    def excess(self, dense: Sums) -> np.ndarray:
        """How much more every group loses than the dense model, in nats per token."""
        return (self.nll - dense.nll) / self.tokens

    @property
    def reconstruction(self) -> float:
        """The Frobenius norm of the difference of logits, as OptiShear minimises it, without padding."""
        return math.sqrt(self.distance.sum())


@dataclass
class WeightMasks:
    """The matrices of a decoder, what metrics read of them, and what the model loses where weights of them are zero.

    Attributes:
        loaded: the model; it is left as it was.
        sites: the matrices.
        terminals: site -> terminal -> its values, [out, in] or [1, in].
        dense: passages -> the logits of the dense model there, batch by batch.
    """

    loaded: LoadedModel
    sites: list[Site]
    terminals: Mapping[str, Mapping[str, torch.Tensor]]
    dense: dict[str, list[torch.Tensor]] = field(default_factory=dict)

    @classmethod
    def of(cls, loaded: LoadedModel, passages: TokenPassages, per_input: float = 1.0) -> WeightMasks:
        """Measure what metrics read.

        Args:
            loaded: the model.
            passages: the search sample.
            per_input: what X is multiplied by: 1 for mean squares, the tokens of a passage for OptiShear's, whose X is
                the squared norm of an input over a whole passage.
        """
        sites = [
            Site(f"{number}.{name}", module, module.in_features, ())
            for number, layer in enumerate(loaded.family.layer_list(loaded.model))
            for name, module in layer.named_modules()
            if isinstance(module, torch.nn.Linear)
        ]
        found = gather(loaded.model, sites, passages, BATCH_TOKENS, gradients=True, of_weights=True)
        terminals = {}
        for site in sites:
            statistics = found.sites[site.part]
            assert statistics.weight_gradient is not None
            square = torch.from_numpy(statistics.square.mean(axis=0, keepdims=True)).float()
            terminals[site.part] = {"W": site.weight, "X": per_input * square, "G": statistics.weight_gradient}
        return cls(loaded, sites, terminals)

    def masks(self, metric: Expression, shares: Share | Sequence[float]) -> list[torch.Tensor] | None:
        """Say which weights stay, bool [out, in] a matrix; None where the metric is no number somewhere."""
        masks = []
        for site in self.sites:
            scores = value(metric, self.terminals[site.part]).expand_as(site.weight)
            if torch.isnan(scores).any():
                return None
            share = shares if isinstance(shares, float | str) else shares[int(site.part.partition(".")[0])]
            masks.append(Sparsity.read(share).stays(scores, 0))
        return masks

    @contextmanager
    def as_weights(self, weights: Sequence[torch.Tensor]) -> Any:
        """Let the model have other weights for a while."""
        before = [site.weight.clone() for site in self.sites]
        try:
            for site, weight in zip(self.sites, weights, strict=True):
                site.weight.copy_(weight)
            yield
        finally:
            for site, weight in zip(self.sites, before, strict=True):
                site.weight.copy_(weight)

    def zeroed(self, masks: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The weights with zeros."""
        return [site.weight * mask for site, mask in zip(self.sites, masks, strict=True)]

    def measured(self, weights: Sequence[torch.Tensor] | None, passages: TokenPassages) -> Sums:
        """Measure the model with other weights; None for the dense one."""
        if passages.fingerprint not in self.dense:
            self.dense[passages.fingerprint] = self._logits(passages)
        with self.as_weights([site.weight for site in self.sites] if weights is None else weights):
            found = self._logits(passages)
        number = {group: at for at, group in enumerate(passages.tokens_by_group)}
        nll, distance, tokens = (np.zeros(len(number)) for _ in range(3))
        rows = _batches(passages)
        for batch, logits, dense in zip(rows, found, self.dense[passages.fingerprint], strict=True):
            _, wanted = padded(passages, batch)
            counted = wanted != IGNORED
            loss = functional.cross_entropy(
                logits.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED, reduction="none"
            ).view_as(counted)
            far = (logits - dense).square_().sum(-1) * counted
            of = [number[passages.groups[i]] for i in batch]
            for sums, each in ((nll, loss), (distance, far), (tokens, counted)):
                np.add.at(sums, of, each.double().sum(1).numpy())
        return Sums(nll, distance, tokens)

    def _logits(self, passages: TokenPassages) -> list[torch.Tensor]:
        model: Any = self.loaded.model
        with torch.inference_mode():
            return [
                model(input_ids=padded(passages, batch)[0], use_cache=False).logits[:, :-1].float()
                for batch in _batches(passages)
            ]

    def refitted(self, masks: Sequence[torch.Tensor], text: TokenPassages) -> list[torch.Tensor]:
        """Fit what stays of every row so that its output on the dense model's inputs changes least; zeros stay zero."""
        moments = self._moments(text)
        return [
            least_squares_of_rows(site.weight.double(), moments[id(site)], mask).float()
            for site, mask in zip(self.sites, masks, strict=True)
        ]

    def _moments(self, text: TokenPassages) -> dict[int, torch.Tensor]:
        """Second moments of the inputs of every matrix, float64 [in, in], every token counted alike."""
        sums = {id(site): torch.zeros(site.features, site.features, dtype=torch.float64) for site in self.sites}
        rows: list[Any] = []

        def add(site: Site, args: tuple[torch.Tensor, ...]) -> None:
            for row, length in zip(args[0], rows[0], strict=True):
                inputs = row[: int(length)]
                sums[id(site)] += (inputs.T @ inputs).double()

        handles = [
            site.out.register_forward_pre_hook(lambda _, args, site=site: add(site, args)) for site in self.sites
        ]
        model: Any = self.loaded.model
        try:
            with torch.inference_mode():
                for batch in group_batches(text, BATCH_TOKENS, self.loaded.device):
                    rows[:] = [batch.lengths]
                    model.base_model(input_ids=batch.ids, use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        return {key: found / text.total for key, found in sums.items()}


def _batches(passages: TokenPassages) -> list[range]:
    """Passages side by side, of whatever groups."""
    return [range(at, min(at + ROWS, len(passages.ids))) for at in range(0, len(passages.ids), ROWS)]

"""Short training of what a cut leaves, before it is judged: the last projections learn from the dense model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from calibration.seeded import generator
from evop.model.families import BLOCK_KINDS
from evop.model.loaded import DTYPES, LoadedModel
from evop.recovery.healing.distillation import Target, distillation_loss, target_of
from evop.recovery.projection import Projection
from evop.recovery.text import LearningText
from evop.removal.compensation import stored_dtype
from evop.removal.cut import Cut, Place, Weight
from evop.removal.masking import Refitted, masked
from evop.tokens.batches import lay_out

RATE, WIDTH = 1e-5, 4096
"""DarwinLM's learning rate, and the hidden size of what it was given for; for narrower models it is larger, as in
healing. Healing's own rate is for batches and a schedule: at one passage a step it makes patterns worse."""
TOP = 64
"""Likeliest words of the dense model that are learned; the others count as one."""


@dataclass
class Tuning:
    """Trains the last projections of every block that stays, from the weights that a cut gives them.

    One passage a step, AdamW without weight decay, the divergence from the dense model. Each call begins anew, with the
    first passages of one fixed, shuffled order, so that a cut and a share always give the same weights. It ends where a
    loss is no number. No token is left out for being massive, as in a refit: a token counts by what is said there, and
    not by the size of what a layer holds.

    DarwinLM trains all parameters in stage after stage, and throws the trained weights away. Here only those are
    trained that can be written beside a pattern, and the answer keeps them: what was judged is what is written.

    Memory: 64 words and chances for every token that is trained on, 0.8 kB; and four float32 copies of the last
    projections.

    Source: DarwinLM (arXiv 2502.07780), training-aware selection: 10, 50, 100 and 200 thousand tokens.

    Attributes:
        loaded: the dense model.
        text: what is learned from.
        seed: seed of the order of the passages.
    """

    loaded: LoadedModel
    text: LearningText
    seed: int
    _targets: dict[int, Target] = field(init=False, default_factory=dict)

    def tokens(self, share: float) -> int:
        """Count the tokens that a cut is trained on, of a share of the text."""
        return int(self.text.passages.scored[self._chosen(share)].sum())

    def tuned(self, cut: Cut, share: float) -> Cut:
        """Return a cut with the weights that it has after training.

        Args:
            cut: what leaves, with the weights to begin from where they are not the dense model's.
            share: the share of the text that is learned from.
        """
        chosen = self._chosen(share)
        for passage in chosen:
            self._learn_what_is_said(passage)
        begun = replace(cut, weights=self._beginning(cut))
        with masked(self.loaded.model, self.loaded.family, begun), torch.enable_grad():
            learned = self._trained(begun, chosen)
        stored = {place: values.detach().to(stored_dtype(self.loaded, place)) for place, values in learned.items()}
        return replace(cut, weights={place: Weight(values.cpu().contiguous()) for place, values in stored.items()})

    def _trained(self, cut: Cut, chosen: Iterable[int]) -> dict[Place, torch.Tensor]:
        """Train copies of the weights of a cut that is made in the model."""
        modules = {place: self._module(place) for place in cut.weights}
        weights = {place: module.weight.detach().float().clone().requires_grad_() for place, module in modules.items()}
        config: Any = self.loaded.model.config
        rate = RATE * WIDTH / int(config.hidden_size)
        optimizer = torch.optim.AdamW(weights.values(), rate, weight_decay=0.0)
        for passage in chosen:
            for place, module in modules.items():
                module.weight = weights[place].to(DTYPES[self.loaded.dtype])
            layout, device = lay_out(self.text.passages, [passage]), self.loaded.device
            said = self.loaded.model(input_ids=layout.ids.to(device), use_cache=False).logits
            said = said.flatten(0, -2)[layout.at.to(device)]
            target = self._targets[passage]
            target = Target(target.words.long().to(device), target.chances.to(device))
            loss = distillation_loss(said, target, layout.wanted.to(device), 0.0) / len(layout.wanted)
            if not loss.isfinite():  # a pattern that ruins the model; what is measured next says so
                break
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return weights

    def _module(self, place: Place) -> Refitted:
        layer = self.loaded.family.layer_list(self.loaded.model)[place[1]]
        module = layer.get_submodule(self.loaded.family.block(place[0]).out)
        assert isinstance(module, Refitted)
        return module

    def _beginning(self, cut: Cut) -> dict[Place, Weight]:
        """Say with which weight every block that stays begins."""
        layers = self.loaded.family.layer_list(self.loaded.model)
        places: list[Place] = [(kind, number) for number in range(len(layers)) for kind in BLOCK_KINDS]
        own = {
            place: Weight(Projection.of(self.loaded, layers[place[1]], place, cut, "chain").old)
            for place in places
            if place not in cut.gone and place not in cut.weights
        }
        return {**own, **cut.weights}

    @torch.no_grad()
    def _learn_what_is_said(self, passage: int) -> None:
        """Ask the dense model what it predicts of a passage, once."""
        if passage not in self._targets:
            layout, device = lay_out(self.text.passages, [passage]), self.loaded.device
            said = self.loaded.model(input_ids=layout.ids.to(device), use_cache=False).logits
            target = target_of(said.flatten(0, -2)[layout.at.to(device)], TOP)
            self._targets[passage] = Target(target.words.int().cpu(), target.chances.cpu())

    @cached_property
    def _order(self) -> np.ndarray:
        return generator("tuning", self.seed).permutation(len(self.text.passages.ids))

    def _chosen(self, share: float) -> list[int]:
        """List the passages that are trained on, in order: the first that hold a share of all tokens, one at least."""
        before = np.cumsum(self.text.passages.scored[self._order]) - self.text.passages.scored[self._order]
        return [int(i) for i in self._order[before < share * self.text.tokens - 1e-6]]

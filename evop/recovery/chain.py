"""Refitting in closed form: last projections learn to give back what left, one block after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch

from evop.errors import refuse_unknown
from evop.evaluator.layer_stack import LayerStack
from evop.evaluator.prefixes import State, state_of
from evop.model.loaded import LoadedModel
from evop.recovery.blocks import Stop, steps_of, stops_of
from evop.recovery.projection import Projection
from evop.recovery.streams import Streams, batches_of, dense_states
from evop.recovery.text import LearningText
from evop.removal.cut import Cut, Place, Weight

METHODS = ("chain", "single", "replaceme", "linearpatch", "diagonal")
"""Ways to refit, as ``--refit`` names them."""


@dataclass
class ChainRefit:
    """Refits the last projections of what a cut leaves, from the first change on, in the order in which they run.

    For each block, with x the stream that the pruned model has in front of it, a what its last projection W reads, and
    R the dense model's stream in front of the next block that stays:

        d = argmin sum w |a (W + d)ᵀ - (R - x)|² + ridge · mean(diagonal of sum w a aᵀ) · |d|²

    The new weight is W + d, rounded as it is stored, and x goes through it before the next block is solved; so each
    makes up for what those before it could not. Behind a norm, see ``NormBehind``. The sum is over the tokens but the
    first of every passage and those of which a or R - x is massive: one such token can outweigh twenty thousand.

    ``chain`` refits every block from the first change on. ``single`` refits those alone that something left from or
    behind. Three more, for comparison, change these blocks too, but not as freely: ``replaceme`` by a map of what they
    put out, hidden x hidden; ``diagonal`` by a factor for each channel; ``linearpatch`` by a factor for each channel
    of what they put out after a Hadamard transform, which spreads single large channels over all.

    Memory, beside the model: twice tokens x hidden numbers for the streams, and in float64 twice features² and twice
    features x hidden numbers of one projection.

    Source: ridge regression on the residual stream, one sweep of SparseGPT-like layerwise solving; ReplaceMe
    (arXiv 2505.02819) for the map folded into the projection before a gap; LinearPatch (arXiv 2505.24680) for factors
    behind a Hadamard transform, which it puts on the residual stream; that fits no stock model, so that here they act
    on what the block adds to it, and are solved for instead of taken from mean magnitudes.

    Attributes:
        loaded: the dense model.
        cut: what leaves it.
        text: what is learned from.
        method: one of ``METHODS``.
        batch_tokens: padded tokens of a forward pass at most.
        tick: is called after every batch with the place that is worked on.
        solved: blocks that are done already.
        keep: is given every block as it is done.
    """

    loaded: LoadedModel
    cut: Cut
    text: LearningText
    method: str = "chain"
    batch_tokens: int = 512
    tick: Callable[[Place], None] = lambda place: None
    solved: Mapping[Place, Weight] = field(default_factory=dict)
    keep: Callable[[Place, Weight], None] = lambda place, weight: None

    def __post_init__(self) -> None:
        refuse_unknown("--refit", self.method, METHODS)

    @cached_property
    def stops(self) -> list[Stop]:
        """The steps that stay."""
        layers = len(self.loaded.family.layer_list(self.loaded.model))
        return stops_of(self.cut, layers, self._parallel)

    @cached_property
    def places(self) -> list[Place]:
        """The blocks that are refitted, in order."""
        first = next((at for at, stop in enumerate(self.stops) if stop.wounded), len(self.stops))
        everywhere = self.method == "chain"
        stops = self.stops[first:]
        return [place for stop in stops for place in stop.places if stop.is_solved(place, self.cut, everywhere)]

    @torch.inference_mode()
    def weights(self, ridge: float) -> dict[Place, Weight]:
        """Refit: the new weight of every block of ``places``.

        Args:
            ridge: strength of the pull towards the weights that are there.

        Raises:
            EvopError: inputs that are not finite.
        """
        found: dict[Place, Weight] = {}
        with LayerStack(self.loaded.model, self.loaded.family).opened() as stack:
            dense = Streams(stack, batches_of(self.text, self.batch_tokens))
            pruned: Streams | None = None
            for stop in self.stops:
                if pruned is None and stop.wounded:
                    pruned = dense.copy()
                self._advance(dense, stop)
                if pruned is None:
                    continue
                for place in [place for place in stop.places if place in self.places]:
                    pruned.tick = dense.tick = lambda place=place: self.tick(place)  # type: ignore[misc]
                    weight = self.solved.get(place) or self._solve(place, stop, pruned, dense, found).weight(ridge)
                    found[place] = weight
                    self.keep(place, weight)
                if stop is not self.stops[-1]:
                    pruned.run(stop.step, self._states(stop, found))
        return found

    @cached_property
    def _parallel(self) -> bool:
        return self.loaded.family.is_parallel(self.loaded.model.config)

    def _advance(self, dense: Streams, stop: Stop) -> None:
        """Bring the dense model's stream in front of the next step that stays."""
        steps = steps_of(len(dense.stack.layers), self._parallel)
        first = 0 if stop is self.stops[0] else stop.first
        for step in steps[first : stop.end]:
            dense.run(step, dense_states(step))

    def _states(self, stop: Stop, found: Mapping[Place, Weight]) -> dict[Place, State]:
        """What is left of a step, with the weights that were found."""
        cut = replace(self.cut, weights=found)
        return {place: state_of(cut, place) for place in stop.places}

    def _solve(
        self, place: Place, stop: Stop, pruned: Streams, dense: Streams, found: Mapping[Place, Weight]
    ) -> Projection:
        """Gather what the new weight of one block is solved from."""
        assert dense.values is not None
        projection = Projection.of(self.loaded, pruned.stack.layers[place[1]], place, self.cut, self.method)
        with projection.watched() as seen:
            for at, batch, before, behind in pruned.through(stop.step, self._states(stop, found)):
                read, out = seen.pop()
                projection.add(batch, read, out, (before, behind, dense.values[at].to(behind.device)))
        return projection

"""Refitting in closed form: blocks that stay learn to give back what left, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch

from evop.errors import refuse_unknown
from evop.evaluator.layer_stack import LayerStack
from evop.evaluator.prefixes import State, state_of, with_matrices
from evop.model.loaded import LoadedModel
from evop.recovery.blocks import Stop, steps_of, stops_of
from evop.recovery.projection import Projection
from evop.recovery.reading import Reading, readings_of
from evop.recovery.streams import Streams, batches_of, dense_states
from evop.recovery.text import LearningText
from evop.removal.cut import Cut, Place, Weight

METHODS = ("chain", "both", "single", "replaceme", "linearpatch", "diagonal")
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

    ``chain`` refits every block from the first change on. ``both`` does, and before it solves for a last projection, it
    solves for what the block reads with, see ``Reading``: so that it reads what it read in the dense model. ``single``
    refits those alone that something left from or behind. Three more, for comparison, change these blocks too, but not
    as freely: ``replaceme`` by a map of what they put out, hidden x hidden; ``diagonal`` by a factor for each channel;
    ``linearpatch`` by a factor for each channel of what they put out after a Hadamard transform, which spreads single
    large channels over all.

    Memory, beside the model: twice tokens x hidden numbers for the streams (three times by ``both``), and in float64
    twice features² and twice features x hidden numbers of one projection.

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
        everywhere = self.method in ("chain", "both")
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
        readings = readings_of(self.loaded) if self.method == "both" else {}
        with LayerStack(self.loaded.model, self.loaded.family).opened() as stack:
            dense = Streams(stack, batches_of(self.text, self.batch_tokens))
            pruned: Streams | None = None
            for stop in self.stops:
                if pruned is None and stop.wounded:
                    pruned = dense.copy()
                here = [place for place in stop.places if place in self.places and pruned is not None]
                reading = {p: readings.pop(p) for p in here if p in readings and p not in self.solved}
                self._advance(dense, stop, reading.values())
                if pruned is None:
                    continue
                for place in here:
                    pruned.tick = dense.tick = lambda place=place: self.tick(place)  # type: ignore[misc]
                    done = self.solved.get(place)
                    found[place] = done or self._refitted(place, stop, pruned, dense, found, reading.get(place), ridge)
                    self.keep(place, found[place])
                if stop is not self.stops[-1]:
                    pruned.run(stop.step, self._states(stop, found))
        return found

    @cached_property
    def _parallel(self) -> bool:
        return self.loaded.family.is_parallel(self.loaded.model.config)

    def _advance(self, dense: Streams, stop: Stop, readings: Iterable[Reading]) -> None:
        """Bring the dense model's stream in front of the next step that stays; note what some blocks read."""
        steps = steps_of(len(dense.stack.layers), self._parallel)
        first = 0 if stop is self.stops[0] else stop.first
        with ExitStack() as noting:
            for reading in readings:
                noting.enter_context(reading.watched(reading.note_dense))
            for step in steps[first : stop.end]:
                dense.run(step, dense_states(step))

    def _states(self, stop: Stop, found: Mapping[Place, Weight]) -> dict[Place, State]:
        """What is left of a step, with the weights that were found."""
        cut = replace(self.cut, weights=found)
        return {place: state_of(cut, place) for place in stop.places}

    def _refitted(
        self,
        place: Place,
        stop: Stop,
        pruned: Streams,
        dense: Streams,
        found: Mapping[Place, Weight],
        reading: Reading | None,
        ridge: float,
    ) -> Weight:
        """Find the new weights of one block: first of what it reads with, if asked for, then of its last projection."""
        assert dense.values is not None
        states, reads = self._states(stop, found), {}
        if reading is not None:
            read: list[torch.Tensor] = []
            with reading.watched(read.append):
                for at, batch, _, _ in pruned.through(stop.step, states):
                    reading.add(at, batch, read.pop())
            reads = reading.weights(ridge)
            states[place] = with_matrices(states[place], reads)
        projection = Projection.of(self.loaded, pruned.stack.layers[place[1]], place, self.cut, self.method)
        with projection.watched() as seen:
            for at, batch, before, behind in pruned.through(stop.step, states):
                projection.add(batch, *seen.pop(), (before, behind, dense.values[at].to(behind.device)))
        return replace(projection.weight(ridge), reads=reads)

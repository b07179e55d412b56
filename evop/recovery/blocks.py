"""The blocks of a model in the order in which they run, and what a cut makes of each."""

from __future__ import annotations

from dataclasses import dataclass

from evop.model.families import BLOCK_KINDS
from evop.removal.cut import Cut, Place

Step = tuple[Place, ...]
"""Blocks that run in one go: one, or both of a layer where they read the same input."""


def steps_of(layers: int, parallel: bool) -> list[Step]:
    """List the steps of a model."""
    blocks: list[Place] = [(kind, layer) for layer in range(layers) for kind in BLOCK_KINDS]
    return (
        [tuple(blocks[at : at + 2]) for at in range(0, len(blocks), 2)] if parallel else [(block,) for block in blocks]
    )


@dataclass(frozen=True)
class Stop:
    """A step that stays, on the way through the pruned model.

    Attributes:
        step: the step.
        places: its blocks that stay.
        first: index of the step.
        end: index of the next step that stays; what lies between is gone.
        wounded: whether the step differs from the dense model, or something is gone behind it, or before the first.
    """

    step: Step
    places: tuple[Place, ...]
    first: int
    end: int
    wounded: bool

    def is_solved(self, place: Place, cut: Cut, everywhere: bool) -> bool:
        """Tell whether the weight of a block is refitted: everywhere, or only where something left."""
        return everywhere or place in cut.kept or self.end > self.first + 1 or len(self.places) < len(self.step)


def stops_of(cut: Cut, layers: int, parallel: bool) -> list[Stop]:
    """List the steps that stay, in order."""
    steps = steps_of(layers, parallel)
    stays = [at for at, step in enumerate(steps) if not cut.gone.issuperset(step)]
    stops: list[Stop] = []
    for at, end in zip(stays, [*stays[1:], len(steps)], strict=True):
        places = tuple(place for place in steps[at] if place not in cut.gone)
        wounded = (
            (at > 0 and not stops)
            or end > at + 1
            or len(places) < len(steps[at])
            or any(place in cut.kept for place in places)
        )
        stops.append(Stop(steps[at], places, at, end, wounded))
    return stops

"""The tree of prefixes that the cuts of one round share. No torch: what is run once, and how often, can be counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from evop.removal.cut import Cut, Place

DENSE, GONE = "dense", "gone"


class Thinning(NamedTuple):
    """A block that keeps some of its units."""

    units: tuple[int, ...]
    bias: bytes | None


State = str | Thinning
"""What a cut makes of a block: ``DENSE``, ``GONE`` or a ``Thinning``."""
Step = tuple[State, ...]
"""The states of the blocks that are run in one step: of one block, or of both of a layer."""


def states(cut: Cut, layers: int) -> list[tuple[State, State]]:
    """What a cut makes of attention and MLP of every layer."""
    return [(_state(cut, ("attn", layer)), _state(cut, ("mlp", layer))) for layer in range(layers)]


def _state(cut: Cut, place: Place) -> State:
    if place in cut.gone:
        return GONE
    if place not in cut.kept:
        return DENSE
    bias = cut.bias.get(place)
    return Thinning(cut.kept[place], None if bias is None else bias.tobytes())


@dataclass
class Node:
    """A prefix: what follows it, and the cuts that end with it.

    Attributes:
        children: the next step -> the longer prefix.
        cuts: indices of the cuts that are this prefix and nothing more.
        weight: how many different cuts begin with it.
    """

    children: dict[Step, Node] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    weight: int = 0

    @property
    def heavy_first(self) -> list[tuple[Step, Node]]:
        """Children, those of the most cuts first."""
        return sorted(self.children.items(), key=lambda child: -child[1].weight)


@dataclass(frozen=True)
class PrefixTree:
    """The steps of some cuts, written together where they agree from the first step on.

    Attributes:
        root: the empty prefix.
        steps: steps of every cut: two a layer, or one where attention and MLP read the same input.
        parallel: whether they do.
    """

    root: Node
    steps: int
    parallel: bool

    @classmethod
    def of(cls, cuts: Sequence[Cut], layers: int, parallel: bool) -> PrefixTree:
        """Write cuts together; equal ones become one."""
        root = Node()
        for index, cut in enumerate(cuts):
            pairs = states(cut, layers)
            steps: list[Step] = list(pairs) if parallel else [(state,) for pair in pairs for state in pair]
            path = [root]
            for step in steps:
                path.append(path[-1].children.setdefault(step, Node()))
            if not path[-1].cuts:
                for node in path:
                    node.weight += 1
            path[-1].cuts.append(index)
        return cls(root, layers if parallel else 2 * layers, parallel)

    def runs(self) -> Iterator[tuple[int, Step]]:
        """Every step that is run, with its number."""
        waiting = [(0, self.root)]
        while waiting:
            number, node = waiting.pop()
            for step, child in node.children.items():
                yield number, step
                waiting.append((number + 1, child))

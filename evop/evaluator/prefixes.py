"""The tree of prefixes that the cuts of one round share. Without torch, so that its steps can be counted alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from evop.removal.cut import Cut, Place, Weight

DENSE, GONE = "dense", "gone"


class Changed(NamedTuple):
    """A block that stays, but not as it was.

    Attributes:
        units: indices of the units that stay, or None for all of them.
        bias: bytes of the float32 bias that makes up for the others, or None.
        weight: the new weight of the last projection, or None.
        matrices: names of matrices that have other weights, and these.
    """

    units: tuple[int, ...] | None
    bias: bytes | None = None
    weight: Weight | None = None
    matrices: tuple[tuple[str, Weight], ...] = ()


State = str | Changed
"""What a cut makes of a block: ``DENSE``, ``GONE`` or ``Changed``."""


class Step(NamedTuple):
    """What is run in one go: one block of a layer, or both.

    Attributes:
        layer: index of the decoder layer.
        attn: what the cut makes of its attention; None where the step does not run it.
        mlp: what the cut makes of its MLP; None where the step does not run it.
    """

    layer: int
    attn: State | None
    mlp: State | None

    @property
    def blocks(self) -> int:
        """The number of blocks that the step runs; what is gone is not run."""
        return sum(state not in (None, GONE) for state in (self.attn, self.mlp))

    @property
    def is_dense(self) -> bool:
        """Whether the step runs its blocks as the dense model does."""
        return {self.attn, self.mlp} <= {None, DENSE}

    @property
    def ends_layer(self) -> bool:
        """Whether the next step is of the next layer."""
        return self.mlp is not None

    def joined(self, mlp: Step) -> Step:
        """Join the step of an attention with the step of the MLP behind it."""
        return self._replace(mlp=mlp.mlp)


def steps_of(cut: Cut, layers: int, parallel: bool) -> Iterator[Step]:
    """List the steps of a cut: one per layer where attention and MLP read the same input, else two."""
    for layer in range(layers):
        attn, mlp = state_of(cut, ("attn", layer)), state_of(cut, ("mlp", layer))
        yield from [Step(layer, attn, mlp)] if parallel else [Step(layer, attn, None), Step(layer, None, mlp)]


def state_of(cut: Cut, place: Place) -> State:
    """Say what a cut makes of a block."""
    if place in cut.gone:
        return GONE
    if place in cut.matrices:
        return Changed(None, matrices=tuple(cut.matrices[place].items()))
    if place not in cut.kept and place not in cut.weights:
        return DENSE
    bias, weight = cut.bias.get(place), cut.weights.get(place)
    reads = tuple(weight.reads.items()) if weight else ()
    return Changed(cut.kept.get(place), None if bias is None else bias.tobytes(), weight, reads)


def with_matrices(state: State, matrices: Mapping[str, Weight]) -> State:
    """Let some matrices of a block that stays have other weights."""
    if not matrices:
        return state
    changed = state if isinstance(state, Changed) else Changed(None)
    return changed._replace(matrices=tuple(matrices.items()))


@dataclass
class Node:
    """A prefix of some cuts: the steps that follow it, and the cuts that end with it.

    Attributes:
        children: the next step -> the longer prefix.
        cuts: indices of the cuts that are this prefix and nothing more.
        weight: number of different cuts that begin with this prefix.
    """

    children: dict[Step, Node] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    weight: int = 0

    @property
    def heavy_first(self) -> list[tuple[Step, Node]]:
        """The children, those that the most cuts begin with first."""
        return sorted(self.children.items(), key=lambda child: -child[1].weight)


@dataclass(frozen=True)
class PrefixTree:
    """Holds the steps of some cuts, written once where they agree from the first step on.

    Attributes:
        root: the empty prefix, that all cuts begin with.
    """

    root: Node

    @classmethod
    def of(cls, cuts: Sequence[Cut], layers: int, parallel: bool) -> PrefixTree:
        """Write cuts together; equal ones become one.

        Args:
            cuts: what leaves the model.
            layers: number of decoder layers of the dense model.
            parallel: whether attention and MLP read the same input, so that a layer is one step.
        """
        root = Node()
        for index, cut in enumerate(cuts):
            path = [root]
            for step in steps_of(cut, layers, parallel):
                path.append(path[-1].children.setdefault(step, Node()))
            if not path[-1].cuts:  # an equal cut was counted before
                for node in path:
                    node.weight += 1
            path[-1].cuts.append(index)
        return cls(root)

    def runs(self) -> Iterator[Step]:
        """List every step that is run, each as often as it is run."""
        waiting = [self.root]
        while waiting:
            for step, child in waiting.pop().children.items():
                yield step
                waiting.append(child)

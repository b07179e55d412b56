"""Which patterns a deployment allows: small automata that read a pattern part by part.

A rule starts in ``start``, reads the level of each part in model order, and accepts in a ``final`` state.
Checking, enumeration and the budget's dynamic program all run on the same automaton, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from patterns.space import Part


class Legality(Protocol):
    """A rule over the levels of all parts."""

    couples: bool
    """Whether one part's level restricts another's."""
    start: Hashable

    def step(self, state: Hashable, part: Part, level: int) -> Hashable | None:
        """The state after one more part, or None where the pattern is already illegal."""

    def final(self, state: Hashable) -> bool:
        """Whether a pattern may end here."""


class Free:
    """Every pattern is legal."""

    couples = False
    start: Hashable = "free"

    def step(self, state: Hashable, part: Part, level: int) -> Hashable | None:
        """Always the one state."""
        return state

    def final(self, state: Hashable) -> bool:
        """Always."""
        return True


class Alternating:
    """What is kept reads attention, MLP, attention, MLP, …: a stock model with fewer layers.

    The state is the kind kept last. A removed ``mlp`` of one layer and ``attn`` of a later one leave a legal
    pattern, as do whole layers; the kept halves of two layers are packed into one.
    """

    couples = True
    start: Hashable = "mlp"

    def step(self, state: Hashable, part: Part, level: int) -> Hashable | None:
        """The kind kept last, or None where two of a kind would follow each other."""
        if level == part.top:
            return state
        return None if part.kind == state else part.kind

    def final(self, state: Hashable) -> bool:
        """After an MLP, or when nothing is kept."""
        return state == "mlp"


def _stock(grain: str) -> Legality:
    return Alternating() if grain == "subblock" else Free()


DEPLOYS: dict[str, Callable[[str], Legality]] = {"any": lambda grain: Free(), "stock": _stock}
"""Deploy name -> the rule it means at a grain. Whole layers are stock however they are chosen."""

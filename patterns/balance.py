"""The rule that as many attentions as MLPs are gone, whichever they are: the space that EvoPress searches."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import product

import numpy as np

from patterns.part import Part, Pattern


class Balanced:
    """The rule of equal counts: as many attentions are gone as MLPs, in any layers.

    The state is how many more attentions than MLPs are gone so far. A unit is one attention and one MLP, of any two
    layers.

    Source: EvoPress (arXiv 2410.14649), depth pruning, and its code.
    """

    couples = True
    start: Hashable = 0

    def step(self, state: Hashable, part: Part, level: int) -> Hashable | None:
        """Return the difference of the counts after one more part."""
        assert isinstance(state, int)
        if level < part.top:
            return state
        return state + 1 if part.kind == "attn" else state - 1

    def choices(self, state: Hashable, part: Part) -> Iterable[int]:
        """Return all levels of the part."""
        return range(part.top + 1)

    def final(self, state: Hashable) -> bool:
        """Return whether as many attentions are gone as MLPs."""
        return state == 0

    def units(self, parts: Sequence[Part], free: Sequence[int], pattern: Pattern, direction: int) -> Iterator[Pattern]:
        """Yield patterns in which an attention and an MLP leave, or come back, together."""
        gone, kept = _gone_and_kept(parts, free, pattern)
        movable = kept if direction > 0 else gone
        for i, j in product(movable["attn"], movable["mlp"]):
            tops = (parts[i].top, parts[j].top) if direction > 0 else (0, 0)
            yield pattern.with_level(i, tops[0]).with_level(j, tops[1])

    def exchange(
        self, parts: Sequence[Part], free: Sequence[int], pattern: Pattern, rng: np.random.Generator
    ) -> Pattern | None:
        """Return the pattern with a random part gone and a random one of its kind back; None where there is none."""
        gone, kept = _gone_and_kept(parts, free, pattern)
        kinds = [kind for kind in gone if gone[kind] and kept[kind]]
        if not kinds:
            return None
        kind = kinds[rng.integers(len(kinds))]
        leaves, returns = (each[kind][rng.integers(len(each[kind]))] for each in (kept, gone))
        return pattern.with_level(leaves, parts[leaves].top).with_level(returns, 0)


def _gone_and_kept(
    parts: Sequence[Part], free: Sequence[int], pattern: Pattern
) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Return the indices of the free parts that are gone, and of those that are kept, by kind."""
    gone: dict[str, list[int]] = {"attn": [], "mlp": []}
    kept: dict[str, list[int]] = {"attn": [], "mlp": []}
    for i in free:
        (gone if pattern.levels[i] == parts[i].top else kept)[parts[i].kind].append(i)
    return gone, kept

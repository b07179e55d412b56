"""Which patterns a deployment allows: small automata that read a pattern part by part.

A rule starts in ``start``, reads the level of each part in model order, and accepts in a ``final`` state.
Checking, enumeration and the budget's dynamic program all run on the same automaton, so they cannot disagree.
A rule also knows its units: the smallest steps from one legal pattern to another.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from patterns.space import Part, Pattern, PatternSpace


class Legality(Protocol):
    """A rule over the levels of all parts."""

    couples: bool
    """Whether one part's level restricts another's."""
    start: Hashable

    def step(self, state: Hashable, part: Part, level: int) -> Hashable | None:
        """The state after one more part, or None where the pattern is already illegal."""

    def choices(self, state: Hashable, part: Part) -> Iterable[int]:
        """Levels that may be legal for the next part; all that are, are among them."""

    def final(self, state: Hashable) -> bool:
        """Whether a pattern may end here."""

    def units(self, space: PatternSpace, pattern: Pattern, step: int) -> Iterator[Pattern]:
        """Legal patterns one unit smaller (``step`` +1) or larger (-1) than a legal one."""


class Free:
    """Every pattern is legal."""

    couples = False
    start: Hashable = "free"

    def step(self, state: Hashable, part: Part, level: int) -> Hashable | None:
        """Always the one state."""
        return state

    def choices(self, state: Hashable, part: Part) -> Iterable[int]:
        """All."""
        return range(part.top + 1)

    def final(self, state: Hashable) -> bool:
        """Always."""
        return True

    def units(self, space: PatternSpace, pattern: Pattern, step: int) -> Iterator[Pattern]:
        """One level of one part."""
        for i in space.free:
            level = pattern.levels[i] + step
            if 0 <= level <= space.parts[i].top:
                yield pattern.with_level(i, level)


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

    def choices(self, state: Hashable, part: Part) -> Iterable[int]:
        """All."""
        return range(part.top + 1)

    def final(self, state: Hashable) -> bool:
        """After an MLP, or when nothing is kept."""
        return state == "mlp"

    def units(self, space: PatternSpace, pattern: Pattern, step: int) -> Iterator[Pattern]:
        """Two parts that leave, or come back, together."""
        yield from _pairs(self, space, pattern, step, [0] * len(space.parts))


class Common:
    """Every part is at one level: a stock model with one width, or one head count; which units leave may differ.

    The state is the level of the parts read so far. No part may be gone: no stock model lacks all of its MLPs.
    """

    couples = True
    start: Hashable = None

    def step(self, state: Hashable, part: Part, level: int) -> Hashable | None:
        """The common level, or None where this part is at another or gone."""
        return level if level < part.top and state in (None, level) else None

    def choices(self, state: Hashable, part: Part) -> Iterable[int]:
        """The common level, once it is known."""
        return range(part.top) if state is None else (state,)  # type: ignore[return-value]

    def final(self, state: Hashable) -> bool:
        """Always: what reads through is at one level."""
        return True

    def units(self, space: PatternSpace, pattern: Pattern, step: int) -> Iterator[Pattern]:
        """One level of all parts at once."""
        yield from _all_of_a_kind(space, pattern, step, space.parts[0].kind)


class CommonAlternating:
    """Both: what is kept alternates, all attentions kept are at one level, and so are all MLPs kept.

    The state is the kind kept last, and the common levels of attention and of MLP, None before the first is read.
    """

    couples = True
    start: Hashable = ("mlp", None, None)

    def step(self, state: Hashable, part: Part, level: int) -> Hashable | None:
        """The state after a part that is gone, or kept at the common level of its kind."""
        if level == part.top:
            return state
        last, attn, mlp = _triple(state)
        if part.kind == last or (attn if part.kind == "attn" else mlp) not in (None, level):
            return None
        return (part.kind, level, mlp) if part.kind == "attn" else (part.kind, attn, level)

    def choices(self, state: Hashable, part: Part) -> Iterable[int]:
        """Gone, or the common level of its kind once it is known."""
        _, attn, mlp = _triple(state)
        common = attn if part.kind == "attn" else mlp
        return range(part.top + 1) if common is None else (common, part.top)

    def final(self, state: Hashable) -> bool:
        """After an MLP, or when nothing is kept."""
        return _kind(state) == "mlp"

    def units(self, space: PatternSpace, pattern: Pattern, step: int) -> Iterator[Pattern]:
        """One level of all kept parts of a kind, or two parts that leave or come back together."""
        for kind in ("attn", "mlp"):
            yield from _all_of_a_kind(space, pattern, step, kind)
        kept = {p.kind: level for p, level in zip(space.parts, pattern.levels, strict=True) if level < p.top}
        yield from _pairs(self, space, pattern, step, [kept.get(part.kind, 0) for part in space.parts])


def _all_of_a_kind(space: PatternSpace, pattern: Pattern, step: int, kind: str) -> Iterator[Pattern]:
    """The pattern with every kept part of a kind one level further, where that is legal."""
    moved = pattern
    for i, (part, level) in enumerate(zip(space.parts, pattern.levels, strict=True)):
        if part.kind == kind and level < part.top:
            if not 0 <= level + step < part.top:
                return
            moved = moved.with_level(i, level + step)
    if moved != pattern and space.legal(moved):
        yield moved


def _pairs(rule: Legality, space: PatternSpace, pattern: Pattern, step: int, back: list[int]) -> Iterator[Pattern]:
    """Legal patterns in which two more parts are gone, or two that were gone are back at their level ``back``."""
    states: list[Hashable] = [rule.start]
    for part, level in zip(space.parts, pattern.levels, strict=True):
        states.append(rule.step(states[-1], part, level))
    free = set(space.free)
    to = [part.top if step > 0 else level for part, level in zip(space.parts, back, strict=True)]
    can = [
        i in free and (pattern.levels[i] < part.top if step > 0 else pattern.levels[i] == part.top)
        for i, part in enumerate(space.parts)
    ]
    for i in (i for i, able in enumerate(can) if able):
        state = rule.step(states[i], space.parts[i], to[i])
        for j in range(i + 1, len(space.parts)):
            if state is None:
                break
            if can[j]:
                after = rule.step(state, space.parts[j], to[j])
                if after is not None and _kind(after) == _kind(states[j + 1]):
                    yield pattern.with_level(i, to[i]).with_level(j, to[j])
            state = rule.step(state, space.parts[j], pattern.levels[j])


def _triple(state: Hashable) -> tuple[str, int | None, int | None]:
    assert isinstance(state, tuple)
    return state


def _kind(state: Hashable) -> Hashable:
    """The kind kept last; with the common levels unchanged, it alone decides how the rest may go on."""
    return state[0] if isinstance(state, tuple) else state


def _stock(grain: str) -> Legality:
    rules: dict[str, Callable[[], Legality]] = {
        "layer": Free,
        "subblock": Alternating,
        "head": Common,
        "channel": Common,
        "mixed": CommonAlternating,
    }
    return rules[grain]()


DEPLOYS: dict[str, Callable[[str], Legality]] = {"any": lambda grain: Free(), "stock": _stock}
"""Deploy name -> the rule it means at a grain. Whole layers are stock however they are chosen."""

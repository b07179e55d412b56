"""The rules of a stock architecture: what is kept alternates, or is at one level, or both."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence

from patterns.legality import Legality, UnitsAlone, accepts
from patterns.part import Part, PartKind, Pattern


class Alternating(UnitsAlone):
    """The rule that what is kept reads attention, MLP, attention, MLP, …: a stock model with fewer layers.

    The state is the kind of the part kept last. A removed ``mlp`` of one layer and ``attn`` of a later one leave a
    legal pattern, as do whole layers; the kept halves of two layers are packed into one.
    """

    couples = True
    start: Hashable = "mlp"

    def step(self, state: Hashable, part: Part, level: int) -> Hashable | None:
        """Return the kind kept last, or None where two of a kind would follow each other."""
        if level == part.top:
            return state
        return None if part.kind == state else part.kind

    def choices(self, state: Hashable, part: Part) -> Iterable[int]:
        """Return all levels of the part."""
        return range(part.top + 1)

    def final(self, state: Hashable) -> bool:
        """Return whether an MLP was kept last, or nothing is kept."""
        return state == "mlp"

    def units(self, parts: Sequence[Part], free: Sequence[int], pattern: Pattern, direction: int) -> Iterator[Pattern]:
        """Yield patterns in which two parts leave, or come back, together."""
        yield from _pairs(self, parts, free, pattern, direction, [0] * len(parts))


class Common(UnitsAlone):
    """The rule that every part is at one level: a stock model with one width, or one head count.

    Which units leave may differ from part to part. The state is the level of the parts read so far. No part may be
    gone: no stock model lacks all of its MLPs.
    """

    couples = True
    start: Hashable = None

    def step(self, state: Hashable, part: Part, level: int) -> Hashable | None:
        """Return the common level, or None where this part is at another or gone."""
        return level if level < part.top and state in (None, level) else None

    def choices(self, state: Hashable, part: Part) -> Iterable[int]:
        """Return the common level once it is known; before, all levels that keep the part."""
        return range(part.top) if state is None else (state,)  # type: ignore[return-value]

    def final(self, state: Hashable) -> bool:
        """Return True: a pattern that reads through is at one level."""
        return True

    def units(self, parts: Sequence[Part], free: Sequence[int], pattern: Pattern, direction: int) -> Iterator[Pattern]:
        """Yield the pattern with all parts one level further."""
        yield from _all_of_a_kind(self, parts, free, pattern, direction, parts[0].kind)


class CommonAlternating(UnitsAlone):
    """The rule that what is kept alternates, all attentions kept are at one level, and so are all MLPs kept.

    The state is the kind kept last, and the common levels of attention and of MLP, None before the first is read.
    """

    couples = True
    start: Hashable = ("mlp", None, None)

    def step(self, state: Hashable, part: Part, level: int) -> Hashable | None:
        """Return the state after a part that is gone, or kept at the common level of its kind."""
        if level == part.top:
            return state
        last, attn, mlp = _triple(state)
        if part.kind == last or (attn if part.kind == "attn" else mlp) not in (None, level):
            return None
        return (part.kind, level, mlp) if part.kind == "attn" else (part.kind, attn, level)

    def choices(self, state: Hashable, part: Part) -> Iterable[int]:
        """Return the last level, and the common level of the part's kind; all levels before that is known."""
        _, attn, mlp = _triple(state)
        common = attn if part.kind == "attn" else mlp
        return range(part.top + 1) if common is None else (common, part.top)

    def final(self, state: Hashable) -> bool:
        """Return whether an MLP was kept last, or nothing is kept."""
        return _last_kept(state) == "mlp"

    def units(self, parts: Sequence[Part], free: Sequence[int], pattern: Pattern, direction: int) -> Iterator[Pattern]:
        """Yield patterns with all kept parts of a kind one level further, or two parts gone or back together."""
        kinds: tuple[PartKind, ...] = ("attn", "mlp")
        for kind in kinds:
            yield from _all_of_a_kind(self, parts, free, pattern, direction, kind)
        kept = {part.kind: level for part, level in zip(parts, pattern.levels, strict=True) if level < part.top}
        yield from _pairs(self, parts, free, pattern, direction, [kept.get(part.kind, 0) for part in parts])


def _all_of_a_kind(
    rule: Legality, parts: Sequence[Part], free: Sequence[int], pattern: Pattern, direction: int, kind: PartKind
) -> Iterator[Pattern]:
    """Yield the pattern with every kept part of a kind one level further, where that is legal."""
    levels = list(pattern.levels)
    for i, part in enumerate(parts):
        if part.kind == kind and levels[i] < part.top:
            levels[i] += direction
            if not 0 <= levels[i] < part.top or i not in free:
                return
    moved = Pattern(tuple(levels))
    if moved != pattern and accepts(rule, parts, moved):
        yield moved


def _pairs(
    rule: Legality, parts: Sequence[Part], free: Sequence[int], pattern: Pattern, direction: int, back: Sequence[int]
) -> Iterator[Pattern]:
    """Yield legal patterns in which two more parts are gone, or two that were gone are back at their level ``back``."""
    states: list[Hashable] = [rule.start]
    for part, level in zip(parts, pattern.levels, strict=True):
        states.append(rule.step(states[-1], part, level))
    target = [part.top for part in parts] if direction > 0 else back
    movable = [i for i in free if (pattern.levels[i] < parts[i].top) == (direction > 0)]
    for place, i in enumerate(movable):
        state = rule.step(states[i], parts[i], target[i])
        between = i + 1
        for j in movable[place + 1 :]:
            # The parts between the two stay as they are; the state must survive them.
            while state is not None and between < j:
                state = rule.step(state, parts[between], pattern.levels[between])
                between += 1
            if state is None:
                break
            after = rule.step(state, parts[j], target[j])
            if after is not None and _last_kept(after) == _last_kept(states[j + 1]):
                yield pattern.with_level(i, target[i]).with_level(j, target[j])


def _triple(state: Hashable) -> tuple[str, int | None, int | None]:
    assert isinstance(state, tuple)
    return state


def _last_kept(state: Hashable) -> Hashable:
    """Return the kind kept last; with the common levels unchanged, it alone decides how the rest may go on."""
    return state[0] if isinstance(state, tuple) else state

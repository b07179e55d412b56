"""What can be asked of a space, and what could be where too much was."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping

from patterns.demand import Amounts, Demand
from patterns.errors import PatternError
from patterns.part import COSTS, Pattern
from patterns.space import PatternSpace

TOLERANCE = 0.005
"""A pattern meets R when it removes at least R minus this fraction of the decoder blocks' cost."""
MEMORY = "memory"
"""The cost of which a limit is given and not a fraction."""
GIB = 2**30
_Fronts = dict[Hashable, set[Amounts]]
"""State of the rule -> what can be removed there of every cost, of which none is beaten in all costs by another."""


def asked_of(remove: float | Mapping[str, float] | None, cost: str) -> dict[str, float]:
    """Name the fractions that are asked, by cost, in the order of ``COSTS``; a bare fraction is of ``cost``."""
    if remove is None:
        return {}
    asked = remove if isinstance(remove, Mapping) else {cost: remove}
    return dict(sorted(asked.items(), key=lambda pair: [*COSTS, pair[0]].index(pair[0])))


def needs_of(space: PatternSpace, asked: Mapping[str, float], fit_in: int | None) -> dict[str, float]:
    """Count the least that must go of every cost; what asks for nothing beside others is left out."""
    needs = {cost: (fraction - TOLERANCE) * getattr(space.blocks, cost) for cost, fraction in asked.items()}
    if fit_in is not None and (over := space.model.memory - fit_in) > 0:
        needs[MEMORY] = over
    return needs


def refuse_ask(space: PatternSpace, asked: Mapping[str, float], fit_in: int | None) -> None:
    """Check what is asked by itself, without asking what patterns there are.

    Raises:
        PatternError: nothing is asked, a fraction outside (0, 1), an unknown cost, or one that nothing is known of.
    """
    for cost, fraction in asked.items():
        if cost not in COSTS:
            raise PatternError(f"cost {cost!r} is unknown; choose one of {', '.join(COSTS)}")
        if not 0 < fraction < 1:
            named = f"{cost}=" if len(asked) > 1 else ""
            raise PatternError(f"--remove must lie between 0 and 1 (a fraction of the blocks), found {named}{fraction}")
        if not getattr(space.blocks, cost):
            raise PatternError(
                f"the budget cannot be met: nothing is known of the {cost} of these blocks"
                + ("; measure a table of times first" if cost == "latency" else "; choose another --cost")
            )
        if fraction <= TOLERANCE:
            raise PatternError(f"--remove {fraction} asks for nothing: the tolerance is {TOLERANCE}; remove more")
    if fit_in is not None and not space.model.memory:
        raise PatternError("the budget cannot be met: nothing is known of the memory of these blocks")
    if not needs_of(space, asked, fit_in):
        if fit_in is None:
            raise PatternError("the budget asks for nothing: say how much must go, such as --remove 0.25")
        raise PatternError(
            f"--fit-in {_bytes(fit_in)} asks for nothing: the dense model takes {_bytes(space.model.memory)}; "
            "give less, or --remove a fraction"
        )


def refuse_infeasible(demand: Demand, asked: Mapping[str, float], fit_in: int | None) -> None:
    """Check that a legal pattern removes enough of every cost.

    Raises:
        PatternError: none does; says what could be asked instead.
    """
    if len(demand.needs) == 1 and MEMORY not in demand.needs:
        _refuse_fraction(demand, *next(iter(asked.items())))
    most = _fronts(demand)
    if any(demand.suffices(gone) for gone in most):
        return
    space = demand.space
    kept = ", and keeps what is protected" if space.protected else ""
    words = " and ".join(_words(demand, asked, fit_in))
    # Of each cost the most that a pattern removes which removes enough of the others.
    others = {cost: [gone for gone in most if _rest_suffices(demand, gone, at)] for at, cost in enumerate(demand.needs)}
    feasible = [
        _most(space, cost, max(gone[at] for gone in others[cost]))
        for at, cost in enumerate(demand.needs)
        if others[cost]
    ]
    alone = [_most(space, cost, max((gone[at] for gone in most), default=0)) for at, cost in enumerate(demand.needs)]
    rest = " with the others as asked" if len(demand.needs) > 1 else ""
    told = f"{' or '.join(feasible)} could be{rest}" if feasible else f"each by itself, {', '.join(alone)} could be"
    raise PatternError(
        f"the budget cannot be met: no pattern of --grain {space.grain} that --deploy {space.deploy} allows removes "
        f"{words}{kept}; {told}"
    )


def everything_goes(demand: Demand, asked: Mapping[str, float], fit_in: int | None) -> str:
    """Say that a budget may take every block, and what leaves one of them."""
    space = demand.space
    empty = Pattern(tuple(part.top for part in space.parts))
    kept = [demand.gone(pattern) for pattern in space.put_backs(empty)] or [(0,) * len(demand.needs)]
    most = (_most(space, cost, max(gone[at] for gone in kept)) for at, cost in enumerate(demand.needs))
    return (
        f"the budget cannot be met: {' and '.join(_words(demand, asked, fit_in))} may take every block of the model; "
        f"remove less: at most {', '.join(most)} leaves a block"
    )


def _refuse_fraction(demand: Demand, cost: str, fraction: float) -> None:
    """Check a single fraction against all that may leave, and against all that is legal.

    Raises:
        PatternError: it asks for more; says how much there is.
    """
    space, (need,) = demand.space, demand.needs.values()
    blocks, kept = getattr(space.blocks, cost), ", and keeps what is protected" if space.protected else ""
    if (left := demand.left[0][0]) < need:
        raise PatternError(
            f"the budget cannot be met: --remove {fraction} of the blocks' {cost} asks for more than the unprotected "
            f"parts hold ({left / blocks:.3f}); remove less or protect fewer parts"
        )
    most = max((gone[0] for gone in _fronts(demand)), default=0)
    if most < need:
        raise PatternError(
            f"the budget cannot be met: no pattern that --deploy {space.deploy} allows removes {fraction} of the "
            f"blocks' {cost}{kept}; remove less (at most {_floor(most / blocks)}), or use --deploy any"
        )


def _words(demand: Demand, asked: Mapping[str, float], fit_in: int | None) -> list[str]:
    """Say what is asked, one by one."""
    words = [f"{fraction} of the blocks' {cost}" for cost, fraction in asked.items()]
    if MEMORY in demand.needs and fit_in is not None:
        words.append(f"enough for --fit-in {_bytes(fit_in)} ({_bytes(demand.space.model.memory)} dense)")
    return words


def _most(space: PatternSpace, cost: str, gone: int) -> str:
    """Say what could be asked where so much of a cost can go, rounded so that it can be met."""
    if cost == MEMORY:
        return f"--fit-in {_bytes(space.model.memory - gone)}"
    return f"{cost}={_floor(gone / getattr(space.blocks, cost))}"


def _rest_suffices(demand: Demand, gone: Amounts, left_out: int) -> bool:
    """Return whether amounts are enough of every cost but one."""
    pairs = zip(gone, demand.needs.values(), strict=True)
    return all(amount >= need for at, (amount, need) in enumerate(pairs) if at != left_out)


def _fronts(demand: Demand) -> set[Amounts]:
    """Find what legal patterns remove of every cost; what another beats in all of them is left out.

    For each state of the rule only such amounts matter, and there are few: parts of a kind cost alike.
    """
    rule = demand.space.legality
    if not rule.couples:
        return {demand.left[0]}
    fronts: _Fronts = {rule.start: {(0,) * len(demand.needs)}}
    for i, (part, ladder) in enumerate(zip(demand.space.parts, demand.ladders, strict=True)):
        after: dict[Hashable, set[Amounts]] = {}
        for state, front in fronts.items():
            for level in rule.choices(state, part) if i in demand.free else (0,):
                reached = rule.step(state, part, level)
                if reached is not None:
                    further = {tuple(map(sum, zip(gone, ladder[level], strict=True))) for gone in front}
                    after.setdefault(reached, set()).update(further)
        fronts = {state: _unbeaten(front) for state, front in after.items()}
    return _unbeaten(gone for state, front in fronts.items() if rule.final(state) for gone in front)


def _unbeaten(front: Iterable[Amounts]) -> set[Amounts]:
    """Leave out amounts of which others are as large in every cost."""
    kept: list[Amounts] = []
    for gone in sorted(set(front), reverse=True):  # whatever beats one comes before it
        if not any(all(b >= a for a, b in zip(gone, other, strict=True)) for other in kept):
            kept.append(gone)
    return set(kept)


def _floor(fraction: float) -> float:
    return math.floor(1000 * fraction) / 1000


def _bytes(count: int) -> str:
    """Write bytes so that ``--fit-in`` reads them, never fewer than there are."""
    unit, name = (GIB, "GiB") if count >= GIB else (GIB // 1024, "MiB")
    return f"{math.ceil(100 * count / unit) / 100:.2f}{name}"

"""Several budgets at once: each is met or the pattern is not, wherever patterns are handed out."""

import re
from dataclasses import replace

import numpy as np
import pytest
from plain_rules import every_pattern, is_legal, meeting
from toys import Cost, ladder_space, layer_space, run, subblock_space, uneven_space

from patterns import STRATEGIES, Budget, Pattern, PatternError, PatternSpace

TIMES = {"attn": 5, "mlp": 3, "layer": 8}
"""Of the toy blocks: time does not go with parameters."""


def timed(space: PatternSpace) -> PatternSpace:
    """Give every level of a space a time, and bytes."""

    def cost(whole: Cost, share: float, kind: str) -> Cost:
        return replace(whole, latency=round(1000 * TIMES[kind] * share), memory=2 * whole.params + 100 * whole.kv)

    parts = tuple(
        replace(part, removed=tuple(cost(c, n / part.top, part.kind) for n, c in enumerate(part.removed)))
        for part in space.parts
    )
    blocks = sum((part.removed[-1] for part in parts), Cost())
    model = replace(space.model, latency=blocks.latency + 9, memory=2 * space.model.params + 100 * space.model.kv)
    return replace(space, parts=parts, blocks=blocks, model=model)


ASKED = {"params": 0.3, "flops": 0.2, "kv": 0.35, "latency": 0.4}
SPACES = {
    "layer any": layer_space(6),
    "layer stock": layer_space(6, "stock"),
    "subblock any": subblock_space(5),
    "subblock stock": subblock_space(6, "stock"),
    "subblock stock, protected": subblock_space(6, "stock", ("layers.0.attn",)),
    "subblock balanced": subblock_space(5, "balanced"),
    "uneven balanced": uneven_space("balanced"),
    "uneven stock": uneven_space("stock"),
    "head any": ladder_space(4, "head", heads=3),
    "head stock": ladder_space(4, "head", "stock", heads=4),
    "channel any": ladder_space(4, "channel"),
    "channel stock": ladder_space(4, "channel", "stock"),
    "mixed any": ladder_space(2, "mixed", widths=3),
    "mixed stock": ladder_space(3, "mixed", "stock"),
}
"""Every grain and deploy, small enough to list."""
OF_ONE_KIND = {
    "head": {"params": 0.1, "flops": 0.1, "kv": 0.35, "latency": 0.2},
    "channel": {"params": 0.3, "flops": 0.4},
}
"""What can be asked where MLPs, or attentions, stay."""
BUDGETS = {name: Budget(timed(space), OF_ONE_KIND.get(space.grain, ASKED)) for name, space in SPACES.items()}


@pytest.fixture(scope="module")
def listed():
    """Name -> every pattern that meets its budgets, by brute force."""
    return {name: meeting(budget.space, **_needs(budget)) for name, budget in BUDGETS.items()}


def _needs(budget):
    needs = {cost: (fraction - 0.005) * getattr(budget.space.blocks, cost) for cost, fraction in budget.asked.items()}
    return {"need": needs.pop("params"), **needs}


@pytest.mark.parametrize("name", BUDGETS)
def test_everything_hands_out_patterns_that_meet_all_budgets(name, listed):
    budget, every, rng = BUDGETS[name], listed[name], np.random.default_rng(0)
    found = list(budget.patterns())
    assert set(found) == every != set()
    assert len(found) == len(every) == len(budget.few(len(every)))
    tops = [part.top for part in budget.space.parts]
    for _ in range(25):
        assert budget.decode(rng.standard_normal(len(tops))) in every
        assert budget.ranked([rng.random(top) for top in tops]) in every
        assert budget.repair(Pattern(tuple(int(rng.integers(top + 1)) for top in tops)), rng) in every
    for pattern in sorted(every, key=lambda p: p.levels)[:25]:
        assert budget.repair(pattern, rng) == pattern
        assert budget.move(pattern, rng) in every
        assert budget.met(pattern)
        assert budget.toward(pattern) == budget.need


@pytest.mark.parametrize("name", [name for name in BUDGETS if name.endswith("any")])
def test_every_pattern_is_the_decoding_of_some_preference(name, listed):
    budget = BUDGETS[name]
    for pattern in listed[name]:
        ladders = [[-1.0, *map(part.price, range(1, part.top + 1)), 2.0] for part in budget.space.parts]
        between = [sum(prices[n : n + 2]) / 2 for n, prices in zip(pattern.levels, ladders, strict=True)]
        assert budget.decode(np.array(between)) == pattern


@pytest.mark.parametrize("name", ["subblock stock", "uneven stock", "uneven balanced", "mixed stock"])
def test_the_dynamic_program_is_exact(name, listed):
    budget, rng, parts = BUDGETS[name], np.random.default_rng(3), BUDGETS[name].space.parts
    for _ in range(25):
        x = rng.standard_normal(len(parts))
        best = max(x[i] - part.price(1) for i, part in enumerate(parts))
        value = [
            np.cumsum([0, *((x[i] - part.price(n) - best) / part.top for n in range(1, part.top + 1))])
            for i, part in enumerate(parts)
        ]

        def total(pattern, value=value):
            return sum(value[i][n] for i, n in enumerate(pattern.levels))

        assert total(budget.decode(x)) == pytest.approx(max(map(total, listed[name])))


@pytest.mark.parametrize("name", ["subblock any", "uneven balanced", "mixed any", "mixed stock"])
def test_moves_reach_every_pattern(name, listed):
    budget, rng, every = BUDGETS[name], np.random.default_rng(0), listed[name]
    seen, at = set(), budget.draw(rng)
    for _ in range(400 * len(every)):
        seen.add(at)
        if len(seen) == len(every):
            break
        at = budget.move(at, rng)
    assert seen == every


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", ["subblock stock", "mixed any"])
def test_every_strategy_ends_with_a_pattern_that_meets_all(tmp_path, strategy, name):
    space = timed({"subblock stock": subblock_space(9, "stock"), "mixed any": ladder_space(4, "mixed", heads=4)}[name])
    budget = Budget(space, {"kv": 0.4, "params": 0.2, "flops": 0.25})
    log, *_, last = run(tmp_path, strategy, budget, evaluations=40)
    met = {trial.pattern for trial in log.trials if budget.met(trial.pattern)}
    (answer, *_) = last.completions({trial.pattern: trial.value for trial in log.trials}) or [None]
    assert met or (answer is not None and budget.met(answer))
    for pattern in met:
        gone = space.removed(pattern)
        for cost, fraction in budget.asked.items():
            assert getattr(gone, cost) >= (fraction - 0.005) * getattr(space.blocks, cost)


def test_greedy_removes_only_what_brings_it_nearer(tmp_path):
    """Of the cache alone: no MLP is ever tried, whatever it costs."""
    log, *_ = run(tmp_path, "greedy", Budget(subblock_space(6), {"kv": 0.5}), 0, 100)
    assert log.trials
    assert not any(any(trial.pattern.levels[1::2]) for trial in log.trials)


def test_one_named_budget_is_that_budget():
    space = subblock_space(12, "stock")
    one, named = Budget(space, 0.25, "flops"), Budget(space, {"flops": 0.25})
    assert one.asked == named.asked
    assert one.seed_words == named.seed_words == (0.25, "flops")
    for seed in range(5):
        assert one.draw(np.random.default_rng(seed)) == named.draw(np.random.default_rng(seed))


@pytest.mark.parametrize("deploy", ["any", "stock", "balanced"])
def test_what_fits_is_what_brute_force_finds(deploy):
    space = timed(uneven_space(deploy))
    limit = round(0.7 * space.model.memory)
    budget = Budget(space, {"kv": 0.3}, fit_in=limit)
    expected = meeting(space, 0, kv=0.295 * space.blocks.kv, memory=space.model.memory - limit)
    assert set(budget.patterns()) == expected != set()
    assert all(space.model.memory - space.removed(pattern).memory <= limit for pattern in expected)
    assert budget.draw(np.random.default_rng(0)) in expected
    roomy = Budget(space, {"kv": 0.3}, fit_in=2 * space.model.memory)
    assert set(roomy.patterns()) == set(Budget(space, {"kv": 0.3}).patterns())


def test_what_cannot_be_met_together_is_told_with_what_could_be():
    """MLPs of the first layers are protected, so that under stock no more than some pairs may leave."""
    protected = (*(f"layers.{i}.mlp" for i in range(4)), "layers.4.attn")
    space = timed(replace(uneven_space("stock", 6), protected=frozenset(protected)))
    legal = [p for p in every_pattern(space) if is_legal(space, p)]
    most = {c: max(getattr(space.removed(p), c) for p in legal) / getattr(space.blocks, c) for c in ASKED}
    asked = {"params": 0.1, "kv": most["kv"] + 0.1}
    with pytest.raises(PatternError, match="cannot be met") as told:
        Budget(space, asked)
    line = str(told.value)
    assert "\n" not in line
    (could,) = re.findall(r"kv=([0-9.]+) could be with the others as asked", line)
    assert Budget(space, {**asked, "kv": float(could)}).draw(np.random.default_rng(0))
    with pytest.raises(PatternError, match="cannot be met"):
        Budget(space, {**asked, "kv": float(could) + 0.01})


def test_limits_that_cannot_be_kept_are_told_with_one_that_could():
    space = timed(subblock_space(6, "stock"))
    space = replace(space, model=replace(space.model, memory=2**28), blocks=replace(space.blocks, memory=2**27))
    space = replace(
        space,
        parts=tuple(replace(p, removed=(Cost(), replace(p.removed[1], memory=2**27 // 12))) for p in space.parts),
    )
    for limit in (2**26, 2**27 + 1000):
        with pytest.raises(PatternError, match="cannot be met") as told:
            Budget(space, None, fit_in=limit)
        (could,) = re.findall(r"--fit-in ([0-9.]+)MiB (?:could be|leaves a block)", str(told.value))
        assert float(could) * 2**20 >= min(
            2**28 - space.removed(p).memory for p in every_pattern(space) if is_legal(space, p)
        )
    with pytest.raises(PatternError, match=r"--fit-in 1\.00GiB asks for nothing: the dense model takes 256\.00MiB"):
        Budget(space, None, fit_in=2**30)
    with pytest.raises(PatternError, match="nothing is known of the memory"):
        Budget(subblock_space(6), None, fit_in=2**30)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"params": 0.2, "watts": 0.1}, "cost 'watts' is unknown"),
        ({"params": 0.2, "kv": 1.5}, "between 0 and 1 .*, found kv=1.5"),
        ({"params": 0.2, "latency": 0.1}, "nothing is known of the latency .*; measure a table of times first"),
        ({}, "asks for nothing: say how much must go"),
        (None, "asks for nothing: say how much must go"),
        ({"params": 0.99, "kv": 0.99}, "may take every block of the model; remove less: at most params=0.9"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(asked, says):
    with pytest.raises(PatternError, match=says):
        Budget(subblock_space(6), asked)

import numpy as np
import pytest
from plain_rules import meeting
from toys import MLP, Cost, ladder_space, layer_space, subblock_space, uneven_space

from patterns import Budget, Pattern, PatternError, PatternSpace

STOCK = Budget(subblock_space(12, "stock"), 0.25)


@pytest.fixture(scope="module")
def stock_patterns():
    """Every pattern of the reference model's sub-blocks under ``stock``, with a quarter removed."""
    return list(STOCK.patterns())


@pytest.mark.parametrize("deploy", ["any", "balanced", "stock"])
@pytest.mark.parametrize("protected", [(), ("layers.0.attn", "layers.2.mlp")])
@pytest.mark.parametrize("remove", [0.2, 0.4, 0.7])
def test_patterns_are_those_of_brute_force(deploy, protected, remove):
    budget = Budget(subblock_space(5, deploy, protected), remove)
    listed = list(budget.patterns())
    assert len(listed) == len(set(listed))
    assert set(listed) == meeting(budget.space, budget.need)


def test_the_stock_space_of_the_reference_model_has_1330_patterns(stock_patterns):
    assert len(stock_patterns) == len(set(stock_patterns)) == 1330
    assert len(set(Budget(subblock_space(12, "stock", ("layers.0.attn",)), 0.25).patterns())) == 1140


def test_the_balanced_space_counts_as_a_product_of_binomials():
    budget = Budget(subblock_space(6, "balanced"), 1 / 3)
    assert len(set(budget.patterns())) == 15 * 15
    assert all(sum(p.levels[::2]) == sum(p.levels[1::2]) == 2 for p in budget.patterns())


def test_a_move_in_the_balanced_space_swaps_one_of_a_kind():
    budget, rng = Budget(subblock_space(12, "balanced"), 0.25), np.random.default_rng(0)
    pattern = budget.draw(rng)
    for _ in range(50):
        moved = budget.move(pattern, rng)
        changed = [i for i, (was, now) in enumerate(zip(pattern.levels, moved.levels, strict=True)) if was != now]
        assert len(changed) == 2
        assert changed[0] % 2 == changed[1] % 2
        pattern = moved


def test_layer_spaces_count_as_binomials():
    assert len(list(Budget(layer_space(12), 0.25).patterns())) == 220
    assert len(list(Budget(layer_space(12), 1 / 3).patterns())) == 495


def test_decode_and_repair_reach_every_stock_pattern_and_nothing_else(stock_patterns):
    rng, every = np.random.default_rng(0), set(stock_patterns)
    for pattern in stock_patterns:
        assert STOCK.decode(np.array(pattern.levels, dtype=float)) == pattern
        assert STOCK.repair(pattern, rng) == pattern
    for _ in range(300):
        assert STOCK.decode(rng.standard_normal(24)) in every
        broken = Pattern(tuple(int(level) for level in rng.integers(0, 2, 24)))
        assert STOCK.repair(broken, rng) in every


SMALL = {
    "subblock any": Budget(subblock_space(5), 0.3),
    "subblock stock": Budget(subblock_space(6, "stock"), 0.34),
    "subblock balanced": Budget(subblock_space(5, "balanced"), 0.4),
    "uneven balanced": Budget(uneven_space("balanced"), 0.4),
    "head any": Budget(ladder_space(4, "head", heads=3), 0.12),
    "head stock": Budget(ladder_space(4, "head", "stock", heads=4), 0.12),
    "channel any": Budget(ladder_space(4, "channel"), 0.3),
    "channel stock": Budget(ladder_space(4, "channel", "stock"), 0.3),
    "mixed any": Budget(ladder_space(2, "mixed", widths=4), 0.4),
    "mixed stock": Budget(ladder_space(4, "mixed", "stock"), 0.4),
}
"""Every grain and deploy, small enough to list."""


@pytest.mark.parametrize("name", SMALL)
def test_patterns_of_ladders_are_those_of_brute_force(name):
    """Every level of every part; what is legal and what comes back is not asked of the space."""
    budget = SMALL[name]
    expected = meeting(budget.space, budget.need)
    listed = list(budget.patterns())
    assert len(listed) == len(set(listed))
    assert set(listed) == expected != set()
    assert budget.few(len(listed)) is not None
    assert budget.few(len(listed) - 1) is None


@pytest.mark.parametrize("name", SMALL)
def test_decode_repair_draw_and_move_stay_in_the_space(name):
    budget, rng = SMALL[name], np.random.default_rng(0)
    every = set(budget.patterns())
    tops = [part.top for part in budget.space.parts]
    for _ in range(60):
        assert budget.decode(rng.standard_normal(len(tops))) in every
        assert budget.draw(rng) in every
        assert budget.repair(Pattern(tuple(int(rng.integers(top + 1)) for top in tops)), rng) in every
        assert budget.ranked([rng.random(top) for top in tops]) in every
    for pattern in sorted(every, key=lambda p: p.levels)[:40]:
        moved = budget.move(pattern, rng)
        assert moved in every
        assert moved != pattern or len(every) == 1


@pytest.mark.parametrize("name", SMALL)
def test_repair_keeps_what_meets_the_budget(name):
    budget, rng = SMALL[name], np.random.default_rng(0)
    assert all(budget.repair(p, rng) == p for p in budget.patterns())


@pytest.mark.parametrize("name", [name for name in SMALL if name.endswith("any")])
def test_every_pattern_is_the_decoding_of_some_preference(name):
    """Of one just above the price of the last level gone, and below that of the next."""
    budget = SMALL[name]
    for pattern in budget.patterns():
        ladders = [[-1.0, *map(part.price, range(1, part.top + 1)), 2.0] for part in budget.space.parts]
        between = [sum(prices[n : n + 2]) / 2 for n, prices in zip(pattern.levels, ladders, strict=True)]
        assert budget.decode(np.array(between)) == pattern


@pytest.mark.parametrize(
    "name", ["subblock any", "subblock stock", "subblock balanced", "uneven balanced", "mixed any", "mixed stock"]
)
def test_moves_reach_every_pattern(name):
    budget, rng = SMALL[name], np.random.default_rng(0)
    every = set(budget.patterns())
    seen, at = set(), next(budget.patterns())
    for _ in range(400 * len(every)):
        seen.add(at)
        if len(seen) == len(every):
            break
        at = budget.move(at, rng)
    assert seen == every


def test_what_matters_least_leaves_first_at_equal_preference():
    """A part whose first half hardly matters gives it before one whose channels all matter the same."""
    even, skewed = ladder_space(1, "channel", skew=1.0).parts[0], ladder_space(2, "channel", skew=4.0).parts[1]
    space = PatternSpace((even, skewed), "channel", even.removed[-1] + skewed.removed[-1], Cost(10**7, 10**5, 10**3))
    assert Budget(space, 0.25).decode(np.zeros(2)).levels == (0, 2)


def test_stock_mixed_has_one_width_and_one_head_count():
    budget = Budget(ladder_space(6, "mixed", "stock"), 0.4)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(50):
        pattern = budget.draw(rng)
        kept = {(p.kind, n) for p, n in zip(budget.space.parts, pattern.levels, strict=True) if n < p.top}
        assert len(kept) == 2
        seen |= kept
    assert len(seen) > 3


def test_the_dynamic_program_over_common_levels_is_exact():
    budget, rng = SMALL["mixed stock"], np.random.default_rng(3)
    every, parts = list(budget.patterns()), budget.space.parts
    for _ in range(50):
        x = rng.standard_normal(len(parts))
        best = max(x[i] - part.price(1) for i, part in enumerate(parts))
        value = [
            np.cumsum([0, *((x[i] - part.price(n) - best) / part.top for n in range(1, part.top + 1))])
            for i, part in enumerate(parts)
        ]
        assert budget.decode(x) == max(every, key=lambda p: sum(value[i][n] for i, n in enumerate(p.levels)))


def test_decode_under_a_coupling_rule_is_exact():
    """The dynamic program against the best of all patterns."""
    budget = Budget(subblock_space(6, "stock", ("layers.0.attn",)), 0.34)
    every = list(budget.patterns())
    rng = np.random.default_rng(1)
    for _ in range(50):
        preference = rng.standard_normal(12)
        best = max(every, key=lambda p: float(np.array(p.levels) @ preference))
        assert budget.decode(preference) == best


def test_what_is_preferred_leaves_first():
    budget = Budget(layer_space(12), 0.25)
    preference = np.arange(12.0)
    assert budget.space.names(budget.decode(preference)) == ("layers.9", "layers.10", "layers.11")


def test_nothing_that_is_not_needed_leaves():
    """Five attentions and an MLP before the second MLP: the attentions are put back, least preferred first."""
    space = subblock_space(12)
    preference = np.zeros(24)
    preference[[0, 2]] = (9, 8)
    preference[[1, 3, 5, 7]] = (7, 6, 5, 4)
    pattern = Budget(space, 0.25).decode(preference)
    assert space.names(pattern) == ("layers.0.mlp", "layers.1.mlp", "layers.2.mlp", "layers.3.mlp")


def test_random_patterns_meet_the_budget():
    rng = np.random.default_rng(0)
    for deploy in ("any", "balanced", "stock"):
        for remove in (0.1, 0.3, 0.6):
            budget = Budget(subblock_space(12, deploy, ("layers.0.attn",)), remove)
            for _ in range(20):
                pattern = budget.draw(rng)
                assert budget.met(pattern)
                assert budget.space.removed(pattern).params >= (remove - 0.005) * budget.space.blocks.params


def test_the_kv_budget_counts_attention_alone():
    budget = Budget(subblock_space(12), 0.5, "kv")
    pattern = budget.draw(np.random.default_rng(0))
    assert [name.endswith("attn") for name in budget.space.names(pattern)] == [True] * 6


def test_unequal_layers_under_stock():
    """Layers of different cost (sliding windows, say): the dynamic program still finds what meets the budget."""
    space = subblock_space(6, "stock")
    costs = [Cost(p.removed[1].params, p.removed[1].flops * (1 + p.layer % 2), 0) for p in space.parts]
    parts = tuple(type(p)(p.name, p.layer, p.kind, (Cost(), c)) for p, c in zip(space.parts, costs, strict=True))
    uneven = PatternSpace(parts, "subblock", sum(costs, Cost()), space.model, "stock")
    budget = Budget(uneven, 0.3, "flops")
    every = set(budget.patterns())
    rng = np.random.default_rng(0)
    assert every
    for pattern in every:
        assert budget.decode(np.array(pattern.levels, dtype=float)) == pattern
    for _ in range(50):
        assert budget.draw(rng) in every


@pytest.mark.parametrize("remove", [0.0, 1.0, -0.1, 1.5])
def test_remove_outside_zero_and_one_is_refused(remove):
    with pytest.raises(PatternError, match="between 0 and 1"):
        Budget(layer_space(), remove)


def test_budgets_that_cannot_be_met_are_refused():
    with pytest.raises(PatternError, match=r"cannot be met: .* more than the unprotected parts hold \(0\.250\)"):
        Budget(layer_space(4, protected=("layers.0", "layers.1", "layers.2")), 0.5)
    with pytest.raises(PatternError, match=r"cannot be met: no pattern that --deploy stock allows removes 0\.2"):
        # Every MLP protected: attentions alone may not leave under stock.
        Budget(subblock_space(4, "stock", tuple(f"layers.{i}.mlp" for i in range(4))), 0.2)
    with pytest.raises(PatternError, match="cost 'watts' is unknown"):
        Budget(layer_space(), 0.5, "watts")


def test_tolerance_is_half_a_percent():
    space = subblock_space(12)
    pattern = Pattern(tuple(int(part.kind == "mlp" and part.layer < 4) for part in space.parts))
    assert space.removed(pattern).params == 4 * MLP.params < 0.25 * space.blocks.params
    assert Budget(space, 0.25).met(pattern)
    assert not Budget(space, 0.256).met(pattern)

from dataclasses import replace

import numpy as np
import pytest
from plain_rules import every_pattern, is_legal, is_put_back, is_unit
from toys import ladder_space, layer_space, subblock_space

from patterns import Pattern, PatternError, PatternSpace


def test_names_and_pattern_are_inverse():
    space = subblock_space(4)
    pattern = Pattern((0, 1, 0, 0, 1, 1, 0, 0))
    assert space.names(pattern) == ("layers.0.mlp", "layers.2.attn", "layers.2.mlp")
    assert space.pattern(space.names(pattern)) == pattern


def test_unknown_part_names_are_refused():
    with pytest.raises(PatternError, match=r"layers\.9\.mlp"):
        subblock_space(4).pattern(["layers.9.mlp"])
    with pytest.raises(PatternError, match=r"cannot protect 'layers\.9'"):
        layer_space(4, protected=("layers.9",))
    with pytest.raises(PatternError, match="deploy 'cloud' is unknown"):
        layer_space(4, deploy="cloud")


@pytest.mark.parametrize(
    ("levels", "legal"),
    [
        ((0, 0, 0, 0, 0, 0), True),
        ((0, 1, 1, 0, 0, 0), True),  # the MLP of 0 and the attention of 1: what is left alternates
        ((1, 0, 0, 1, 0, 0), False),  # the MLP of 0 would come first
        ((0, 1, 0, 0, 0, 0), False),  # two attentions in a row
        ((0, 1, 0, 0, 1, 0), False),
        ((0, 0, 0, 1, 1, 0), True),
        ((1, 1, 1, 1, 1, 1), True),
    ],
)
def test_stock_keeps_attention_and_mlp_alternating(levels, legal):
    assert subblock_space(3, "stock").legal(Pattern(levels)) is legal
    assert subblock_space(3, "any").legal(Pattern(levels))


def test_balanced_counts_attentions_and_mlps_wherever_they_are():
    space = subblock_space(3, "balanced")
    assert space.legal(Pattern((1, 0, 0, 0, 0, 1)))
    assert not space.legal(Pattern((1, 0, 1, 0, 0, 1)))
    assert not space.legal(Pattern((0, 0, 0, 0, 0, 1)))


@pytest.mark.parametrize("grain", ["head", "channel", "mixed"])
def test_balanced_means_nothing_where_blocks_are_thinned(grain):
    with pytest.raises(PatternError, match=f"--deploy balanced counts whole attentions and MLPs, but --grain {grain}"):
        ladder_space(2, grain, "balanced")
    assert layer_space(4, "balanced").legal(Pattern((0, 1, 0, 0)))


def test_an_exchange_keeps_the_counts_and_swaps_one_of_a_kind():
    space, rng = subblock_space(4, "balanced", ("layers.0.attn",)), np.random.default_rng(0)
    pattern = space.pattern(["layers.1.attn", "layers.2.mlp"])
    seen = {space.legality.exchange(space.parts, space.free, pattern, rng) for _ in range(200)}
    attns = {space.pattern([f"layers.{i}.attn", "layers.2.mlp"]) for i in (2, 3)}
    assert seen == attns | {space.pattern(["layers.1.attn", f"layers.{i}.mlp"]) for i in (0, 1, 3)}
    assert space.legality.exchange(space.parts, space.free, space.dense, rng) is None


def test_protected_parts_stay():
    space = subblock_space(3, "any", ("layers.1.mlp",))
    assert not space.legal(Pattern((0, 0, 0, 1, 0, 0)))
    assert all(p.levels[3] == 0 for p in space.removals(space.dense))


def test_units_under_stock_are_pairs_and_every_unit_is_legal():
    space = subblock_space(4, "stock")
    smaller = list(space.removals(space.dense))
    assert len(smaller) == 7  # 4 layers and 3 (mlp i, attn i+1)
    assert all(space.legal(p) and sum(p.levels) == 2 for p in smaller)
    for p in smaller:
        assert space.dense in set(space.put_backs(p))


def test_reached_fractions():
    space = layer_space(12)
    reached = space.reached(Pattern((1, 1, 1, *(0,) * 9)))
    assert reached.block_params == pytest.approx(0.25)
    assert reached.params == pytest.approx(3 * 393_600 / 5_509_824)
    assert reached.kv == pytest.approx(0.25)


def test_the_fingerprint_says_what_a_level_means_and_no_more():
    assert subblock_space(4).fingerprint == subblock_space(4, "stock", ("layers.0.attn",)).fingerprint
    assert subblock_space(4).fingerprint != subblock_space(5).fingerprint
    plain = subblock_space(4)
    other = PatternSpace(plain.parts, plain.grain, plain.blocks, plain.model, origin={"model": "another"})
    assert other.fingerprint != plain.fingerprint


def protecting(space: PatternSpace, *names: str) -> PatternSpace:
    """Return the space with some parts protected."""
    return replace(space, protected=frozenset(names))


RULES = {
    "free": ladder_space(2, "mixed"),
    "free, protected": protecting(ladder_space(2, "mixed"), "layers.0.mlp"),
    "alternating": subblock_space(4, "stock"),
    "alternating, protected": subblock_space(4, "stock", ("layers.0.attn", "layers.2.mlp")),
    "balanced": subblock_space(4, "balanced"),
    "balanced, protected": subblock_space(4, "balanced", ("layers.0.attn", "layers.2.mlp", "layers.3.mlp")),
    "common": ladder_space(3, "head", "stock", heads=3),
    "common, protected": protecting(ladder_space(3, "head", "stock", heads=3), "layers.1.attn"),
    "common alternating": ladder_space(3, "mixed", "stock"),
    "common alternating, protected": protecting(ladder_space(3, "mixed", "stock"), "layers.1.attn"),
}
"""Every rule, with and without protected parts, in spaces small enough to list."""


@pytest.mark.parametrize("name", RULES)
def test_legal_is_what_the_rule_says(name):
    space = RULES[name]
    every = every_pattern(space)
    legal = [pattern for pattern in every if is_legal(space, pattern)]
    assert [pattern for pattern in every if space.legal(pattern)] == legal
    assert space.dense in legal
    assert (len(legal) == len(every)) == (name == "free")


@pytest.mark.parametrize("name", RULES)
def test_units_are_all_there_are(name):
    """Removals and put-backs of every legal pattern, against every pair of legal patterns."""
    space = RULES[name]
    legal = [pattern for pattern in every_pattern(space) if is_legal(space, pattern)]
    for pattern in legal:
        removals, put_backs = list(space.removals(pattern)), list(space.put_backs(pattern))
        assert len(set(removals)) == len(removals)
        assert len(set(put_backs)) == len(put_backs)
        assert set(removals) == {other for other in legal if is_unit(space, pattern, other)}
        assert set(put_backs) == {other for other in legal if is_put_back(space, pattern, other)}


@pytest.mark.parametrize("name", RULES)
def test_every_legal_level_is_among_the_choices(name):
    """In every state that random walks through legal levels reach."""
    space, rng = RULES[name], np.random.default_rng(0)
    rule = space.legality
    for _ in range(200):
        state = rule.start
        for part in space.parts:
            after = {level: rule.step(state, part, level) for level in range(part.top + 1)}
            legal = [level for level, reached in after.items() if reached is not None]
            assert set(legal) <= set(rule.choices(state, part)) <= set(after)
            if not legal:
                break
            state = after[rng.choice(legal)]

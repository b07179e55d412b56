"""Every rival strategy on spaces so small that each step is written out: what it asks, and what it makes of the answer.

Parts are called a, b, c, ... in the order of the space; a pattern is written as the letters of what is gone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toys import layer_space

from patterns import Budget, Cost, Part, Pattern, PatternSpace, make_strategy
from patterns.strategies.genetic import cross, mutate, tournament
from patterns.strategies.policy import BASELINE_WINDOW, LEARNING_RATE, gradient, projected
from patterns.strategies.swap import STEPS


def letters(pattern):
    """``bd`` for the pattern without the second and the fourth part."""
    return "".join("abcdefghij"[i] for i, level in enumerate(pattern.levels) if level)


def asked(strategy):
    return [letters(pattern) for pattern in strategy.ask()]


def tell(strategy, values):
    """Answer what is asked by letters."""
    strategy.tell({pattern: float(values[letters(pattern)]) for pattern in strategy.ask()})


def scored(space, *scores):
    """The space whose parts, there or gone, are ranked by scores."""
    return replace(space, parts=tuple(replace(p, scores=(s,)) for p, s in zip(space.parts, scores, strict=True)))


def blocks(*costs):
    """A space of attentions and MLPs in turn, of some costs."""
    parts = tuple(
        Part(f"layers.{i // 2}.{kind}", i // 2, kind, (Cost(), Cost(cost)))
        for i, (kind, cost) in enumerate(zip(("attn", "mlp") * len(costs), costs, strict=False))
    )
    return PatternSpace(parts, "subblock", Cost(sum(costs)), Cost(sum(costs)), "any")


class Scripted:
    """Hands out numbers written down beforehand in place of random ones."""

    def __init__(self, **draws):
        self.draws = draws

    def integers(self, _low, _high, _size):
        return np.array(self.draws["integers"])

    def random(self, _size):
        return np.array(self.draws["random"])

    def uniform(self, low, high, size):
        drawn = self.draws["uniform"].pop(0)
        assert (low, size) == (0, 1)
        assert drawn < high
        return np.array([drawn])


# -- SLEB and BlockPruner


def test_sleb_removes_the_block_that_costs_least_now_and_never_undoes_it():
    # Of four layers two must go. Alone a costs 1, b 2, c 3, d 4; with a gone b costs 9 in all, c 5, d 6. The best pair
    # is b and c, 4, which greedy does not see: it keeps a. 4 + 3 patterns are measured.
    strategy = make_strategy("greedy", Budget(layer_space(4), 0.5), 0)
    assert asked(strategy) == ["a", "b", "c", "d"]
    tell(strategy, {"a": 1, "b": 2, "c": 3, "d": 4})
    assert asked(strategy) == ["ab", "ac", "ad"]
    tell(strategy, {"ab": 9, "ac": 5, "ad": 6})
    assert asked(strategy) == []


def test_blockpruner_tries_attention_and_mlp_apart():
    # Costs 1, 3, 1, 3; three of eight must go. First the MLP b goes, for it costs the least, and that is enough.
    # Where the attention c costs least, b is enough only after it, and c, no longer needed, comes back.
    strategy = make_strategy("greedy", Budget(blocks(1, 3, 1, 3), 3 / 8), 0)
    assert asked(strategy) == ["a", "b", "c", "d"]
    tell(strategy, {"a": 5, "b": 1, "c": 2, "d": 3})
    assert asked(strategy) == []
    strategy = make_strategy("greedy", Budget(blocks(1, 3, 1, 3), 3 / 8), 0)
    tell(strategy, {"a": 5, "b": 2, "c": 1, "d": 3})
    assert asked(strategy) == ["ac", "b", "d"]


# -- ShortGPT and Shortened LLaMA


def test_shortgpt_removes_the_lowest_block_influences_at_once():
    strategy = make_strategy("oneshot", Budget(scored(layer_space(5), 0.5, 0.1, 0.4, 0.2, 0.3), 0.4), 0)
    assert asked(strategy) == ["bd"]
    tell(strategy, {"bd": 7})
    assert asked(strategy) == []


def test_shortened_llama_removes_what_costs_least_alone():
    strategy = make_strategy("oneshot", Budget(layer_space(4), 0.5), 0)
    assert asked(strategy) == ["a", "b", "c", "d"]
    tell(strategy, {"a": 3, "b": 1, "c": 4, "d": 2})
    assert asked(strategy) == ["bd"]


def test_what_is_measured_alone_is_divided_by_the_cost_that_leaves():
    # Attention costs 1 and loses 3 or 4, an MLP costs 3 and loses 6 or 8: per cost 3, 2, 4, 2.67. Four of eight must
    # go. By cost that is b (3), d (6); by what each loses alone it would be a (1), c (2), b (5).
    strategy = make_strategy("oneshot", Budget(blocks(1, 3, 1, 3), 4 / 8), 0)
    tell(strategy, {"a": 3, "b": 6, "c": 4, "d": 8})
    assert asked(strategy) == ["bd"]


def test_a_ladder_s_loss_is_spread_over_its_levels_and_divided_by_what_each_removes():
    # One MLP in two halves of 4, of which the first holds a quarter of the importance: prices (0.125, 0.625), so the
    # first level takes 0.125 + (0.625 - 0.125) / 2 = 0.375 of what the whole loses, 8: 3, the second 5. Per cost 0.75
    # and 1.25. The attention, 2, loses 1.6 alone: per cost 0.8. So half the MLP goes, then the attention, then the
    # rest; where all of the MLP is needed, the attention is not, and comes back.
    attn = Part("layers.0.attn", 0, "attn", (Cost(), Cost(2)))
    mlp = Part("layers.0.mlp", 0, "mlp", (Cost(), Cost(4), Cost(8)), (0, 1, 2), (0.125, 0.625))
    space = PatternSpace((attn, mlp), "mixed", Cost(10), Cost(10), "any")
    for remove, levels in ((0.2, (0, 1)), (0.4, (0, 1)), (0.6, (1, 1)), (0.8, (0, 2))):
        strategy = make_strategy("oneshot", Budget(space, remove), 0)
        strategy.tell({pattern: 1.6 if pattern.levels[0] else 8.0 for pattern in strategy.ask()})
        (answer,) = strategy.ask()
        assert answer.levels == levels


# -- EvoP


def test_a_tournament_of_three_is_won_by_the_smallest_loss():
    # Rows 0..3 lose 5, 1, 2, 4. Who meets: (0, 1, 2), (3, 3, 3), (2, 0, 3), (0, 0, 3).
    met = [[0, 1, 2], [3, 3, 3], [2, 0, 3], [0, 0, 3]]
    assert tournament(np.array([5.0, 1, 2, 4]), Scripted(integers=met)).tolist() == [1, 3, 2, 3]


def test_rows_half_a_population_apart_exchange_the_genes_between_two_cuts():
    # Row 0 meets row 2, row 1 row 3. Cuts 3 and 1: genes 1 and 2 change hands. Cuts 2 and 2: none.
    parents = np.array([[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 1, 1]])
    children = cross(parents, Scripted(integers=[[3, 1], [2, 2]]))
    assert children.tolist() == [[1, 0, 0, 1], [1, 0, 1, 0], [0, 1, 1, 0], [0, 1, 1, 1]]


def test_a_bit_flips_below_one_in_a_thousand():
    # A bit has one other level. The second gene has three levels: 2 and a step of 2 is 4, which is 1 beyond the last.
    genes, tops = np.array([[0, 2], [1, 0]]), np.array([1, 2])
    drawn = Scripted(integers=[[1, 2], [1, 1]], random=[[0.0009, 0.0009], [0.0011, 0.5]])
    assert mutate(genes, tops, drawn).tolist() == [[1, 1], [1, 0]]


def test_random_bits_are_repaired_to_the_budget():
    # Two of five must go. Of b, c, e the one with the smallest number comes back; beside d the largest leaves.
    budget = Budget(layer_space(5), 0.4)
    many, few = Pattern((0, 1, 1, 0, 1)), Pattern((0, 0, 0, 1, 0))
    assert letters(budget.repair(many, Scripted(uniform=[0.09, 0.05, 0.02, 0.08, 0.04]))) == "be"
    assert letters(budget.repair(few, Scripted(uniform=[0.03, 0.05, 0.02, 0.01, 0.04]))) == "bd"


def test_a_generation_is_bred_from_the_one_before_without_its_best():
    # Where one pattern loses less than all others, tournaments fill a generation with it, yet no row is kept for it.
    strategy = make_strategy("genetic", Budget(layer_space(6), 0.5), 0)
    first = strategy.ask()
    best = first[0]
    before = first.count(best)
    strategy.tell({pattern: 0.0 if pattern == best else 1.0 for pattern in first})
    # A row of the 50 wins with probability 1 - (1 - before / 50)^3; children of two winners are winners again.
    assert strategy.ask().count(best) > before
    assert len(strategy.ask()) == 50


# -- EvoPress


def test_offspring_are_min_of_two_draws_from_one_to_three_switches_away():
    # min(U{1..3}, U{1..3}) is 1 in 5 of 9 cases, 2 in 3, 3 in 1. Among 60 layers two switches seldom meet.
    strategy = make_strategy("swap", Budget(layer_space(60), 0.5), 0, patience=10**6)
    counts = np.zeros(4)
    for _ in range(10):
        strategy.tell({p: float(i) for i, p in enumerate(strategy.ask())})
        while strategy.fidelity != STEPS[0][0]:
            parent = strategy.ask()[-1]
            strategy.tell({p: float(p != parent) for p in strategy.ask()})
        for child in strategy.ask() if strategy.survivors == STEPS[0][1] else ():
            switches = int(np.abs(np.subtract(child.levels, strategy._parent.levels)).sum()) // 2
            counts[switches] += 1
    assert counts[0] == 0
    assert counts[1:] / counts.sum() == pytest.approx([5 / 9, 3 / 9, 1 / 9], abs=0.08)


def test_a_selection_goes_in_steps_and_the_parent_joins_the_last():
    strategy = make_strategy("swap", Budget(layer_space(12), 0.5), 0)
    start = strategy.ask()
    strategy.tell({pattern: float(pattern != start[5]) for pattern in start})
    # The best of the start is the parent; its offspring are measured on the least, the best go on to the next step.
    survivors = strategy.ask()
    assert start[5] not in survivors
    for step, (share, keep) in enumerate(STEPS[:-1]):
        assert strategy.fidelity == share
        values = {pattern: float(value) for value, pattern in enumerate(reversed(survivors))}
        strategy.tell(values)
        survivors = sorted(values, key=values.__getitem__)[:keep]
        parent = [start[5]] if step == len(STEPS) - 2 else []
        assert strategy.ask() == [*survivors, *parent]
    # In full the parent is best: it stays, and the next offspring are again one to three switches from it.
    strategy.tell({pattern: float(pattern != start[5]) for pattern in strategy.ask()})
    away = [int(np.abs(np.subtract(child.levels, start[5].levels)).sum()) // 2 for child in strategy.ask()]
    assert set(away) == {1, 2, 3}


# -- Bypass Back-propagation


def test_the_gradient_is_estimated_with_the_root_of_the_variance():
    # Keep probabilities 0.5 and 0.2, whose roots of s (1 - s) are 0.5 and 0.4. Two samples keep the first unit or the
    # second, and lose 1 above and 1 below the baseline: 1 * (0.5 / 0.5, -0.2 / 0.4) - 1 * (-0.5 / 0.5, 0.8 / 0.4)
    # = (1, -0.5) + (1, -2) = (2, -2.5), over K - 1 = 1. A third that keeps both and loses 0.5 adds (0.5, 1); K - 1 = 2.
    masks, kept = np.array([[1.0, 0], [0, 1], [1, 1]]), np.array([0.5, 0.2])
    assert gradient(np.array([1.0, -1]), masks[:2], kept) == pytest.approx([2, -2.5])
    assert gradient(np.array([1.0, -1, 0.5]), masks, kept) == pytest.approx([1.25, -0.75])


def test_probabilities_are_shifted_and_clamped_to_the_keep_rate():
    # 0.9, 0.5, 0.4 have the mean 0.6: to 0.5 all lose 0.1, to 0.3 all lose 0.3.
    assert projected(np.array([0.9, 0.5, 0.4]), 0.5) == pytest.approx([0.8, 0.4, 0.3])
    assert projected(np.array([0.9, 0.5, 0.4]), 0.3) == pytest.approx([0.6, 0.2, 0.1])
    # To 0.2: v = 0.4 would bring the last to 0, it stops at 0.02; the others: 1.4 - 2 v = 0.6 - 0.02, v = 0.41.
    assert projected(np.array([0.9, 0.5, 0.4]), 0.2) == pytest.approx([0.49, 0.09, 0.02])
    # 0.9, 0.5, 0.1 to 0.7: the first stops at 0.98, the others: 0.6 + 2 v = 2.1 - 0.98, v = 0.26.
    assert projected(np.array([0.9, 0.5, 0.1]), 0.7) == pytest.approx([0.98, 0.76, 0.36])


def test_a_step_follows_the_samples_against_a_moving_baseline():
    # Probabilities begin at the keep rate. After the first batch the baseline is its mean; after the second it has
    # gone a fifth of the way to that one's: 1, then 1 + (6 - 1) / 5 = 2.
    budget = Budget(layer_space(4), 0.5)
    strategy = make_strategy("policy", budget, 0)
    probabilities = strategy.probabilities
    assert BASELINE_WINDOW == 5
    for batch, baseline in ((1.0, 1.0), (6.0, 2.0)):
        everything = strategy.ask()
        samples = everything[:-1]  # the last is the hard choice
        values = {pattern: batch + (0.5 if pattern.levels[0] else -0.5) for pattern in samples}
        losses = np.array([values[pattern] for pattern in samples])
        shift = batch - losses.mean()  # samples without the first layer need not be half of them
        values = {pattern: value + shift for pattern, value in values.items()}
        losses = losses + shift
        masks = 1.0 - np.array([pattern.levels for pattern in samples])
        step = gradient((losses - baseline) / losses.std(), masks, probabilities)
        strategy.tell({pattern: values.get(pattern, batch) for pattern in everything})
        probabilities = projected(probabilities - LEARNING_RATE * step, strategy.keep_rate)
        assert strategy.probabilities == pytest.approx(probabilities)

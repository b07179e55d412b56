"""The tree of what the cuts of a round share."""

from evop.evaluator.prefixes import DENSE, GONE, PrefixTree
from evop.removal.cut import Cut

LAYERS = 12


def work(cuts, parallel=False):
    """Blocks that are run, of cuts of whole blocks."""
    return sum(step.blocks for step in PrefixTree.of(cuts, LAYERS, parallel).runs())


def without(*numbers):
    """The cut without some of the blocks, counted attention, MLP, attention and so on."""
    return Cut(frozenset((("attn", "mlp")[n % 2], n // 2) for n in numbers))


def test_what_is_shared_is_run_once():
    assert work([Cut()]) == 24
    assert work([Cut(), Cut()]) == 24
    assert work([without(0), without(23)]) == 23 + 23
    assert work([without(22), without(23)]) == 22 + 1 + 1


def test_a_greedy_round_is_half_the_work():
    """Every first removal of 24 blocks: 23 blocks each alone; together the trunk and what follows each gap."""
    removals = [without(n) for n in range(24)]
    assert work(removals) == 23 + sum(23 - n for n in range(24))
    assert 24 * 23 / work(removals) > 1.8


def test_thinned_blocks_and_their_biases_are_told_apart():
    import numpy as np

    def thinned(kept, bias=None):
        place = ("mlp", 3)
        given = {} if bias is None else {place: np.full(4, bias, dtype=np.float32)}
        return Cut(kept={place: kept}, bias=given)

    same = PrefixTree.of([thinned((0, 1), 0.5), thinned((0, 1), 0.5)], LAYERS, False)
    assert same.root.weight == 1
    cuts = [thinned((0, 1)), thinned((0, 2)), thinned((0, 1), 0.5), thinned((0, 1), 0.25), Cut()]
    assert PrefixTree.of(cuts, LAYERS, False).root.weight == 5
    assert work(cuts) == 7 + 5 * 17


def test_layers_whose_blocks_read_the_same_input_are_one_step():
    tree = PrefixTree.of([without(0), without(1)], LAYERS, True)
    assert len(list(tree.runs())) == 2 * LAYERS
    assert set(tree.root.children) == {(0, GONE, DENSE), (0, DENSE, GONE)}


def test_the_heaviest_branch_is_walked_last():
    tree = PrefixTree.of([without(0), without(1), without(2)], LAYERS, False)
    assert [child.weight for _, child in tree.root.heavy_first] == [2, 1]

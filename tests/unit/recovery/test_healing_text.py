from collections import Counter

import pytest

from evop.recovery.healing.text import ANCHOR, Drawn, HealingText, with_anchor
from evop.tokens.passages import TokenPassages


def passages(sizes):
    """Passages of some groups: group -> the tokens of each of its passages."""
    rows = [(group, size) for group, several in sizes.items() for size in several]
    ids = tuple(tuple(range(1, size + 1)) for _, size in rows)
    groups = tuple(group for group, _ in rows)
    return TokenPassages(ids, groups, tuple(f"document {i}" for i in range(len(rows))), (False,) * len(rows))


SIZES = {"law/0": [40, 50, 60], "code/0": [5, 7, 9, 6, 8], "math/0": [20, 30]}


def shares(text, chosen):
    tokens = Counter()
    for i in chosen:
        tokens[text.passages.groups[i]] += int(text.passages.scored[i])
    return {group: count / tokens.total() for group, count in tokens.items()}


def test_groups_have_their_shares_in_tokens_however_long_their_passages_are():
    text, weights = HealingText(passages(SIZES), None, 0), {"law/0": 0.2, "code/0": 0.5, "math/0": 0.3}
    assert shares(text, text.batch(weights, 10_000, Drawn())) == pytest.approx(weights, abs=0.01)


def test_a_batch_holds_enough_and_no_passage_more():
    text, drawn = HealingText(passages(SIZES), None, 0), Drawn()
    for _ in range(20):
        chosen = text.batch(dict.fromkeys(SIZES, 1 / 3), 100, drawn)
        sizes = text.passages.scored[chosen]
        assert sizes.sum() >= 100 > sizes[:-1].sum()


def test_small_batches_lack_no_group_for_long():
    """What one batch had no room for, the next has."""
    text, drawn = HealingText(passages(SIZES), None, 0), Drawn()
    weights = {"law/0": 0.1, "code/0": 0.45, "math/0": 0.45}
    chosen = [i for _ in range(100) for i in text.batch(weights, 30, drawn)]
    assert shares(text, chosen) == pytest.approx(weights, abs=0.02)


def test_every_passage_of_a_group_comes_before_one_comes_again_and_in_another_order():
    text, drawn = HealingText(passages({"law/0": [2] * 12}), None, 0), Drawn()
    first, second = (text.batch({"law/0": 1.0}, 12, drawn) for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second


def test_the_seed_decides_and_what_was_drawn_says_what_comes_next():
    weights = {"law/0": 0.5, "code/0": 0.5}
    drawn, other = Drawn(), Drawn()
    one = HealingText(passages(SIZES), None, 1)
    long = [one.batch(weights, 100, drawn) for _ in range(6)]
    before = [HealingText(passages(SIZES), None, 1).batch(weights, 100, other) for _ in range(6)]
    assert long == before
    assert long != [HealingText(passages(SIZES), None, 2).batch(weights, 100, Drawn()) for _ in range(6)]


def test_a_group_of_no_weight_is_left_out_whatever_it_is_owed():
    text, drawn = HealingText(passages(SIZES), None, 0), Drawn(credit={"law/0": 1e6})
    assert set(shares(text, text.batch({"law/0": 0.0, "code/0": 1.0}, 100, drawn))) == {"code/0"}


def test_the_anchor_has_its_share_whatever_the_groups_have():
    text = HealingText(passages(SIZES), passages({ANCHOR: [10] * 9}), 0)
    weights = with_anchor({"law/0": 0.9, "code/0": 0.1}, 0.25)
    assert sum(weights.values()) == pytest.approx(1)
    assert shares(text, text.batch(weights, 10_000, Drawn()))[ANCHOR] == pytest.approx(0.25, abs=0.01)
    assert with_anchor({"law/0": 1.0}, 0) == {"law/0": 1.0}

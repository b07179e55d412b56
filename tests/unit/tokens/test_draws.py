"""Half of every group's passages, drawn one way or another: which, in what order, the same whatever else is there."""

import pytest
from sites import token_passages

from evop.tokens.draws import DRAWS, drawn
from evop.tokens.passages import TokenPassages

LAW = ((1, 1, 2), (1, 2, 2, 1), (9, 8, 7, 6, 5), (1, 2, 3))
"""The mean of these lies nearest to the second, then to the first; farthest from the third."""


def sample(*groups):
    rows = [(passage, group) for group, ids in groups for passage in ids]
    ids, names = zip(*rows, strict=True)
    return TokenPassages(ids, names, tuple(map(str, range(len(rows)))), (False,) * len(rows))


@pytest.mark.parametrize(("draw", "law"), [("longest", (1, 2)), ("typical", (0, 1)), ("odd", (2, 3))])
def test_half_of_every_group_is_drawn(draw, law):
    found = drawn(sample(("law", LAW[:1]), ("code", ((4, 4),)), ("law", LAW[1:])), draw)
    assert tuple(ids for ids, group in zip(found.ids, found.groups, strict=True) if group == "law") == (
        LAW[law[0]],
        LAW[law[1]],
    )
    assert found.tokens_by_group["code"] == 1  # of one passage it is that one


@pytest.mark.parametrize("draw", DRAWS)
def test_what_is_drawn_of_a_group_hangs_on_that_group_alone(draw):
    lengths = {"law/0": [9, 5, 7, 12, 4], "code/0": [8, 8, 3], "code/1": [20]}
    whole = token_passages(lengths)
    found = drawn(whole, draw)
    assert [found.groups.count(group) for group in lengths] == [3, 2, 1]
    assert [ids for ids in whole.ids if ids in found.ids] == list(found.ids)  # in their own order
    for group in lengths:
        assert drawn(whole.only([group]), draw) == found.only([group])
    assert drawn(whole, draw) == found
    assert drawn(whole, "") is whole


def test_draws_are_not_one():
    whole = token_passages({"law/0": [9, 5, 7, 12, 4, 6, 15, 3]})
    assert len({drawn(whole, draw).ids for draw in DRAWS}) == len(DRAWS)

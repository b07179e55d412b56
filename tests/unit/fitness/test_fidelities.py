"""Fidelities: nested, every group in the smallest."""

from itertools import pairwise

import numpy as np
import pytest
from sites import token_passages

from evop.fitness.fidelities import SHARES, fidelities_of, increments
from patterns import Fidelity
from patterns.strategies.swap import STEPS


def sample(passages_of, seed=0):
    """Groups -> how many passages each has, of random length, in group-balanced order."""
    rng = np.random.default_rng(seed)
    return token_passages({group: rng.integers(3, 30, n).tolist() for group, n in passages_of.items()})


SAMPLES = {
    "large": sample({f"g{i}": 40 for i in range(5)}),
    "small": sample({f"g{i}": 2 for i in range(6)}),
    "one each": sample({f"g{i}": 1 for i in range(6)}),
    "one passage": sample({"g0": 1}),
    "uneven": sample({"g0": 50, "g1": 3, "g2": 1}),
}


@pytest.mark.parametrize("passages", SAMPLES.values(), ids=SAMPLES)
def test_every_fidelity_is_a_prefix_with_every_group_and_the_last_is_all(passages):
    fidelities = fidelities_of(passages)
    assert fidelities[-1] == Fidelity(len(passages.ids), passages.total, passages.tokens_by_group)
    assert all(a.passages < b.passages and a.tokens < b.tokens for a, b in pairwise(fidelities))
    for fidelity in fidelities:
        assert set(passages.groups[: fidelity.passages]) == set(passages.groups)
        assert fidelity.tokens == sum(len(ids) - 1 for ids in passages.ids[: fidelity.passages])
    parts = increments(passages, fidelities)
    assert [ids for part in parts for ids in part.ids] == list(passages.ids)
    assert np.cumsum([len(part.ids) for part in parts]).tolist() == [fidelity.passages for fidelity in fidelities]


def test_shares_of_a_large_sample():
    assert [fidelity.passages for fidelity in fidelities_of(SAMPLES["large"])] == [13, 50, 200]
    assert tuple(share for share, _ in STEPS) == SHARES  # a selection step finds a fidelity of its own share


def test_a_group_that_comes_late_makes_the_smallest_fidelity_larger():
    """A sixteenth of 200 passages is 13, but the last group begins at 21."""
    large = SAMPLES["large"]
    late = large.take([i for i, group in enumerate(large.groups) if group != "g4"][:20] + list(range(4, 200, 5)))
    assert fidelities_of(late)[0].passages == 21


def test_small_samples_have_fewer_fidelities():
    assert [fidelity.passages for fidelity in fidelities_of(SAMPLES["small"])] == [6, 12]
    assert [fidelity.passages for fidelity in fidelities_of(SAMPLES["one each"])] == [6]
    assert [fidelity.passages for fidelity in fidelities_of(SAMPLES["one passage"])] == [1]

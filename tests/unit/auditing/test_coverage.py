"""The intervals of an audit hold the truth about as often as they say; ``benchmarks/coverage.py`` asks more widely."""

import numpy as np
import pytest

from evop.losses.means import TAILS, document_means, document_noise
from evop.losses.worst import gap_interval, worst_of

AUDITS, GROUPS, DOCUMENTS, DRAWS = 150, 10, 12, 200


@pytest.fixture(scope="module")
def simulated():
    """Audits of two patterns, by the same documents: what is true, what was measured, and how it errs."""
    rng = np.random.default_rng(0)
    shape = (AUDITS, GROUPS, DOCUMENTS)
    tokens = rng.integers(40, 200, shape)
    true = rng.normal(0.25, 0.05, (2, AUDITS, GROUPS))
    noise = rng.normal(0, 0.09, shape) + rng.normal(0, 0.05, (2, *shape))
    extra = (true[..., None] + noise) * tokens
    owner, group = np.arange(GROUPS * DOCUMENTS), np.repeat(np.arange(GROUPS), DOCUMENTS)
    means = [
        document_means(extra[k, i].ravel(), tokens[i].ravel(), owner, group) for i in range(AUDITS) for k in range(2)
    ]
    errors = [
        np.stack([document_noise(extra[:, i, g], tokens[i, g], DRAWS, rng) for g in range(GROUPS)], axis=-1)
        for i in range(AUDITS)
    ]
    drawn = rng.multinomial(DOCUMENTS, np.full(DOCUMENTS, 1 / DOCUMENTS), size=DRAWS)
    again = np.einsum("dn,kagn->dakg", drawn, extra) / np.einsum("dn,agn->dag", drawn, tokens)[:, :, None]
    worsts = worst_of(means, np.concatenate(errors, axis=1), [1])
    return true.swapaxes(0, 1).reshape(-1, GROUPS), means, worsts, again.reshape(DRAWS, -1, GROUPS)


def held(low, value, high):
    return np.mean((low <= value) & (value <= high))


def test_the_interval_of_a_group_covers_its_mean(simulated):
    true, means, _, again = simulated
    ends = np.array([each.interval() for each in means])
    assert held(ends[:, 0], true, ends[:, 1]) == pytest.approx(0.95, abs=0.02)
    before = np.quantile(again, TAILS, axis=0)
    assert held(before[0], true, before[1]) < 0.92  # the percentile bootstrap, which was here before


def test_the_interval_of_the_worst_group_covers_the_worst_mean(simulated):
    true, _, worsts, again = simulated
    ends = np.array([(worst.low, worst.high) for worst in worsts])
    assert held(ends[:, 0], true.max(axis=1), ends[:, 1]) == pytest.approx(0.95, abs=0.03)
    before = np.quantile(again.max(axis=-1), TAILS, axis=0)
    assert held(before[0], true.max(axis=1), before[1]) < 0.85


def test_the_estimate_of_the_worst_has_no_bias(simulated):
    true, _, worsts, _ = simulated
    values = np.array([(worst.value, worst.measured) for worst in worsts]) - true.max(axis=1)[:, None]
    assert abs(values[:, 0].mean()) < 0.005
    assert values[:, 1].mean() > 0.01  # the largest mean as measured
    assert np.mean(values[:, 0] ** 2) < np.mean(values[:, 1] ** 2)


def test_the_interval_of_a_gap_covers_the_gap_of_the_worsts(simulated):
    true, _, worsts, _ = simulated
    gap = true.max(axis=1)[::2] - true.max(axis=1)[1::2]
    ends = np.array([gap_interval(*worsts[i : i + 2]) for i in range(0, len(worsts), 2)])
    assert held(ends[:, 0], gap, ends[:, 1]) == pytest.approx(0.95, abs=0.05)


def test_the_worst_is_among_the_groups_that_may_be_and_as_often_the_named_one_as_it_says(simulated):
    true, means, worsts, _ = simulated
    assert np.mean([row.argmax() in worst.among for row, worst in zip(true, worsts, strict=True)]) > 0.9
    named = [each.value.argmax() for each in means]
    right = np.mean([row.argmax() == name for row, name in zip(true, named, strict=True)])
    assert right == pytest.approx(np.mean([w.shares[name] for w, name in zip(worsts, named, strict=True)]), abs=0.08)


def test_one_document_alone_says_nothing_of_its_spread():
    owner, group = np.array([0, 1, 2, 2]), np.array([0, 0, 1, 1])
    means = document_means(np.array([10.0, 14.0, 9.0, 9.0]), np.full(4, 50), owner, group)
    assert means.value == pytest.approx([0.24, 0.18])
    assert np.isnan(means.interval()[:, 1]).all()
    error, freedom = means.moderated()  # it is taken to vary as the other group's documents do
    assert error[1] == pytest.approx(error[0] * np.sqrt(2))
    assert freedom[1] > 0
    (worst,) = worst_of([means.take(np.array([False, True]))], np.zeros((9, 1, 1)), [0])
    assert (worst.measured, worst.value) == (0.18, 0.18)
    assert np.isnan(worst.low)


def test_a_long_document_does_not_vouch_for_itself():
    """Equal lengths give the textbook's error; one long document leaves fewer that count."""
    extra, owner, group = np.array([3.0, 5.0, 7.0, 5.0]), np.arange(4), np.zeros(4, dtype=int)
    even = document_means(extra * 10, np.full(4, 10.0), owner, group)
    assert even.documents == pytest.approx(4)
    assert even.error == pytest.approx(extra.std(ddof=1) / 2 * np.sqrt(4 / 3))
    long = document_means(extra * [10, 100, 10, 10], np.array([10.0, 100.0, 10.0, 10.0]), owner, group)
    assert 1 < long.documents[0] < 2
    assert np.diff(long.interval()[:, 0])[0] > np.diff(even.interval()[:, 0])[0]

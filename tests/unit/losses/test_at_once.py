"""Intervals of several domains that hold at once: as often as they say, and no wider than that takes."""

import numpy as np
import pytest

from evop.losses.means import document_means, document_noise
from evop.losses.worst import Measured, largest_within

AUDITS, DOMAINS, EACH, DOCUMENTS, DRAWS = 120, 6, 2, 12, 800
GROUPS = DOMAINS * EACH
PARTS = [np.arange(EACH) + EACH * domain for domain in range(DOMAINS)]


@pytest.fixture(scope="module")
def simulated():
    """Audits of one pattern each: what is true of every domain, and what is measured."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(40, 200, (AUDITS, GROUPS, DOCUMENTS))
    true = rng.normal(0.25, 0.05, (AUDITS, GROUPS))
    extra = (true[..., None] + rng.normal(0, 0.1, tokens.shape)) * tokens
    owner, group = np.arange(GROUPS * DOCUMENTS), np.repeat(np.arange(GROUPS), DOCUMENTS)
    means = [document_means(extra[i].ravel(), tokens[i].ravel(), owner, group) for i in range(AUDITS)]
    noise = np.zeros((DRAWS, AUDITS, GROUPS))
    for i, g in np.ndindex(AUDITS, GROUPS):
        noise[:, i, g] = document_noise(extra[i, g][None], tokens[i, g], DRAWS, rng)[:, 0]
    return np.stack([true[:, part].max(axis=1) for part in PARTS]), Measured(means, noise)


def ends(measured, parts, at_once):
    found = largest_within([measured], [1], parts, at_once=at_once)
    return np.array([[(worst.low, worst.high) for worst in part] for part in found]).transpose(2, 0, 1)


def test_all_domains_hold_at_once_as_often_as_is_said(simulated):
    true, measured = simulated
    low, high = ends(measured, PARTS, at_once=True)
    all_hold = ((low <= true) & (true <= high)).all(axis=0).mean()
    assert all_hold == pytest.approx(0.95, abs=0.04)
    low_alone, high_alone = ends(measured, PARTS, at_once=False)
    held_alone = (low_alone <= true) & (true <= high_alone)
    assert held_alone.mean() == pytest.approx(0.95, abs=0.03)
    assert held_alone.all(axis=0).mean() < 0.88  # each by itself, they do not hold together
    assert (high - low).mean() < 1.8 * (high_alone - low_alone).mean()


def test_one_domain_has_the_interval_of_the_worst_group(simulated):
    few = Measured(simulated[1].patterns[:20], simulated[1].noise[:, :20])
    together, alone = (ends(few, [np.arange(GROUPS)], at_once) for at_once in (True, False))
    assert together == pytest.approx(alone, abs=2e-3)

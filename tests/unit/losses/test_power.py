"""The loss that a test finds."""

import numpy as np
import pytest

from evop.losses.power import POWER, detectable_items, detectable_mean, items_power
from evop.losses.significance import SURE, mcnemar


@pytest.mark.parametrize(("n", "groups", "churn"), [(24, 8, 0.06), (100, 20, 0.02)])
def test_the_detectable_loss_of_questions_is_found_as_often_as_it_says(n, groups, churn):
    """Simulated: what the exact test calls worse, corrected for the groups; a little less is found less often."""
    lost = detectable_items(n, groups, churn)
    rng = np.random.default_rng(0)
    changes = rng.multinomial(n, [churn / 2 + lost, churn / 2, 1 - churn - lost], size=3000)
    found = np.mean([mcnemar(one, other) < SURE / groups for one, other, _ in changes])
    assert found == pytest.approx(POWER, abs=0.03)
    assert items_power(n, groups, churn, lost - 0.002) < POWER <= items_power(n, groups, churn, lost)


def test_more_questions_find_less_and_more_groups_hide_more():
    assert detectable_items(200, 8) < detectable_items(50, 8) < detectable_items(50, 40)
    assert detectable_items(4, 40) is None  # even if all four are lost


def test_the_detectable_mean_is_found_as_often_as_it_says():
    from scipy.stats import t

    rng, n, groups = np.random.default_rng(1), 12, 14
    lost = detectable_mean(1 / np.sqrt(n), n - 1, groups)
    draws = rng.normal(lost, 1, (20000, n))
    found = t.sf(draws.mean(1) / (draws.std(1, ddof=1) / np.sqrt(n)), n - 1) < SURE / groups
    assert found.mean() == pytest.approx(POWER, abs=0.03)

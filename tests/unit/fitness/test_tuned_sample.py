"""Text and sample grow together: a twentieth of the text before the smallest measurement, all of it before the last."""

from __future__ import annotations

import pytest

from evop.fitness.tuned_sample import tuned_fidelities
from evop.tokens.passages import TokenPassages


class Counting:
    """Trains on nothing, and says what it would have been."""

    def tokens(self, share):
        return round(1000 * share)

    def tuned(self, cut, share):
        raise AssertionError("nothing is trained here")


def passages(count, groups):
    names = tuple(f"g{number % groups}" for number in range(count))
    return TokenPassages(((0, 1, 2),) * count, names, tuple(map(str, range(count))), (False,) * count)


@pytest.mark.parametrize(
    ("count", "groups", "expected"),
    [
        (80, 4, {10: 50, 20: 250, 40: 500, 80: 1000}),
        (80, 20, {20: 50, 40: 500, 80: 1000}),  # two steps are one: a measurement holds every group
        (8, 8, {8: 1000}),  # there is one measurement alone, and it is the last
    ],
)
def test_what_is_trained_on_before_each_measurement(count, groups, expected):
    fidelities = tuned_fidelities(passages(count, groups), Counting())
    assert {fidelity.passages: fidelity.trained for fidelity in fidelities} == expected
    assert all(fidelity.tokens == 2 * fidelity.passages + fidelity.trained for fidelity in fidelities)

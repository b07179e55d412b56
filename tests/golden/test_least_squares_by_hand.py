"""The least-squares weight of what stays: with a pencil, against numpy, and where moments are degenerate."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from evop.removal import least_squares as module
from evop.removal.least_squares import DAMPING, least_squares


def solved(weight, moments, kept):
    """The weight, of plain lists."""
    weight, moments = (torch.tensor(values, dtype=torch.float64) for values in (weight, moments))
    stays = torch.zeros(weight.shape[1], dtype=torch.bool)
    stays[list(kept)] = True
    return least_squares(weight, moments, stays).numpy()


def test_one_input_stands_in_for_another():
    # Inputs (7, 1) and (1, -1) in turn: mean squares 25 and 1, mean product (7 - 1) / 2 = 3. Columns (3, 4) and (0, 2).
    # The second leaves: the first gets (3, 4) + (0, 2) * 3 / (25 + 0.01 * 13) = (3, 4 + 6 / 25.13).
    assert DAMPING == 0.01
    weight, moments = [[3, 0], [4, 2]], [[25, 3], [3, 1]]
    assert solved(weight, moments, [0]).tolist() == pytest.approx(np.array([[3], [4 + 6 / 25.13]]))
    # The first leaves: (0, 2) + (3, 4) * 3 / (1 + 0.13).
    assert solved(weight, moments, [1]) == pytest.approx(np.array([[9 / 1.13], [2 + 12 / 1.13]]))


@pytest.mark.parametrize("kept", [[0, 2, 3, 7], [5], list(range(1, 9))])
def test_without_damping_it_is_what_numpy_finds(kept, monkeypatch):
    monkeypatch.setattr(module, "DAMPING", 0.0)
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(50, 9)) @ rng.normal(size=(9, 9))
    weight = rng.normal(size=(4, 9))
    found = solved(weight, inputs.T @ inputs / len(inputs), kept)
    wanted = np.linalg.lstsq(inputs[:, kept], inputs @ weight.T, rcond=None)[0].T
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_damping_pulls_towards_the_dense_weight(monkeypatch):
    rng = np.random.default_rng(1)
    inputs, weight = rng.normal(size=(40, 6)) @ rng.normal(size=(6, 6)), rng.normal(size=(3, 6))
    moments, kept, far = inputs.T @ inputs / 40, [0, 1, 2], []
    for damping in (0.0, 0.01, 1.0, 1e6):
        monkeypatch.setattr(module, "DAMPING", damping)
        far.append(np.abs(solved(weight, moments, kept) - weight[:, kept]).max())
    assert far == sorted(far, reverse=True)
    assert far[-1] < 1e-4


def test_inputs_that_are_always_zero_change_nothing():
    weight = np.arange(8.0).reshape(2, 4)
    assert solved(weight, np.zeros((4, 4)), [0, 3]).tolist() == weight[:, [0, 3]].tolist()


def test_twins_share_what_a_third_gave():
    # Three inputs that are one: moments of ones, damping 0.01. The two that stay get each 1 / (2 + 0.01) of the third.
    found = solved([[1.0, 1.0, 1.0]], np.ones((3, 3)), [0, 1])
    assert found == pytest.approx(np.full((1, 2), 1 + 1 / 2.01))


def test_moments_that_rounding_has_bent_are_damped_until_they_hold():
    # Eigenvalues 3.5 and -1.5 of what stays: 0.01, 0.1 and 1 times the mean diagonal do not mend that, 10 do.
    moments = np.array([[1.0, 2.5, 0.5], [2.5, 1.0, 0.5], [0.5, 0.5, 1.0]])
    damped = moments[:2, :2] + 10 * np.eye(2)
    wanted = np.array([[1.0, 2.0]]) + 3.0 * moments[2:, :2] @ np.linalg.inv(damped)
    assert solved([[1.0, 2.0, 3.0]], moments, [0, 1]) == pytest.approx(wanted)

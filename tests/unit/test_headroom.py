"""The headroom of tolerances: a difference that is allowed without it is not allowed with it."""

import numpy as np
import pytest
import tolerance
import torch


@pytest.fixture
def tight():
    """Tolerances of half their size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tolerance, "HEADROOM", 2.0)
        tolerance.tighten_comparisons(patch)
        yield


def compared(difference):
    """Every comparison of one and a number that differs from it, each with a tolerance of 1e-3."""
    return {
        "approx, absolute": lambda: _true(1 + difference == pytest.approx(1.0, abs=1e-3)),
        "approx, relative": lambda: _true({"a": 1 + difference} == pytest.approx({"a": 1.0}, rel=1e-3)),
        "numpy": lambda: np.testing.assert_allclose(np.array([1 + difference]), 1.0, rtol=1e-3),
        "torch": lambda: torch.testing.assert_close(torch.tensor(1 + difference), torch.tensor(1.0), rtol=0, atol=1e-3),
        "within": lambda: _true(difference < tolerance.within(1e-3)),
    }


def _true(holds):
    assert holds


@pytest.mark.parametrize("name", compared(0))
def test_what_is_nearer_than_the_headroom_fails(tight, name):
    compared(4e-4)[name]()
    with pytest.raises(AssertionError):
        compared(7e-4)[name]()


@pytest.mark.skipif(tolerance.HEADROOM != 1, reason="the whole run has headroom")
@pytest.mark.parametrize("name", compared(0))
def test_without_headroom_tolerances_are_as_written(name):
    compared(7e-4)[name]()


def test_defaults_are_tightened_too(tight):
    assert pytest.approx(1.0) == 1 + 4e-7
    assert pytest.approx(1.0) != 1 + 7e-7


def test_what_must_differ_must_differ_by_more(tight):
    assert tolerance.beyond(1e-2) == 2e-2

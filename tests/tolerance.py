"""How near a number may come to the tolerance of its test.

Rounding differs between processors, so a test that passes by a hair here fails elsewhere. ``EVOP_HEADROOM=2`` runs
all tests with tolerances of half their size: where they pass, nothing is nearer to its tolerance than a factor of two.
``make test-kernels`` asks that under the kernels of several processors.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch

HEADROOM = float(os.environ.get("EVOP_HEADROOM") or 1)
"""By what every tolerance is divided."""
approx, assert_allclose, assert_close = pytest.approx, np.testing.assert_allclose, torch.testing.assert_close
"""The comparisons as the libraries have them, whatever stands in their places later."""


def within(tolerance: float) -> float:
    """Tighten a tolerance that a difference must stay below."""
    return tolerance / HEADROOM


def beyond(tolerance: float) -> float:
    """Raise a tolerance that a difference must exceed."""
    return tolerance * HEADROOM


def tighten_comparisons(patch: pytest.MonkeyPatch) -> None:
    """Divide the tolerances of the libraries' comparisons, defaults included, by the headroom.

    Args:
        patch: what puts the tight comparisons in place, and takes them away again.
    """
    patch.setattr(pytest, "approx", _tight_approx)
    patch.setattr(np.testing, "assert_allclose", _tight_assert_allclose)
    patch.setattr(torch.testing, "assert_close", _tight_assert_close)


def _tight_approx(expected: Any, rel: float | None = None, abs: float | None = None, nan_ok: bool = False) -> Any:
    if rel is None and abs is None:
        rel = 1e-6  # pytest's default
    rel, abs = (None if bound is None else within(bound) for bound in (rel, abs))
    return approx(expected, rel, abs, nan_ok)


def _tight_assert_allclose(actual: Any, desired: Any, rtol: float = 1e-7, atol: float = 0, **more: Any) -> None:
    assert_allclose(actual, desired, within(rtol), within(atol), **more)


def _tight_assert_close(actual: Any, expected: Any, *, rtol: float, atol: float) -> None:
    assert_close(actual, expected, rtol=within(rtol), atol=within(atol))

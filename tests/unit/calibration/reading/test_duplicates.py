"""Dropping what was said before."""

import numpy as np
import pytest

from calibration.reading.duplicates import near_duplicates as of_sets
from calibration.reading.shingles import shingle_sets


def near_duplicates(texts):
    return of_sets(shingle_sets(texts))


def _text(rng, n):
    return [f"w{i}" for i in rng.integers(0, 5000, n)]


@pytest.mark.parametrize(("changed", "is_duplicate"), [(1, True), (2, True), (3, False), (8, False)])
def test_threshold_is_four_fifths(changed, is_duplicate):
    # n shingles, each changed word far from the others takes 5 of them: Jaccard = (n - 5c) / (n + 5c).
    rng = np.random.default_rng(0)
    base = _text(rng, 104)  # 100 shingles: c=2 gives 90/110 = 0.818, c=3 gives 85/115 = 0.739
    other = list(base)
    for i in range(changed):
        other[10 + 11 * i] = "changed"
    assert near_duplicates([" ".join(base), " ".join(other)]) == ([1] if is_duplicate else [])


def test_exactly_four_fifths_is_a_near_duplicate():
    base = [f"w{i}" for i in range(9)]  # 5 shingles
    assert near_duplicates([" ".join(base), " ".join(base[:8])]) == [1]  # 4 of 5
    assert near_duplicates([" ".join(base), " ".join(base[:7])]) == []  # 3 of 5


def test_first_stays_whatever_case_and_punctuation():
    assert near_duplicates(["One two, three four FIVE six.", "other words", "one two three -- four five six"]) == [2]


def test_short_texts_are_one_shingle():
    assert near_duplicates(["yes please", "yes", "Yes, please!", "yes please now"]) == [2]


def test_against_the_dropped_nothing_is_compared():
    a = [f"w{i}" for i in range(104)]
    b = ["x1", "x2", *a[2:]]  # near a
    c = ["y0", "y1", "y2", "y3", "y4", "y5", "y6", "y7", "y8", *a[9:]]
    chain = [" ".join(t) for t in (a, b, c)]
    assert near_duplicates(chain) == [1, 2]
    assert near_duplicates([chain[2], chain[1]]) == [1]


def test_nothing_and_one():
    assert near_duplicates([]) == []
    assert near_duplicates(["only one text"]) == []

"""The time left is said when it means something, and not before."""

import pytest
from sites import token_passages

from evop.fitness.fidelities import fidelity_of
from evop.fitness.fitness import Fitness
from evop.fitness.sample import Sample
from evop.losses.objectives import worst
from evop.searching.progress import Progress, ProgressMeter
from evop.searching.time_left import TimeLeft
from patterns import Measurement, Pattern, Stop, Trial


def after(pieces, begun=0.0):
    """The estimate after pieces of (share, seconds)."""
    left, share, now = TimeLeft(), begun, 0.0
    left.mark(share, now)
    for used, seconds in pieces:
        share, now = share + used, now + seconds
        left.mark(share, now)
    return left.estimate(now)


def test_pieces_alike_tell_what_is_left():
    assert after([(0.05, 10.0)] * 8) == pytest.approx((120.0, 120.0))


def test_too_few_pieces_or_too_small_a_share_tell_nothing():
    assert after([(0.2, 10.0)] * 3) is None
    assert after([(0.2, 10.0)] * 4) is not None
    assert after([(0.01, 10.0)] * 4) is None
    assert after([(0.01, 10.0)] * 6) is not None


def test_pieces_of_varying_cost_give_a_range_or_nothing():
    low, high = after([(0.05, 20.0)] * 4 + [(0.05, 10.0)] * 4)
    assert (low, high) == pytest.approx((120.0, 240.0))
    assert after([(0.05, 100.0)] * 4 + [(0.05, 10.0)] * 4) is None
    assert after([(0.1, 10.0)] * 2 + [(0.0, 10.0)] * 2) is None


def test_what_was_replayed_says_nothing_of_the_pace():
    assert after([(0.05, 10.0)] * 4, begun=0.5) == pytest.approx((60.0, 60.0))


def test_it_counts_down_between_two_pieces():
    left = TimeLeft()
    for piece in range(6):
        left.mark(0.1 * piece, 10.0 * piece)
    assert left.estimate(58.0) == pytest.approx((42.0, 42.0))
    assert left.estimate(500.0) == (0.0, 0.0)


def test_the_first_pattern_of_a_round_says_nothing(monkeypatch):
    """The trials of a round come together when all are measured; the first alone is not what took so long."""
    now, seen = [0.0], []
    monkeypatch.setattr("evop.searching.progress.time.monotonic", lambda: now[0])
    passages = token_passages({"a": [5, 6]}, vocabulary=9)
    fitness = Fitness(Sample(None, passages, (fidelity_of(passages),)), worst, {2: {"a": 1.0}})
    meter = ProgressMeter(fitness, {}, Stop(evaluations=160), 0, seen.append)
    number = 0
    for _ in range(5):
        meter.measuring()
        now[0] += 32.0
        for _ in range(16):
            meter(Trial(0, Pattern((number,)), False, 2, Measurement(1.0, {}, 5)))
            number += 1
    assert all(progress.seconds_left is None for progress in seen[:64])
    assert seen[-1].seconds_left == pytest.approx((160.0, 160.0))
    assert isinstance(seen[-1], Progress)

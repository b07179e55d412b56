"""Losses of text are the same over slices of the vocabulary as over all of it, and the same as by hand."""

import pytest
import torch
from tolerance import within

from evop.losses import METERS, build_meter

VOCABULARY = 50


def drawn(spread):
    generator = torch.Generator().manual_seed(0)
    pruned, dense = (torch.randn(7, VOCABULARY, generator=generator) * spread + 20 for _ in range(2))
    return pruned, dense, torch.randint(0, VOCABULARY, (7,), generator=generator)


def losses(name, pruned, dense, wanted, size):
    tally = build_meter(METERS[name]).tally(wanted)
    for first in range(0, VOCABULARY, size):
        words = slice(first, first + size)
        tally.add(pruned[:, words], first, dense[:, words].clone())
    return tally.losses()


def by_hand(name, pruned, dense, wanted):
    """In float64, as the definitions say."""
    if name == "reconstruction":
        return (pruned.double() - dense.double()).square().sum(-1)
    q, p = (logits.double() - logits.double().logsumexp(-1, keepdim=True) for logits in (pruned, dense))
    return -q[torch.arange(len(wanted)), wanted] if name == "nll" else (p.exp() * (p - q)).sum(-1)


@pytest.mark.parametrize("spread", [1.0, 40.0], ids=["near", "far apart"])
@pytest.mark.parametrize("size", [1, 7, 25, VOCABULARY])
@pytest.mark.parametrize("name", METERS)
def test_any_slices_give_what_the_definition_says(name, size, spread):
    pruned, dense, wanted = drawn(spread)
    expected = by_hand(name, pruned, dense, wanted)
    assert torch.allclose(losses(name, pruned, dense, wanted, size).double(), expected, rtol=1e-6, atol=2e-6)


def test_reconstruction_by_hand():
    """(1 - 0)^2 + (2 - 4)^2 = 5 and 0, whatever follows in the text."""
    pruned, dense = torch.tensor([[1.0, 2.0], [3.0, 3.0]]), torch.tensor([[0.0, 4.0], [3.0, 3.0]])
    tally = build_meter(METERS["reconstruction"]).tally(torch.tensor([0, 1]))
    for word in (0, 1):
        tally.add(pruned[:, word : word + 1], word, dense[:, word : word + 1])
    assert tally.losses().tolist() == [5.0, 0.0]


@pytest.mark.parametrize("size", [7, VOCABULARY])
def test_the_dense_model_has_no_divergence_from_itself(size):
    _, dense, wanted = drawn(3.0)
    assert not losses("kl", dense, dense, wanted, size).any()


@pytest.mark.parametrize("name", METERS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_stays_none(name, bad):
    """A search marks a pattern that overflows as failed."""
    pruned, dense, wanted = drawn(1.0)
    pruned[3, 20] = bad
    found = losses(name, pruned, dense, wanted, 7)
    assert not torch.isfinite(found[3])
    assert torch.isfinite(found[:3]).all()


@pytest.mark.parametrize("name", METERS)
def test_a_large_vocabulary_costs_no_accuracy(name):
    """Many words that weigh little each: added one after the other in float32, they lose weight at every position."""
    generator = torch.Generator().manual_seed(1)
    pruned, dense = (3 * torch.randn(4, 250_000, generator=generator) for _ in range(2))
    wanted = torch.randint(0, 250_000, (4,), generator=generator)
    tally = build_meter(METERS[name]).tally(wanted)
    tally.add(pruned, 0, dense)
    expected = by_hand(name, pruned, dense, wanted)
    # Squared logits are summed, not averaged: their error is a share of the sum.
    rtol, atol = (within(1e-6), 0) if name == "reconstruction" else (0, within(4e-6))
    assert torch.allclose(tally.losses(), expected, rtol=rtol, atol=atol)

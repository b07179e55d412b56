import pytest
import torch

from evop.recovery.healing.distillation import distillation_loss, target_of


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(0)
    dense, pruned = 3 * torch.randn(2, 5, 50, generator=generator)
    return dense, pruned, torch.tensor([3, 0, 49, 7, 7])


def divergence(dense, pruned):
    """KL(dense || pruned) over all words, added up."""
    return torch.nn.functional.kl_div(pruned.log_softmax(-1), dense.log_softmax(-1), reduction="sum", log_target=True)


@pytest.mark.parametrize("k", [50, 500])
def test_over_the_whole_vocabulary_it_is_the_divergence(k, logits):
    dense, pruned, wanted = logits
    loss = distillation_loss(pruned, target_of(dense, k), wanted, 0.0)
    torch.testing.assert_close(loss, divergence(dense, pruned), rtol=1e-5, atol=1e-5)


def test_the_other_words_count_as_one(logits):
    dense, pruned, wanted = logits
    top = dense.topk(8).indices
    chances, own = (given.softmax(-1).gather(1, top) for given in (dense, pruned))
    with_rest = [torch.cat([some, 1 - some.sum(-1, keepdim=True)], 1) for some in (chances, own)]
    expected = (with_rest[0] * (with_rest[0] / with_rest[1]).log()).sum()
    torch.testing.assert_close(
        distillation_loss(pruned, target_of(dense, 8), wanted, 0.0), expected, rtol=1e-5, atol=1e-5
    )


def test_chance_that_leaks_to_the_other_words_is_seen():
    """Renormalised over the likeliest words these two would be alike."""
    dense, leaking = torch.zeros(2, 1, 50)
    dense[0, 0], dense[0, 1], leaking[0, 0], leaking[0, 1] = 20, 20, 5, 5
    target, wanted = target_of(dense, 2), torch.tensor([0])
    assert distillation_loss(dense, target, wanted, 0.0).abs() < 1e-4
    assert distillation_loss(leaking, target, wanted, 0.0) > 0.1


def test_nothing_beats_the_dense_model_itself(logits):
    dense, _, wanted = logits
    own = dense.clone().requires_grad_(True)
    loss = distillation_loss(own, target_of(dense, 8), wanted, 0.0)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-4)
    assert own.grad.abs().max() < 1e-4


def test_a_share_of_the_next_token_loss(logits):
    dense, pruned, wanted = logits
    target = target_of(dense, 8)
    with_text = distillation_loss(pruned, target, wanted, 0.1) - distillation_loss(pruned, target, wanted, 0.0)
    expected = 0.1 * torch.nn.functional.cross_entropy(pruned, wanted, reduction="sum")
    torch.testing.assert_close(with_text, expected, rtol=1e-4, atol=1e-4)


def test_where_the_likeliest_word_is_all_there_is_numbers_stay_numbers():
    sure = torch.full((1, 50), -1e4)
    sure[0, 3] = 0
    own = sure.clone().requires_grad_(True)
    distillation_loss(own, target_of(sure, 8), torch.tensor([3]), 0.1).backward()
    assert own.grad.isfinite().all()

"""What the divergence keeps of the dense model, and that nothing is lost where nothing leaves."""

from contextlib import nullcontext

import pytest
import torch
from sites import token_passages
from tiny import SHAPE, load

from evop.meters.divergence import Divergence

PASSAGES = token_passages({"law": [30, 12], "code": [9]}, vocabulary=SHAPE["vocab_size"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_dense_model_diverges_by_nothing_at_all(dtype, tiny_folder):
    model, meter = load(tiny_folder("llama")).to(dtype), Divergence()
    for _ in range(2):  # as it is computed, and as it was kept
        assert not meter(model, lambda: nullcontext(model), PASSAGES, 64).loss.any()


def test_what_was_kept_of_other_batches_is_forgotten(tiny_folder):
    model, meter = load(tiny_folder("llama")), Divergence()
    held = []
    for batch_tokens in (64, 16, 64):
        meter(model, lambda: nullcontext(model), PASSAGES, batch_tokens)
        held.append(sum(tensor.nbytes for tensor in meter._remembered.values()))
        assert meter._bytes == held[-1]
    assert held[0] == held[2] > held[1] > 0  # small batches pad less

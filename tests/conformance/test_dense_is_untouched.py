"""Law 7: after any masked evaluation, failed ones included, the dense model is what it was, bit for bit."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from tiny import TINY, load, logits, random_ids

from evop.checkpoint import Checkpoint
from evop.families import family_of
from evop.families.parts import GRAINS, pattern_space
from evop.masking import masked
from evop.orders import Orders
from patterns import Pattern


class _OutOfMemoryError(Exception):
    pass


@pytest.fixture(params=TINY)
def model(request, tiny_folder):
    return load(tiny_folder(request.param))


def _everything(model: torch.nn.Module) -> list[tuple[str, type]]:
    return [(name, type(module)) for name, module in model.named_modules()]


@pytest.mark.parametrize("grain", GRAINS)
@pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
def test_dense_model_is_bit_identical_afterwards(model, grain, fails):
    checkpoint = Checkpoint.find(model.config._name_or_path)
    if reason := family_of(checkpoint.model_type).refusal(checkpoint.resolved, grain, "any"):
        pytest.skip(reason)
    space = pattern_space(checkpoint, grain)
    everything = Pattern(tuple(part.top for part in space.parts))
    ids = random_ids(1, 24)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modules, identities = _everything(model), [id(module) for module in model.modules()]
    before = logits(model, ids)

    family, expected = family_of(checkpoint.model_type), pytest.raises(_OutOfMemoryError) if fails else nullcontext()
    with expected, masked(model, family, Orders().cut(space, everything)):
        assert not torch.equal(logits(model, ids), before)
        if fails:
            raise _OutOfMemoryError

    assert _everything(model) == modules
    assert [id(module) for module in model.modules()] == identities
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(logits(model, ids), before)

"""Law 7: after any masked evaluation, failed ones included, the dense model is what it was, bit for bit."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sites import token_passages
from tiny import SHAPE, TINY, load, logits, random_ids, ranking

from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.importance import IMPORTANCES
from evop.importance.measured import INFLUENCE, measured_ranking
from evop.losses import METERS
from evop.losses.loss import Loss
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.model.loaded import load_model
from evop.removal.cut import Cut
from evop.removal.masking import masked
from evop.removal.space import GRAINS, THINNED, pattern_space
from patterns import Pattern, PatternSpace

PASSAGES = token_passages({"a": [20, 7], "b": [12]}, vocabulary=SHAPE["vocab_size"])
SOME = ("llama", "gpt2", "phi3", "gemma2", "opt")


class _OutOfMemoryError(Exception):
    pass


def _everything(model: torch.nn.Module) -> list[Any]:
    """All there is of a model: modules, their hooks, parameters bit by bit, whether they ask for gradients."""
    modules = [
        (name, type(module), id(module), module.training, len(module._forward_hooks), len(module._forward_pre_hooks))
        for name, module in model.named_modules()
    ]
    tensors = [(name, tensor.clone().numpy().tobytes()) for name, tensor in model.state_dict().items()]
    gradients = [(id(p), p.requires_grad, p.grad is None) for p in model.parameters()]
    return [modules, tensors, gradients, torch.is_grad_enabled(), torch.is_inference_mode_enabled()]


def _cuts(space: PatternSpace, hidden: int) -> list[Cut]:
    """Everything gone; where units may leave, also some gone and some thinned, with a bias."""
    tops = [part.top for part in space.parts]
    cuts = [ranking(space).cut_of(space, Pattern(tuple(tops)))]
    if space.grain in THINNED:
        some = ranking(space).cut_of(space, Pattern(tuple((i + 1) % (top + 1) for i, top in enumerate(tops))))
        cuts.append(replace(some, bias={place: np.ones(hidden, dtype=np.float32) for place in some.kept}))
    return cuts


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("grain", GRAINS)
@pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
def test_dense_model_is_bit_identical_afterwards(name, grain, fails, tiny_folder):
    checkpoint = Checkpoint.find(tiny_folder(name))
    family = family_of(checkpoint.model_type)
    if reason := family.refusal(checkpoint.resolved, grain, "any"):
        pytest.skip(reason)
    model, space, ids = load(checkpoint.folder), pattern_space(checkpoint, grain), random_ids(1, 24)
    before, dense = _everything(model), logits(model, ids)
    for cut in _cuts(space, SHAPE["hidden_size"]):
        with pytest.raises(_OutOfMemoryError) if fails else nullcontext(), masked(model, family, cut):
            assert not torch.equal(logits(model, ids), dense)
            if fails:
                raise _OutOfMemoryError
        assert _everything(model) == before
        assert torch.equal(logits(model, ids), dense)


def _failing(model: torch.nn.Module, name: str) -> Any:
    """Out of memory in the last layer of a forward pass."""

    def fail(*_: Any) -> None:
        raise torch.OutOfMemoryError

    return family_of(TINY[name][0]).layer_list(model)[-1].register_forward_hook(fail)


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("loss", METERS)
def test_a_measurement_that_fails_leaves_no_trace(name, loss, tiny_folder):
    loaded = load_model(Checkpoint.find(tiny_folder(name)), "cpu", "float32")
    space = pattern_space(loaded.checkpoint, "mixed")
    evaluator = Evaluator.of(loaded, space, 64, 2, Loss.named(loss)).with_ranking(ranking(space))
    pattern = Pattern(tuple(1 for _ in space.parts))
    before = _everything(loaded.model)
    (right,) = evaluator.losses([pattern], PASSAGES)
    assert _everything(loaded.model) == before
    hook = _failing(loaded.model, name)
    fresh = Evaluator.of(loaded, space, 64, 2, Loss.named(loss)).with_ranking(ranking(space))
    with pytest.raises(EvopError, match="out of memory on cpu"):
        fresh.losses([pattern], PASSAGES)
    hook.remove()
    assert _everything(loaded.model) == before
    (again,) = evaluator.losses([pattern], PASSAGES)
    assert np.array_equal(again.loss, right.loss)


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("metric", [*IMPORTANCES, INFLUENCE])
@pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
def test_ranking_units_leaves_no_trace(name, metric, fails, tiny_folder):
    loaded = load_model(Checkpoint.find(tiny_folder(name)), "cpu", "float32")
    space = pattern_space(loaded.checkpoint, "subblock" if metric == INFLUENCE else "mixed")
    evaluator, before = Evaluator.of(loaded, space, 64), _everything(loaded.model)
    hook = _failing(loaded.model, name) if fails else None
    with pytest.raises(EvopError, match="out of memory on cpu") if fails else nullcontext():
        found = measured_ranking(
            evaluator, PASSAGES, metric=metric, over="mean", compensate=metric != INFLUENCE, seed=0
        )
        assert set(found.importance) == {part.name for part in space.parts}
    if hook:
        hook.remove()
    assert _everything(loaded.model) == before

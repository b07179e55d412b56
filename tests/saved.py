"""What law 1 asks of one checkpoint that was pruned from a tiny model."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from matrix import add
from tiny import load, logits
from tolerance import within
from transformers import PreTrainedModel

from evop.export.parity import TOLERANCE, compare
from evop.model.families import family_of
from evop.removal.cut import Cut
from evop.removal.masking import masked
from evop.stages.prune import PruneResult


def assert_same(
    dense: PreTrainedModel, cut: Cut, claimed: int, written: PruneResult, ids: torch.Tensor, cell: dict[str, Any]
) -> PreTrainedModel:
    """The checkpoint computes what the masked model computes, and lacks what was claimed.

    Args:
        dense: the model that was pruned.
        cut: what left it.
        claimed: parameters.
        written: the checkpoint.
        ids: what both read.
        cell: the record of the test.

    Returns:
        The checkpoint, loaded.
    """
    pruned = load(written.folder)
    with masked(dense, family_of(dense.config.model_type), cut):
        difference, ratio, greedy = compare(logits(dense, ids), logits(pruned, ids))
    gone = dense.num_parameters() - pruned.num_parameters()
    add(cell, patterns=1, difference=difference, ratio=ratio, claimed=claimed, gone=gone)
    assert ratio <= within(TOLERANCE), cut
    assert greedy, cut
    assert written.parameters[0] - written.parameters[1] == claimed == gone, cut
    if written.kind == "stock":
        assert type(pruned) is type(dense)
    return pruned


def assert_generates_alike(model: PreTrainedModel, ids: torch.Tensor, cell: dict[str, Any]) -> None:
    """Greedy tokens with a growing cache, with a static one, and without any; then step by step by hand."""
    how = {"max_new_tokens": 4, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    mask = torch.ones_like(ids)
    mask[0, :5] = 0
    for given in ({}, {"attention_mask": mask}):
        plain = model.generate(ids, use_cache=False, **how, **given)
        assert torch.equal(model.generate(ids, use_cache=True, **how, **given), plain)
        assert torch.equal(model.generate(ids, cache_implementation="static", **how, **given), plain)
    exact = deepcopy(model).double()  # token by token, other shapes are multiplied: in float32 that rounds otherwise
    with torch.inference_mode():
        found = exact(input_ids=ids[:, :-3], use_cache=True)
        steps = [found.logits]
        for at in range(ids.shape[1] - 3, ids.shape[1]):
            found = exact(input_ids=ids[:, at : at + 1], past_key_values=found.past_key_values, use_cache=True)
            steps.append(found.logits)
    _, ratio, _ = compare(logits(exact, ids), torch.cat(steps, dim=1))
    assert ratio <= within(TOLERANCE)
    add(cell, generated=1)


def assert_saves_again(model: PreTrainedModel, ids: torch.Tensor, folder: Path, cell: dict[str, Any]) -> None:
    """transformers writes it, and reads it again, without a number lost."""
    model.save_pretrained(folder)
    again = load(folder)
    assert torch.equal(logits(again, ids), logits(model, ids))
    assert again.num_parameters() == model.num_parameters()
    assert (folder / "modeling_evop.py").is_file() == model.config.model_type.startswith("evop_")
    add(cell, saved=1)

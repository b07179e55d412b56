"""Law 2 for items: choices behind one query cost what each costs alone, in every family, dense and pruned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sites import token_items
from tiny import SHAPE, TINY, WINDOW
from tolerance import within
from torch.nn import functional

import evop.hf  # noqa: F401
from evop.evaluator import Evaluator
from evop.losses.loss import Loss
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.removal.cut import Cut
from evop.removal.masking import masked
from evop.removal.space import pattern_space
from evop.tokens.items import TokenItem

ITEMS = token_items(
    {"a": [(1, (5, 3)), (24, (6, 1, 9, 4))], "b": [(40, (7, 7)), (9, (1, 1, 1))]}, vocabulary=SHAPE["vocab_size"]
)
"""Some reach over the sliding windows, some choices are a single token."""
assert WINDOW < 24


def alone(model: torch.nn.Module, item: TokenItem, choice: tuple[int, ...]) -> float:
    """What a choice costs after its query, in nats, by the model's own forward pass."""
    ids = torch.tensor([[*item.query, *choice]])
    with torch.inference_mode():
        logits = model(input_ids=ids, use_cache=False).logits[0]
    start = len(item.query) - 1
    lost = functional.cross_entropy(logits[start:-1].float(), ids[0, start + 1 :], reduction="none")
    return float(lost.double().sum())


@pytest.mark.parametrize("name", TINY)
def test_choices_behind_one_query_cost_what_they_cost_alone(name, tiny_folder):
    loaded = load_model(Checkpoint.find(tiny_folder(name)), "cpu", "float32")
    grain = "layer" if loaded.family.is_parallel(loaded.model.config) else "subblock"
    space = pattern_space(loaded.checkpoint, grain)
    ends = [space.pattern([part.name]) for part in (space.parts[0], space.parts[-1])]
    evaluator = Evaluator.of(loaded, space, 64, loss=Loss.named("accuracy"))
    cuts = [Cut(), *map(evaluator.cut, ends)]
    together = evaluator.line_losses(cuts, ITEMS)
    evaluator.share = False
    assert np.array_equal(together, evaluator.line_losses(cuts, ITEMS))
    for row, cut in zip(together, cuts, strict=True):
        with masked(loaded.model, loaded.family, cut):
            expected = [alone(loaded.model, item, choice) for item in ITEMS.items for choice in item.choices]
        tokens = [len(choice) for item in ITEMS.items for choice in item.choices]
        assert (np.abs(row - expected) / tokens).max() < within(1e-5)


def test_text_and_items_are_measured_side_by_side(tiny_folder):
    """Items by accuracy, text by next-token loss, in one call; each as alone."""
    from evop.tokens.passages import TokenPassages

    loaded = load_model(Checkpoint.find(tiny_folder("llama")), "cpu", "float32")
    evaluator = Evaluator.of(loaded, pattern_space(loaded.checkpoint, "subblock"), 64, loss=Loss.named("nll+accuracy"))
    text = ITEMS.as_text()
    both = TokenPassages(
        text.ids + ITEMS.ids,
        tuple(f"text {group}" for group in text.groups) + ITEMS.groups,
        text.documents + ITEMS.documents,
        text.shortened + ITEMS.shortened,
        (None,) * len(text.ids) + ITEMS.items,
    )
    table = evaluator.dense(both)
    assert np.array_equal(table.loss[: len(text.ids)], evaluator.dense(text).loss)
    assert np.array_equal(table.loss[len(text.ids) :], evaluator.dense(ITEMS).loss)
    assert list(table.counts) == [len(ids) - 1 for ids in text.ids] + [1] * len(ITEMS.ids)
    assert table.loss[len(text.ids) :].max() < 2

"""Law 2: the evaluator agrees with each pattern run alone, one passage at a time, within 1e-5 nats a token."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from evop.checkpoint import Checkpoint
from evop.evaluator import Evaluator
from evop.families.parts import GRAINS, pattern_space
from evop.load import load_model
from evop.reference import corpus_files, model_dir
from evop.tokens import TokenPassages
from patterns import Budget


@pytest.fixture(scope="module")
def loaded():
    return load_model(Checkpoint.find(model_dir()), "cpu", "float32")


@pytest.fixture(scope="module")
def passages(loaded):
    """Passages of very different length of two domains."""
    import pandas as pd

    rows = []
    for domain in ("code_python", "math_word"):
        for n, text in enumerate(pd.read_parquet(corpus_files()[domain])["text"][:5]):
            rows.append((tuple(loaded.tokenizer(text[: 40 + 150 * n], verbose=False)["input_ids"]), domain))
    return TokenPassages(
        tuple(r[0] for r in rows), tuple(r[1] for r in rows), tuple(map(str, range(10))), (False,) * 10
    )


def plain(loaded, space, pattern, passages):
    """Written apart from the evaluator: layers really deleted or outputs zeroed by hooks, one passage at a time."""
    import copy

    model = copy.deepcopy(loaded.model)
    gone = set(space.names(pattern))
    if space.grain == "layer":
        kept = [layer for i, layer in enumerate(model.model.layers) if f"layers.{i}" not in gone]
        model.model.layers = torch.nn.ModuleList(kept)
        model.config.num_hidden_layers = len(kept)
    else:
        for i, layer in enumerate(model.model.layers):
            if f"layers.{i}.attn" in gone:
                layer.self_attn.o_proj.weight = torch.nn.Parameter(torch.zeros_like(layer.self_attn.o_proj.weight))
            if f"layers.{i}.mlp" in gone:
                layer.mlp.down_proj.weight = torch.nn.Parameter(torch.zeros_like(layer.mlp.down_proj.weight))
    found = []
    for ids in passages.ids:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].double()
        found.append(functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="sum").item())
    return np.array(found)


@pytest.mark.parametrize("grain", GRAINS)
@pytest.mark.parametrize("batch_size", [None, 1, 3])
def test_the_evaluator_agrees_with_each_pattern_run_alone(loaded, passages, grain, batch_size):
    space = pattern_space(loaded.checkpoint, grain)
    budget = Budget(space, 0.3)
    asked = [space.dense, *(budget.draw(np.random.default_rng(seed)) for seed in range(2))]
    evaluator = Evaluator(loaded, space, 256, batch_size)
    for pattern, table in zip(asked, evaluator.losses(asked, passages), strict=True):
        expected = plain(loaded, space, pattern, passages)
        assert (np.abs(table.loss - expected) / passages.scored).max() < 1e-5
        assert list(table.tokens) == [len(ids) - 1 for ids in passages.ids]
        for group, mean in table.by_group.items():
            mine = [i for i, name in enumerate(passages.groups) if name == group]
            assert mean == pytest.approx(expected[mine].sum() / passages.scored[mine].sum(), abs=1e-5)


def test_removing_something_changes_the_loss(loaded, passages):
    """The law would hold for a mask that does nothing; this one does something."""
    space = pattern_space(loaded.checkpoint, "subblock")
    evaluator = Evaluator(loaded, space, 256)
    dense, cut = evaluator.losses([space.dense, space.pattern(["layers.0.mlp"])], passages)
    assert min(cut.by_group[group] - dense.by_group[group] for group in dense.by_group) > 1.0

"""Short training before a measurement: nearer to the dense model, the same every time, nothing left behind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import TINY, logits, random_ids, ranking, removing

from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.model.loaded import load_model
from evop.recovery.text import LearningText
from evop.recovery.tuning import Tuning
from evop.removal.cut import Cut, Weight
from evop.removal.masking import masked
from evop.removal.space import pattern_space
from evop.tokens.passages import TokenPassages
from patterns import Budget


def text_of(count, length=40):
    ids = tuple(tuple(row) for row in random_ids(count, length, seed=1).tolist())
    return LearningText(TokenPassages(ids, ("a/0",) * count, tuple(map(str, range(count))), (False,) * count))


def divergence(model, cut, ids):
    """Mean KL from the dense model."""
    wanted = logits(model, ids).log_softmax(-1)
    with masked(model, family_of(model.config.model_type), cut):
        own = logits(model, ids).log_softmax(-1)
    return float((wanted.exp() * (wanted - own)).sum(-1).mean())


@pytest.mark.parametrize("name", TINY)
def test_every_family_comes_nearer_and_the_dense_model_stays(tiny_folder, name):
    loaded = load_model(Checkpoint.find(tiny_folder(name)), "cpu", "float32")
    space, pattern = removing(tiny_folder(name), "layers.1", grain="layer")
    model, ids, cut = loaded.model, random_ids(6, 40, seed=1), ranking(space).cut_of(space, pattern)
    before, state = logits(model, ids), {key: value.clone() for key, value in model.state_dict().items()}
    tuned = Tuning(loaded, text_of(6), 0).tuned(cut, 1.0)
    assert tuned.weights.keys() == {(kind, layer) for kind in ("attn", "mlp") for layer in (0, 2, 3)}
    assert divergence(model, tuned, ids) < divergence(model, cut, ids)
    assert torch.equal(logits(model, ids), before)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_more_of_the_text_for_a_larger_share_and_thinned_blocks_keep_their_widths(tiny_folder):
    folder = tiny_folder("llama")
    loaded = load_model(Checkpoint.find(folder), "cpu", "float32")
    space = pattern_space(Checkpoint.find(folder), "mixed")
    cut = ranking(space).cut_of(space, Budget(space, 0.3).draw(np.random.default_rng(1)))
    tuning = Tuning(loaded, text_of(40), 0)
    assert [tuning.tokens(share) for share in (1 / 20, 1 / 4, 1 / 2, 1.0)] == [39 * count for count in (2, 10, 20, 40)]
    tuned = tuning.tuned(cut, 1 / 20)
    for (kind, layer), units in cut.kept.items():
        assert tuned.weights[kind, layer].values.shape == (32, len(units) * (16 if kind == "attn" else 1))
    assert tuned.gone == cut.gone
    again = Tuning(loaded, text_of(40), 0).tuned(cut, 1 / 20)
    assert all(torch.equal(again.weights[place].values, new.values) for place, new in tuned.weights.items())
    other = tuning.tuned(cut, 1 / 4)
    assert any(not torch.equal(other.weights[place].values, new.values) for place, new in tuned.weights.items())


def test_weights_that_a_cut_brings_are_begun_from_and_stay_as_they_are(tiny_folder):
    loaded = load_model(Checkpoint.find(tiny_folder("llama")), "cpu", "float32")
    brought = Weight(torch.randn(32, 48, generator=torch.Generator().manual_seed(0)))
    cut = Cut(gone=frozenset({("attn", 1)}), weights={("mlp", 2): brought})
    before = brought.values.clone()
    new = Tuning(loaded, text_of(2), 0).tuned(cut, 1.0).weights["mlp", 2].values
    assert torch.equal(brought.values, before)
    assert 0 < float((new - before).abs().max()) < 0.1


def test_training_ends_where_a_loss_is_no_number(tiny_folder):
    loaded = load_model(Checkpoint.find(tiny_folder("llama")), "cpu", "float32")
    own = {("mlp", layer): loaded.model.model.layers[layer].mlp.down_proj.weight for layer in range(4)}
    loaded.model.get_output_embeddings().weight.data[3] = torch.nan
    tuned = Tuning(loaded, text_of(2), 0).tuned(Cut(gone=frozenset({("attn", 1)})), 1.0)
    assert all(torch.equal(tuned.weights[place].values, weight) for place, weight in own.items())

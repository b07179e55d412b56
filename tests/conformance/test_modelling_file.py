"""The modelling file inside a checkpoint, beside a transformers that learns to build such layers itself."""

from __future__ import annotations

import pytest
import torch
from layers_by_config import layers_by_config
from runtimes import BLOCKS, CHANNELS, HEADS, KINDS
from tiny import TINY, load, logits, random_ids
from tolerance import within

import evop.hf  # noqa: F401
from evop.errors import EvopError
from evop.export.parity import TOLERANCE, compare
from evop.stages.prune import prune


@pytest.fixture
def checkpoint(tiny_folder, tmp_path):
    """Makes a checkpoint of a kind of pattern of a tiny model."""

    def make(name, kind):
        try:
            pattern = KINDS[kind](tiny_folder(name), tmp_path)
        except EvopError as error:
            pytest.skip(str(error))
        done = prune(tiny_folder(name), pattern, tmp_path / "out", parity=False)
        assert done.kind == "hetero"
        return done.folder

    return make


@pytest.mark.parametrize("kind", [BLOCKS, CHANNELS, HEADS])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_layers_are_shrunk_once(name, kind, checkpoint):
    """Under a transformers that has the change, too."""
    folder, ids = checkpoint(name, kind), random_ids()
    model = load(folder)
    with layers_by_config(model._layer_cls, model._skip_descriptors) as made:
        again = load(folder)
    assert not made
    assert torch.equal(logits(again, ids), logits(model, ids))
    assert again.config.to_dict() == model.config.to_dict()


@pytest.mark.parametrize("kind", [BLOCKS, CHANNELS, HEADS])
@pytest.mark.parametrize("name", TINY)
def test_its_two_attributes_are_enough(name, kind, checkpoint):
    """So that the file can go once the change is there: the stock class and they compute the same."""
    model, ids = load(checkpoint(name, kind)), random_ids()
    if kind == HEADS and getattr(model.config, "head_dim", None) is None:
        pytest.skip("this architecture takes the width of a head from the number of heads")
    stock = type(model).__mro__[1]
    with layers_by_config(model._layer_cls, model._skip_descriptors) as made:
        bare = stock(model.config).eval()
    assert made == list(range(model.config.num_hidden_layers))
    bare.load_state_dict(model.state_dict())
    _, ratio, _ = compare(logits(model, ids), logits(bare, ids))
    assert ratio <= within(TOLERANCE)

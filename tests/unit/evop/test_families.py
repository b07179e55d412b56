"""What the families say of their models, against the models."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import TINY, load, logits, random_ids, removing, write_pattern

import evop.hf  # noqa: F401
from evop.checkpoint import Checkpoint
from evop.errors import EvopError
from evop.export.parity import TOLERANCE, compare
from evop.families import family_of
from evop.families.parts import pattern_space
from evop.masking import masked
from evop.stages.prune import prune

OLD = {
    "gpt2": {"{}.attn.bias": (1, 1, 256, 256), "{}.attn.masked_bias": ()},
    "gpt_neox": {"{}.attention.bias": (1, 1, 256, 256), "{}.attention.masked_bias": ()},
    "llama": {"{}.self_attn.rotary_emb.inv_freq": (4,)},
}
"""Buffers in older checkpoints: name inside a layer and shape."""


@pytest.mark.parametrize("name", TINY)
def test_parameters_are_those_of_the_model(name, tiny_folder):
    """Tied and shared tensors count once; every tensor of a layer belongs to one of its blocks."""
    checkpoint, model = Checkpoint.find(tiny_folder(name)), load(tiny_folder(name))
    layers = family_of(checkpoint.model_type).layer_list(model)
    space = pattern_space(checkpoint, "subblock")
    assert space.model.params == checkpoint.parameters == model.num_parameters()
    assert space.blocks.params == sum(parameter.numel() for parameter in layers.parameters())
    assert len(space.parts) == 2 * len(layers)


@pytest.mark.parametrize(
    ("name", "head"), [("llama", "lm_head"), ("gpt2", "lm_head"), ("gpt_neox_sequential", "embed_out")]
)
def test_a_tied_head_that_is_stored_counts_once(name, head, tiny_folder, tmp_path):
    shutil.copytree(tiny_folder(name), tmp_path / "model")
    tensors = load_file(tmp_path / "model/model.safetensors")
    (table,) = (
        tensor
        for key, tensor in tensors.items()
        if key.endswith(("embed_tokens.weight", "wte.weight", "embed_in.weight"))
    )
    save_file(
        {**tensors, f"{head}.weight": table.clone()}, tmp_path / "model/model.safetensors", metadata={"format": "pt"}
    )
    assert Checkpoint.find(tmp_path / "model").parameters == load(tmp_path / "model").num_parameters()


@pytest.mark.parametrize("name", OLD)
@pytest.mark.parametrize("bare", [False, True], ids=["whole", "bare"])
def test_checkpoints_of_the_hub_with_buffers_and_without_the_prefix(name, bare, tiny_folder, tmp_path):
    """As ``gpt2`` lies on the hub: the base model alone, causal masks stored beside the weights."""
    family, ids = family_of(TINY[name][0]), random_ids()
    if bare and name == "gpt_neox":
        pytest.skip("its head is not tied: a base model alone has none")
    shutil.copytree(tiny_folder(name), tmp_path / "old")
    prefix = f"{family.layers.partition('.')[0]}." if bare else ""
    tensors = {
        key.removeprefix(prefix): tensor for key, tensor in load_file(tmp_path / "old/model.safetensors").items()
    }
    for layer in range(4):
        inside = f"{family.layers.removeprefix(prefix)}.{layer}"
        tensors |= {key.format(inside): torch.ones(shape) for key, shape in OLD[name].items()}
    save_file(tensors, tmp_path / "old" / "model.safetensors", metadata={"format": "pt"})

    space, pattern = removing(tmp_path / "old", "layers.1.mlp", "layers.2.attn", "layers.3.mlp")
    usual, _ = removing(tiny_folder(name))
    assert [part.removed for part in space.parts] == [part.removed for part in usual.parts]
    assert space.model == usual.model
    file = write_pattern(tmp_path / "p.json", space, pattern, tmp_path / "old")
    written = prune(tmp_path / "old", file, tmp_path / "new", parity=False)
    assert not any("masked_bias" in key or "inv_freq" in key for key in load_file(tmp_path / "new/model.safetensors"))
    with masked(load(tmp_path / "old"), family, space, pattern) as dense:
        assert compare(logits(dense, ids), logits(load(written.folder), ids))[1] <= TOLERANCE
    assert written.parameters[0] - written.parameters[1] == space.removed(pattern).params


def test_the_number_of_layers_is_written_under_the_key_of_the_config(tiny_folder, tmp_path):
    file = write_pattern(
        tmp_path / "p.json", *removing(tiny_folder("gpt2"), "layers.1.mlp", "layers.2.attn"), tiny_folder("gpt2")
    )
    config = Checkpoint.find(prune(tiny_folder("gpt2"), file, tmp_path / "out", parity=False).folder).config
    assert config["n_layer"] == 3
    assert "num_hidden_layers" not in config


def test_parallel_residuals_lose_whole_layers_alone_under_stock(tiny_folder):
    checkpoint = Checkpoint.find(tiny_folder("gpt_neox"))
    with pytest.raises(EvopError, match="--grain subblock under --deploy stock: attention and MLP of a layer read"):
        pattern_space(checkpoint, "subblock", "stock")
    for grain, deploy in (("subblock", "any"), ("layer", "any"), ("layer", "stock")):
        assert pattern_space(checkpoint, grain, deploy)
    assert pattern_space(Checkpoint.find(tiny_folder("gpt_neox_sequential")), "subblock", "stock")

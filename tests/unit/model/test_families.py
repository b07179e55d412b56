"""What the families say of their models, against the models."""

from __future__ import annotations

import itertools
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import TINY, load, logits, random_ids, ranking, removing, write_pattern
from tolerance import beyond, within

import evop.hf  # noqa: F401
from evop.errors import EvopError
from evop.export.parity import TOLERANCE, compare
from evop.export.plan import NewLayer, planned
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.model.families.family import GRAINS
from evop.removal.masking import masked
from evop.removal.ranking import Ranking
from evop.removal.space import pattern_space
from evop.stages.prune import prune
from patterns import Pattern
from patterns.deploys import DEPLOYS

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
    with masked(load(tmp_path / "old"), family, Ranking().cut_of(space, pattern)) as dense:
        assert compare(logits(dense, ids), logits(load(written.folder), ids))[1] <= within(TOLERANCE)
    assert written.parameters[0] - written.parameters[1] == space.removed(pattern).params

    thin = pattern_space(Checkpoint.find(tmp_path / "old"), "mixed")
    some = Pattern(tuple(1 for _ in thin.parts))
    written = prune(
        tmp_path / "old",
        write_pattern(tmp_path / "p.json", thin, some, tmp_path / "old"),
        tmp_path / "thin",
        parity=False,
    )
    with masked(load(tmp_path / "old"), family, ranking(thin).cut_of(thin, some)) as dense:
        assert compare(logits(dense, ids), logits(load(written.folder), ids))[1] <= within(TOLERANCE)


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
    for grain, deploy in (("subblock", "any"), ("subblock", "balanced"), ("layer", "any"), ("layer", "stock")):
        assert pattern_space(checkpoint, grain, deploy)
    assert pattern_space(Checkpoint.find(tiny_folder("gpt_neox_sequential")), "subblock", "stock")


def test_parallel_blocks_of_different_layers_are_not_packed(tiny_folder):
    """The MLP would read the layer's input instead of what the attention adds to it."""
    plans = {}
    for name in ("gpt_neox", "gpt_neox_sequential"):
        checkpoint, family = Checkpoint.find(tiny_folder(name)), family_of("gpt_neox")
        packed, whole = (
            planned(checkpoint, family, Ranking().cut_of(space, pattern))
            for parts in (("layers.0.mlp", "layers.1.attn"), ("layers.1.attn", "layers.1.mlp"))
            for space, pattern in [removing(tiny_folder(name), *parts)]
        )
        assert (whole.format, whole.layers) == ("stock", (NewLayer(0, 0), NewLayer(2, 2), NewLayer(3, 3)))
        plans[name] = packed
    assert plans["gpt_neox_sequential"].format == "stock"
    assert plans["gpt_neox"].format == "hetero"
    assert plans["gpt_neox"].layers == (NewLayer(0, None), NewLayer(None, 1), NewLayer(2, 2), NewLayer(3, 3))


NOBODY = {(grain, "balanced") for grain in ("head", "channel", "mixed")}
HEADS_OF_STOCK = {*NOBODY, ("head", "stock"), ("mixed", "stock")}
REFUSED = {
    **dict.fromkeys(("gpt2", "gpt_neox_sequential", "opt", "opt_post_norm", "phi3", "qwen2"), HEADS_OF_STOCK),
    "gpt_neox": {*HEADS_OF_STOCK, ("subblock", "stock")},
    "olmo2": NOBODY | {(grain, deploy) for grain in ("head", "mixed") for deploy in DEPLOYS},
    "bitnet": {(grain, deploy) for grain in ("head", "channel", "mixed") for deploy in DEPLOYS},
    **dict.fromkeys(("llama", "mistral", "qwen3", "gemma2", "gemma3_text"), NOBODY),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_family_cannot_hold(name, tiny_folder):
    config, family = Checkpoint.find(tiny_folder(name)).resolved, family_of(TINY[name][0])
    cells = itertools.product(GRAINS, DEPLOYS)
    assert {cell for cell in cells if family.refusal(config, *cell)} == REFUSED[name]


@pytest.mark.parametrize(
    ("name", "key", "refused"),
    [
        ("gpt2", "scale_attn_by_inverse_layer_idx", ("layer", "subblock", "mixed")),
        ("gpt2", "add_cross_attention", GRAINS),
        ("gemma2", "use_bidirectional_attention", GRAINS),
    ],
)
def test_configs_that_cannot_be_held(name, key, refused, tiny_folder, tmp_path):
    shutil.copytree(tiny_folder(name), tmp_path / "model")
    path = tmp_path / "model/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: True}))
    checkpoint, family = Checkpoint.find(tmp_path / "model"), family_of(TINY[name][0])
    for grain in GRAINS:
        reason = family.refusal(checkpoint.resolved, grain, "any")
        assert (reason is not None and key in reason) == (grain in refused), grain
    with pytest.raises(EvopError, match=key):
        pattern_space(checkpoint, "layer")


def test_dividing_by_the_number_of_the_layer_is_rightly_refused(tiny_folder):
    """Without its first layer, the model divides otherwise: what was measured is not what would be written."""
    model, ids = load(tiny_folder("gpt2")), random_ids()
    model.config.scale_attn_by_inverse_layer_idx = True
    block = model.transformer.h[1]
    deeper, first = (type(block.attn)(model.config, layer_idx=i).eval() for i in (1, 0))
    for attention in (deeper, first):
        attention.load_state_dict(block.attn.state_dict())
    hidden = block.ln_1(model.transformer.wte(ids))
    with torch.inference_mode():
        assert compare(deeper(hidden)[0], first(hidden)[0])[1] > beyond(100 * TOLERANCE)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_local_experts": 8},
        {"n_routed_experts": 64},
        {"moe_intermediate_size": 128},
        {"model_type": "qwen3_moe"},
        {"model_type": "mixtral"},
    ],
    ids=str,
)
def test_mixtures_of_experts_are_refused_before_anything_is_loaded(changes, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", **changes}))
    with pytest.raises(EvopError, match=r"is a mixture of experts \(\w+\); evop prunes dense models"):
        Checkpoint.find(tmp_path)


@pytest.mark.parametrize("changes", [{"num_experts": 0}, {"num_local_experts": 1}, {"n_routed_experts": None}], ids=str)
def test_one_expert_is_none(changes, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", **changes}))
    assert Checkpoint.find(tmp_path)


def test_gemma_3_with_eyes_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gemma3", "text_config": {}, "vision_config": {}}))
    with pytest.raises(EvopError, match="is a multimodal wrapper"):
        Checkpoint.find(tmp_path)

"""What mergekit's YAML, DeciLM and GGUF files say: layers, commits, widths, names of tensors."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml
from safetensors.torch import load_file, save_file
from tiny import removing, write_pattern
from transformers import AutoConfig

from evop.export.configuration_decilm import DeciLMConfig
from evop.export.mergekit import mergekit_yaml
from evop.model.checkpoint import Checkpoint
from evop.model.weight_files import WEIGHTS
from evop.removal.opened import open_pattern
from evop.stages.export import export

gguf = pytest.importorskip("gguf", reason="gguf is not installed: pip install 'evop[gguf]'")


@pytest.fixture
def model(tiny_folder):
    return tiny_folder("llama")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def layer(model, tmp_path):
    """A pattern without one whole layer."""
    return write_pattern(tmp_path / "layer.json", *removing(model, "layers.1", grain="layer"), model)


def test_mergekit_is_told_which_layers_stay(model, out, layer):
    export(model, out, layer, format="mergekit")
    told = yaml.safe_load(out.read_text())
    assert [one["sources"][0]["layer_range"] for one in told["slices"]] == [[0, 1], [2, 4]]
    assert told["merge_method"] == "passthrough"


def test_mergekit_is_told_the_commit_of_a_hub_model(model, layer):
    dense, opened = Checkpoint.find(model), open_pattern(layer, Checkpoint.find(model))
    told = yaml.safe_load(mergekit_yaml(Checkpoint(dense.folder, "maker/model", "abc123"), opened.cut))
    assert [one["sources"][0]["model"] for one in told["slices"]] == ["maker/model@abc123"] * 2


def test_mergekit_is_told_a_folder_whose_name_has_its_signs(model, layer):
    dense, opened = Checkpoint.find(model), open_pattern(layer, Checkpoint.find(model))
    told = yaml.safe_load(mergekit_yaml(Checkpoint(dense.folder, "runs/c++@home"), opened.cut))
    assert told["slices"][0]["sources"][0]["model"] == {"model": {"path": "runs/c++@home"}}


@pytest.mark.parametrize("way", ["gguf", "decilm"])
def test_files_of_a_base_model_are_written_by_their_whole_names(way, model, tmp_path):
    """The hub's base models leave out what they are called inside the causal model, which readers look for."""
    base = tmp_path / "base"
    shutil.copytree(model, base)
    tensors = {name.removeprefix("model."): tensor for name, tensor in load_file(model / WEIGHTS).items()}
    save_file(tensors, base / WEIGHTS, metadata={"format": "pt"})
    for name, folder in (("found", base), ("wanted", model)):
        space = removing(folder, "layers.1.mlp", "layers.2.attn")
        there = write_pattern(tmp_path / f"{name}.json", *space, folder)
        export(folder, tmp_path / name, there, format=way, check=False)
    assert names_in(tmp_path / "found") == names_in(tmp_path / "wanted")


def names_in(place):
    """Names of the tensors of a file or folder."""
    if place.is_dir():
        return set(load_file(place / WEIGHTS))
    return {tensor.name for tensor in gguf.GGUFReader(place).tensors}


def test_decilm_says_what_each_layer_holds(model, out, tmp_path):
    """Its config is read by the class that goes along, and every reader's formula gives the width of the tensors."""
    uneven = write_pattern(tmp_path / "uneven.json", *removing(model, "layers.2.mlp", "layers.1.attn"), model)
    export(model, out, uneven, format="decilm")
    config = DeciLMConfig.from_pretrained(out)
    blocks, tensors = config.block_configs, Checkpoint.find(out).tensors
    assert [block.ffn.no_op for block in blocks] == [False, False, True, False]
    assert [block.attention.no_op for block in blocks] == [False, True, False, False]
    assert blocks[0].attention.n_heads_in_group == config.num_attention_heads // 2
    width = int(2 * blocks[0].ffn.ffn_mult * config.hidden_size / 3)
    assert -(-width // 256) * 256 == tensors["model.layers.0.mlp.up_proj.weight"].shape[0] == 256
    assert not [name for name in tensors if name.startswith(("model.layers.2.mlp", "model.layers.1.self_attn"))]
    assert (out / "configuration_decilm.py").is_file()
    json.dumps(config.to_dict())
    assert AutoConfig.from_pretrained(out, trust_remote_code=True).block_configs[2].ffn.no_op

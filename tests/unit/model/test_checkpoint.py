import json
import shutil

import pytest

from evop.errors import EvopError
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.reference import model_dir
from evop.removal.space import pattern_space


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(model_dir(), tmp_path / "model")


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


def test_parameters_and_shapes_come_from_the_headers():
    found = Checkpoint.find(model_dir())
    assert found.parameters == 5_509_824
    assert found.tensors["model.layers.0.mlp.up_proj.weight"].shape == (512, 192)
    assert found.tensors["model.layers.0.mlp.up_proj.weight"].dtype == "F16"


def test_the_reference_space_costs_what_its_tensors_hold():
    space = pattern_space(Checkpoint.find(model_dir()), "subblock")
    assert (space.blocks.params, space.model.params) == (4_723_200, 5_509_824)
    attn, mlp = space.parts[0].removed[1], space.parts[1].removed[1]
    assert (attn.params, mlp.params) == (98_496, 295_104)
    assert mlp.flops == 2 * 3 * 192 * 512
    assert attn.flops == 2 * (192 * 192 * 2 + 192 * 64 * 2) + 2 * 2048 * 192
    assert attn.kv == 2 * 2 * 32 * 2
    assert [part.name for part in space.parts[:3]] == ["layers.0.attn", "layers.0.mlp", "layers.1.attn"]


def test_default_protection_is_the_first_attention_under_stock_alone():
    checkpoint = Checkpoint.find(model_dir())
    assert pattern_space(checkpoint, "subblock", "stock").protected == {"layers.0.attn"}
    assert not pattern_space(checkpoint, "subblock", "any").protected
    assert not pattern_space(checkpoint, "layer", "stock").protected
    assert not pattern_space(checkpoint, "subblock", "stock", ()).protected


def test_the_fingerprint_tells_a_changed_weight_and_a_changed_config(copy):
    before = Checkpoint.find(copy).fingerprint
    assert before == Checkpoint.find(model_dir()).fingerprint
    weights = copy / "model.safetensors"
    weights.chmod(0o600)
    content = bytearray(weights.read_bytes())
    content[-1000] ^= 1
    weights.write_bytes(content)
    changed = Checkpoint.find(copy).fingerprint
    assert changed != before
    assert Checkpoint.find(edit(copy, rope_theta=500.0)).fingerprint != changed


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"quantization_config": {"quant_method": "gptq"}}, "is quantised \\(gptq\\)"),
        ({"text_config": {}}, "is a multimodal wrapper"),
        ({"vision_config": {}}, "is a multimodal wrapper"),
    ],
)
def test_what_cannot_be_pruned_is_refused(copy, changes, said):
    with pytest.raises(EvopError, match=said):
        Checkpoint.find(edit(copy, **changes))


def test_adapters_missing_files_and_broken_ones_are_refused(copy, tmp_path):
    with pytest.raises(EvopError, match="no such folder"):
        Checkpoint.find("./nowhere")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    with pytest.raises(EvopError, match="is an adapter"):
        Checkpoint.find(tmp_path / "adapter")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EvopError, match=r"config\.json is missing"):
        Checkpoint.find(tmp_path / "empty")
    (copy / "model.safetensors").unlink()
    with pytest.raises(EvopError, match="holds no weights"):
        _ = Checkpoint.find(copy).shards
    (copy / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(EvopError, match="pickled weights"):
        _ = Checkpoint.find(copy).shards
    (copy / "model.safetensors").write_bytes(b"not a safetensors file")
    with pytest.raises(EvopError, match="is not a whole safetensors file"):
        _ = Checkpoint.find(copy).tensors
    (copy / "config.json").write_text("{")
    with pytest.raises(EvopError, match="is not JSON"):
        Checkpoint.find(copy)


def test_unknown_architectures_and_grains_say_what_is_supported(copy):
    with pytest.raises(EvopError, match="'mamba' is not supported; supported are llama, mistral, qwen2, qwen3, gemma2"):
        family_of("mamba")
    with pytest.raises(EvopError, match="'evop_llama' is that of a checkpoint which evop pruned already; give"):
        family_of("evop_llama")
    with pytest.raises(EvopError, match="--grain half: unknown; choose one of layer, subblock"):
        pattern_space(Checkpoint.find(copy), "half")

"""config.json of pruned models."""

import json

import pytest
from tiny import WINDOW, build, removing

from evop.export.config import pruned_config
from evop.export.plan import planned
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.removal.modeling_evop import cache_slots
from evop.removal.ranking import Ranking

SLIDING, FULL = "sliding_attention", "full_attention"


def config(folder, *names):
    checkpoint = Checkpoint.find(folder)
    family, (space, pattern) = family_of(checkpoint.model_type), removing(folder, *names)
    return pruned_config(checkpoint, family, planned(checkpoint, family, Ranking().cut_of(space, pattern)))


def test_stock_changes_the_number_of_layers_alone(tiny_folder):
    before = Checkpoint.find(tiny_folder("llama")).config
    assert config(tiny_folder("llama"), "layers.1.mlp", "layers.2.attn") == {**before, "num_hidden_layers": 3}


@pytest.mark.parametrize("name", ["llama", "mistral"])
def test_layer_types_are_not_invented(name, tiny_folder):
    for names in (("layers.1.mlp", "layers.2.attn"), ("layers.0.attn",)):
        assert "layer_types" not in config(tiny_folder(name), *names)


def test_layer_types_follow_the_attention(tiny_folder):
    found = config(tiny_folder("qwen3_mixed"), "layers.0.mlp", "layers.1.attn")
    assert found["layer_types"] == [SLIDING, SLIDING, FULL]
    found = config(tiny_folder("qwen3_mixed"), "layers.0.attn", "layers.0.mlp")
    assert found["layer_types"] == [FULL, SLIDING, FULL]
    assert found["max_window_layers"] == 1


def test_window_layers_without_layer_types_are_made_explicit(tmp_path):
    folder = build("qwen2_sliding", tmp_path / "model")
    written = json.loads((folder / "config.json").read_text())
    del written["layer_types"]
    (folder / "config.json").write_text(json.dumps(written))
    found = config(folder, "layers.0.mlp", "layers.1.attn")
    assert found["layer_types"] == [FULL, SLIDING, SLIDING]
    assert found["max_window_layers"] == 1
    assert found["sliding_window"] == WINDOW


def test_hetero_names_itself_and_what_is_skipped(tiny_folder):
    found = config(tiny_folder("qwen3"), "layers.0.attn", "layers.1.attn", "layers.1.mlp", "layers.3.mlp")
    assert found["model_type"] == "evop_qwen3"
    assert found["architectures"] == ["EvopQwen3ForCausalLM"]
    assert found["auto_map"]["AutoModelForCausalLM"] == "modeling_evop.EvopQwen3ForCausalLM"
    assert found["num_hidden_layers"] == 3
    assert found["per_layer_config"] == {"0": {"skip": ["attention"]}, "2": {"skip": ["mlp"]}}


@pytest.mark.parametrize(
    ("names", "types", "slots"),
    [
        (("layers.0.attn",), [FULL, FULL, SLIDING, FULL], [0, 2, 1]),
        (("layers.3.attn",), [SLIDING, FULL, SLIDING, SLIDING], [0, 1, 2]),
        (("layers.0.attn", "layers.2.attn"), [FULL, FULL, FULL, FULL], [0, 1]),
        (("layers.1.attn", "layers.3.attn"), [SLIDING, SLIDING, SLIDING, SLIDING], [0, 1]),
        (tuple(f"layers.{i}.attn" for i in range(4)), [SLIDING, FULL, SLIDING, FULL], []),
    ],
)
def test_first_slot_and_first_of_each_type_are_in_use(names, types, slots, tiny_folder):
    """transformers reads the length of the sequence there."""
    folder = tiny_folder("qwen3_mixed")
    found = config(folder, *names)
    assert found["layer_types"] == types
    attentions = [i for i in range(4) if f"layers.{i}.attn" not in names]
    config_object = type("Config", (), found)
    assert cache_slots(config_object, attentions) == slots
    if attentions:
        assert {0, *(types.index(kind) for kind in set(types))} <= set(slots)
        dense = Checkpoint.find(folder).config["layer_types"]
        assert [types[slot] for slot in slots] == [dense[layer] for layer in attentions]

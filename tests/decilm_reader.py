"""A DeciLM folder read as vLLM's source reads it, on the layers of transformers' Llama; none that serves it is here."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import LlamaForCausalLM, PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from evop.export.configuration_decilm import DeciLMConfig
from evop.removal.modeling_evop import Absent

STEP = 256


def read_decilm(folder: Path) -> PreTrainedModel:
    """The model that the folder describes, fp32; every tensor has its place, and every place its tensor."""
    config = DeciLMConfig.from_pretrained(folder)
    model = LlamaForCausalLM(config)
    model.model.layers = nn.ModuleList(_layer(config, i) for i in range(config.num_hidden_layers))
    tensors = {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}
    found = model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=False)
    assert not found.unexpected_keys
    assert set(found.missing_keys) <= ({"lm_head.weight"} if config.tie_word_embeddings else set())
    model.tie_weights()
    return model.eval().requires_grad_(False)


def _layer(config: DeciLMConfig, number: int) -> nn.Module:
    block, own = config.block_configs[number], copy.deepcopy(config)
    if not block.ffn.no_op:
        own.intermediate_size = -(-int(2 * block.ffn.ffn_mult * config.hidden_size / 3) // STEP) * STEP
    if not block.attention.no_op:
        own.num_key_value_heads = config.num_attention_heads // block.attention.n_heads_in_group
    layer = LlamaDecoderLayer(own, number)
    if block.attention.no_op:
        layer.self_attn, layer.input_layernorm = Absent(2), nn.Identity()
    if block.ffn.no_op:
        layer.mlp, layer.post_attention_layernorm = Absent(1), nn.Identity()
    return layer


def same_as(model: PreTrainedModel, wanted: torch.Tensor, ids: torch.Tensor) -> float:
    """The largest difference of two logits, in standard deviations of those wanted."""
    with torch.inference_mode():
        found = model(input_ids=ids, use_cache=False).logits
    return ((found - wanted).abs().max() / wanted.std()).item()

"""Sites, passages and items of tiny models."""

from __future__ import annotations

import numpy as np
import torch
from transformers import AutoModelForCausalLM, GPT2Config, PreTrainedModel

from evop.importance.site import Site
from evop.tokens.items import TokenItem
from evop.tokens.passages import TokenPassages


def llama_sites(model: PreTrainedModel) -> list[Site]:
    """Channels of every MLP, key/value groups of every attention."""
    heads, sites = model.config.num_key_value_heads, []
    for i, layer in enumerate(model.model.layers):
        attn, mlp = layer.self_attn, layer.mlp
        rows = [module.weight.reshape(heads, -1) for module in (attn.q_proj, attn.k_proj, attn.v_proj)]
        sites.append(Site(f"layers.{i}.attn", attn.o_proj, heads, (*rows, attn.o_proj.weight.T.reshape(heads, -1))))
        channels = (mlp.gate_proj.weight, mlp.up_proj.weight, mlp.down_proj.weight.T)
        sites.append(Site(f"layers.{i}.mlp", mlp.down_proj, len(channels[0]), channels))
    return sites


def gpt2() -> PreTrainedModel:
    """A tiny GPT-2: its projections keep their weights as [in, out]."""
    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=256, n_positions=64, n_embd=16, n_layer=2, n_head=4, initializer_range=0.3)
    model = AutoModelForCausalLM.from_config(config)
    torch.random.set_rng_state(state)
    return model.eval().requires_grad_(False)


def gpt2_sites(model: PreTrainedModel) -> list[Site]:
    """Channels of every MLP, heads of every attention."""
    sites = []
    for i, block in enumerate(model.transformer.h):
        heads, width = model.config.n_head, model.config.n_embd
        qkv = [part.T.reshape(heads, -1) for part in block.attn.c_attn.weight.split(width, dim=1)]
        sites.append(
            Site(f"layers.{i}.attn", block.attn.c_proj, heads, (*qkv, block.attn.c_proj.weight.view(heads, -1)))
        )
        sites.append(
            Site(f"layers.{i}.mlp", block.mlp.c_proj, 4 * width, (block.mlp.c_fc.weight.T, block.mlp.c_proj.weight))
        )
    return sites


def token_passages(lengths: dict[str, list[int]], vocabulary: int = 256, seed: int = 0) -> TokenPassages:
    """Random tokens: group -> the length of each of its passages; groups take turns, like a mixed set."""
    rng, rows = np.random.default_rng(seed), []
    for turn in range(max(map(len, lengths.values()))):
        for group, own in lengths.items():
            if turn < len(own):
                rows.append((tuple(rng.integers(1, vocabulary, own[turn]).tolist()), group))
    n = len(rows)
    return TokenPassages(
        tuple(ids for ids, _ in rows), tuple(group for _, group in rows), tuple(map(str, range(n))), (False,) * n
    )


Lengths = dict[str, list[tuple[int, tuple[int, ...]]]]
"""Group -> of each item the length of its query, and of its choices."""


def token_items(lengths: Lengths, vocabulary: int = 256, seed: int = 0) -> TokenPassages:
    """Items of random tokens."""
    rng, items, groups = np.random.default_rng(seed), [], []
    for group, own in lengths.items():
        for query, choices in own:
            words = [tuple(rng.integers(1, vocabulary, n).tolist()) for n in (query, *choices)]
            items.append(TokenItem(words[0], tuple(words[1:]), int(rng.integers(len(choices))), choices, len(own)))
            groups.append(group)
    names = tuple(f"d{i}" for i in range(len(items)))
    return TokenPassages(tuple(item.ids for item in items), tuple(groups), names, (False,) * len(items), tuple(items))

"""Tiny random models, one or more of every architecture, saved as Hugging Face folders with a real tokenizer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from evop.model.checkpoint import Checkpoint
from evop.model.families import FAMILIES
from evop.reference import model_dir
from evop.removal.pattern_file import PatternFile
from evop.removal.ranking import Ranking
from evop.removal.space import pattern_space
from patterns import Pattern, PatternSpace

MODEL_TYPES = tuple(name for family in FAMILIES for name in family.model_types)
WINDOW = 16
"""Sliding window of those that have one; shorter than the sequences of the tests."""
SHAPE: dict[str, Any] = {
    "vocab_size": 4096,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
GEMMA: dict[str, Any] = {
    "head_dim": 16,
    "query_pre_attn_scalar": 16,
    "sliding_window": WINDOW,
    # Its norms after each block make up for small weights, and blow up the rounding of a block with few units left.
    "initializer_range": 0.15,
    "rms_norm_eps": 1e-3,
}
CALM: dict[str, Any] = {"initializer_range": 0.2}
"""For heads of 8 numbers: kernels add these up in another order when some leave, and larger scores blow that up."""
OPT: dict[str, Any] = {"ffn_dim": 48, "init_std": 0.3}
TINY: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {"tie_word_embeddings": True}),
    "llama_biased": ("llama", {**CALM, "attention_bias": True, "mlp_bias": True, "num_key_value_heads": 4}),
    "mistral": ("mistral", {"sliding_window": WINDOW, "head_dim": 16}),
    "qwen2": ("qwen2", {**CALM, "use_sliding_window": False}),
    "qwen2_sliding": ("qwen2", {**CALM, "use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 2}),
    "qwen3": ("qwen3", {"head_dim": 16, "tie_word_embeddings": True}),
    "qwen3_mixed": (
        "qwen3",
        {
            "head_dim": 16,
            "use_sliding_window": True,
            "sliding_window": WINDOW,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
        },
    ),
    "gemma2": ("gemma2", {**GEMMA, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 30.0}),
    "gemma3_text": (
        "gemma3_text",
        {**GEMMA, "attention_bias": True, "layer_types": ["sliding_attention"] * 3 + ["full_attention"]},
    ),
    "phi3": (
        "phi3",
        {**CALM, "rope_parameters": {"rope_theta": 1e4, "rope_type": "default", "partial_rotary_factor": 0.5}},
    ),
    "phi3_sliding": ("phi3", {"sliding_window": WINDOW, "num_key_value_heads": 4}),
    "olmo2": ("olmo2", {}),
    "bitnet": ("bitnet", {"tie_word_embeddings": True}),
    "gpt2": ("gpt2", {}),
    "gpt2_wide": ("gpt2", {"n_inner": 48, "reorder_and_upcast_attn": True, "scale_attn_weights": False}),
    "gpt_neox": ("gpt_neox", {"use_parallel_residual": True}),
    "gpt_neox_sequential": ("gpt_neox", {"use_parallel_residual": False, "tie_word_embeddings": True}),
    "opt": ("opt", OPT),
    "opt_unbiased": ("opt", {**OPT, "enable_bias": False, "layer_norm_elementwise_affine": False}),
    "opt_post_norm": ("opt", {**OPT, "do_layer_norm_before": False, "word_embed_proj_dim": 16}),
}
"""Name -> architecture and what differs from ``SHAPE``. A new architecture needs one line here."""


def build(name: str, folder: Path, **saving: Any) -> Path:
    """Make a tiny model and save it.

    Weights are large and norms differ from one, so that every block matters to the logits.
    """
    model_type, differs = TINY[name]
    torch_state = torch.random.get_rng_state()
    torch.manual_seed(sum(name.encode()))
    known = AutoConfig.for_model(model_type)
    shape = {key: value for key, value in SHAPE.items() if hasattr(known, key)}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **{**shape, **differs}))
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.endswith("bias"):
                parameter.normal_(0, 0.3)
            elif "norm" in key or "ln_" in key:
                parameter.uniform_(0.5, 1.5)
    torch.random.set_rng_state(torch_state)
    model.to(saving.pop("dtype", torch.float32)).save_pretrained(folder, **saving)
    for tokenizer in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(model_dir() / tokenizer, folder / tokenizer)
    return folder


def load(folder: Path) -> PreTrainedModel:
    """A model in fp32 on the CPU, ready to compare."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().requires_grad_(False)


def write_pattern(path: Path, space: PatternSpace, pattern: Pattern, model: Path) -> Path:
    """The pattern file of a pattern, units in the order of ``ranking``."""
    checkpoint = Checkpoint.find(model)
    cut = ranking(space).cut_of(space, pattern)
    PatternFile.describe(checkpoint, space, pattern, cut, remove=0.1, cost="params").write(path)
    return path


def ranking(space: PatternSpace) -> Ranking:
    """Units of every part in an order that is no row of numbers."""
    return Ranking.random(space, seed=3)


def removing(model: Path, *parts: str, grain: str = "subblock", deploy: str = "any") -> tuple[PatternSpace, Pattern]:
    """The space of a model and the pattern that removes some parts."""
    space = pattern_space(Checkpoint.find(model), grain, deploy, protect=())
    return space, space.pattern(parts)


def logits(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """Logits without a cache, [batch, length, vocabulary]."""
    with torch.inference_mode():
        return model(input_ids=ids, use_cache=False).logits


def random_ids(batch: int = 2, length: int = 3 * WINDOW, seed: int = 0) -> torch.Tensor:
    """Random tokens, int64 [batch, length]; longer than the sliding window."""
    return torch.randint(1, SHAPE["vocab_size"], (batch, length), generator=torch.Generator().manual_seed(seed))

"""What llama.cpp calls each architecture and its tensors, and which of its architectures can have uneven layers.

Two read one number a layer for widths and heads: ``deci``, a Llama, and ``openelm``, which normalises queries and keys.

Source: llama.cpp, ``src/llama-arch.cpp``, ``src/models/deci.cpp`` and ``src/models/openelm.cpp``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evop.errors import EvopError
from evop.export.source import Source

OUTSIDE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
"""Modules outside the layers -> their names in GGUF."""
LLAMA = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""Modules of a layer -> their names in GGUF."""
NORMED = {"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"}
AFTER = {"post_attention_layernorm": "post_attention_norm", "post_feedforward_layernorm": "post_ffw_norm"}
SANDWICH = {**LLAMA, **AFTER, "pre_feedforward_layernorm": "ffn_norm"}


@dataclass(frozen=True)
class Architecture:
    """One architecture of llama.cpp.

    Attributes:
        name: what ``general.architecture`` says.
        inside: modules of a layer -> their names in GGUF.
        rotated: whether the rows of queries and keys lie in pairs, as ``deci`` and ``llama`` turn them.
        uneven: name of the architecture for layers that differ; None where llama.cpp has none.
        windowed: whether llama.cpp knows of sliding windows here.
        one_more: whether norms are stored less one.
    """

    name: str
    inside: Mapping[str, str] = field(default_factory=lambda: LLAMA)
    rotated: bool = False
    uneven: str | None = None
    windowed: bool = False
    one_more: bool = False


ARCHITECTURES: dict[str, Architecture] = {
    "llama": Architecture("llama", rotated=True, uneven="deci"),
    "mistral": Architecture("llama", rotated=True, uneven="deci"),
    "qwen2": Architecture("qwen2", uneven="deci"),
    "qwen3": Architecture("qwen3", {**LLAMA, **NORMED}, uneven="openelm"),
    "gemma2": Architecture("gemma2", SANDWICH, windowed=True, one_more=True),
    "olmo2": Architecture("olmo2", {**LLAMA, **NORMED, **AFTER}),
}
"""``model_type`` -> the architecture of llama.cpp that computes it."""
UNEVEN = {"deci": Architecture("deci", rotated=True), "openelm": Architecture("openelm", {**LLAMA, **NORMED})}


def architecture_of(source: Source) -> Architecture:
    """Find the architecture of llama.cpp that computes a pruned model.

    Raises:
        EvopError: there is none, with the reason.
    """
    stock = ARCHITECTURES.get(source.base_type)
    if stock is None:
        known = ", ".join(ARCHITECTURES)
        raise EvopError(f"--format gguf: {source.base_type} cannot be written yet; {known} can")
    if source.uniform and not _added_bias(source):
        return stock
    if stock.uneven is None:
        raise EvopError(
            f"--format gguf: the pattern leaves layers that differ, and llama.cpp runs no such {source.base_type}; "
            "search with --deploy stock, or write --format hf, which runs in transformers"
        )
    if stock.uneven == "openelm" and (not source.tied or _added_bias(source) or _biases(source)):
        what = "no head of its own beside the embeddings" if not source.tied else "no biases"
        raise EvopError(
            f"--format gguf: layers that differ run as llama.cpp's openelm, which has {what}, as this "
            f"{source.base_type} needs; search with --deploy stock, or write --format hf"
        )
    return UNEVEN[stock.uneven]


def _added_bias(source: Source) -> bool:
    """Tell whether pruning gave last projections a bias that the architecture lacks."""
    return any("bias" in source.config.get("evop_parts", {}).get(kind, {}) for kind in ("attention", "mlp"))


def _biases(source: Source) -> bool:
    return any(name.startswith(source.stem) and name.endswith(".bias") for name in source.pieces)

"""What llama.cpp calls each architecture and its tensors, and which of its architectures can have uneven layers.

Two read one number a layer for widths and heads: ``deci``, a Llama, and ``openelm``, which normalises queries and keys.

Source: llama.cpp, ``src/llama-arch.cpp``, ``src/models/deci.cpp`` and ``src/models/openelm.cpp``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evop.errors import EvopError
from evop.export.source import Source, activation_of

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
        activation: what the MLPs compute in the middle; llama.cpp is not told.
        biased: whether projections may have biases.
        capped: config keys that must have a number, because llama.cpp takes one of its own where there is none.
    """

    name: str
    inside: Mapping[str, str] = field(default_factory=lambda: LLAMA)
    rotated: bool = False
    uneven: str | None = None
    windowed: bool = False
    one_more: bool = False
    activation: str = "silu"
    biased: bool = False
    capped: tuple[str, ...] = ()


ARCHITECTURES: dict[str, Architecture] = {
    "llama": Architecture("llama", rotated=True, uneven="deci", biased=True),
    "mistral": Architecture("llama", rotated=True, uneven="deci", biased=True),
    "qwen2": Architecture("qwen2", uneven="deci", biased=True),
    "qwen3": Architecture("qwen3", {**LLAMA, **NORMED}, uneven="openelm"),
    "gemma2": Architecture(
        "gemma2",
        SANDWICH,
        windowed=True,
        one_more=True,
        activation="gelu_pytorch_tanh",
        capped=("attn_logit_softcapping", "final_logit_softcapping"),
    ),
    "olmo2": Architecture("olmo2", {**LLAMA, **NORMED, **AFTER}),
}
"""``model_type`` -> the architecture of llama.cpp that computes it."""
UNEVEN = {
    "deci": Architecture("deci", rotated=True, biased=True),
    "openelm": Architecture("openelm", {**LLAMA, **NORMED}),
}


def architecture_of(source: Source) -> Architecture:
    """Find the architecture of llama.cpp that computes a pruned model.

    Raises:
        EvopError: there is none, with the reason.
    """
    stock = ARCHITECTURES.get(source.base_type)
    if stock is None:
        known = ", ".join(ARCHITECTURES)
        raise EvopError(f"--format gguf: {source.base_type} cannot be written yet; {known} can")
    _refuse_untold(source, stock)
    if source.uniform and not _added_bias(source):
        return _with_biases(source, stock)
    if stock.uneven is None:
        raise EvopError(
            f"--format gguf: the pattern leaves layers that differ, and llama.cpp runs no such {source.base_type}; "
            "search with --deploy stock, or write --format hf, which runs in transformers"
        )
    if stock.uneven == "openelm" and not source.tied:
        raise EvopError(
            "--format gguf: layers that differ run as llama.cpp's openelm, which has no head of its own beside the "
            f"embeddings, as this {source.base_type} needs; search with --deploy stock, or write --format hf"
        )
    return _with_biases(source, UNEVEN[stock.uneven])


def _refuse_untold(source: Source, stock: Architecture) -> None:
    """Refuse a model of which llama.cpp would take for granted what is not so.

    Raises:
        EvopError: with what it takes for granted.
    """
    activation = activation_of(source.resolved)
    if activation != stock.activation:
        raise EvopError(
            f"--format gguf: the MLPs compute {activation}, and llama.cpp {stock.activation} in every "
            f"{source.base_type}; write --format hf"
        )
    if missing := next((key for key in stock.capped if not getattr(source.resolved, key)), None):
        raise EvopError(
            f"--format gguf: {missing} is not set, and llama.cpp takes a number of its own in every "
            f"{source.base_type} without; write --format hf"
        )


def _with_biases(source: Source, architecture: Architecture) -> Architecture:
    """Give back the architecture.

    Raises:
        EvopError: it has no biases, and the pruned model has.
    """
    if not architecture.biased and (_added_bias(source) or _biases(source)):
        raise EvopError(
            f"--format gguf: this {source.base_type} has biases, and llama.cpp's {architecture.name} has none; "
            "write --format hf"
        )
    return architecture


def _added_bias(source: Source) -> bool:
    """Tell whether pruning gave last projections a bias that the architecture lacks."""
    return any("bias" in source.config.get("evop_parts", {}).get(kind, {}) for kind in ("attention", "mlp"))


def _biases(source: Source) -> bool:
    return any(name.startswith(source.stem) and name.endswith(".bias") for name in source.pieces)

"""How far positions turn: what llama.cpp must know of a model whose context was stretched."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from evop.errors import EvopError
from evop.removal.space import heads_of

if TYPE_CHECKING:
    import torch

HELD = ("default", "linear", "llama3")
"""Ways of stretching the context that can be written."""


def rope_of(config: Any) -> dict[str, Any]:
    """Read the rope parameters of a config.

    Raises:
        EvopError: a way of stretching the context that cannot be written.
    """
    rope = dict(getattr(config, "rope_parameters", None) or {})
    kind = rope.setdefault("rope_type", "default")
    if kind not in HELD:
        raise EvopError(f"--format gguf: rope_type {kind} cannot be written yet; {', '.join(HELD)} can")
    return rope


def frequency_factors(config: Any) -> torch.Tensor | None:
    """Say by what each frequency is divided, float32 [head size / 2], or None where all are as they were.

    Source: the ``llama3`` rule of transformers, ``modeling_rope_utils.py``: long waves are divided by ``factor``, short
    ones stay, those between are mixed.
    """
    import torch

    rope = rope_of(config)
    if rope["rope_type"] != "llama3":
        return None
    _, _, size = heads_of(config)
    factor, context = rope["factor"], rope["original_max_position_embeddings"]
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    waves = 2 * math.pi * rope["rope_theta"] ** (torch.arange(0, size, 2, dtype=torch.float64) / size)
    share = ((context / waves - low) / (high - low)).clamp(0, 1)
    return (1 / ((1 - share) / factor + share)).float()

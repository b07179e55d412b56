"""How many bits the numbers of a GGUF file have, tensor by tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evop.errors import EvopError
from evop.export.gguf.ggml import library, quantised

if TYPE_CHECKING:
    import torch
    from gguf import GGMLQuantizationType

BITS = ("f16", "bf16", "q8_0")
"""What ``--bits`` may be."""
FILE_TYPES = {"f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16", "q8_0": "MOSTLY_Q8_0"}
"""What a file of each ``--bits`` calls itself."""


def type_of(shape: tuple[int, ...], bits: str) -> GGMLQuantizationType:
    """Choose the type of a tensor: vectors stay float32, and rows that blocks of 32 do not fill float16."""
    types = library().GGMLQuantizationType
    if len(shape) == 1:
        return types.F32
    return types.F16 if bits == "q8_0" and shape[-1] % 32 else types[bits.upper()]


def encoded(tensor: torch.Tensor, kind: GGMLQuantizationType, name: str) -> np.ndarray:
    """Write a tensor's numbers in a type.

    Raises:
        EvopError: numbers too large for float16.
    """
    gguf = library()
    values = tensor.float().contiguous().numpy()
    if kind == gguf.GGMLQuantizationType.F32:
        return values
    if kind == gguf.GGMLQuantizationType.F16:
        if values.size and np.abs(values).max() > np.finfo(np.float16).max:
            raise EvopError(f"--bits f16: {name} holds numbers too large for it; use --bits bf16")
        return values.astype(np.float16)
    if kind in (gguf.GGMLQuantizationType.BF16, gguf.GGMLQuantizationType.Q8_0):
        return gguf.quants.quantize(values, kind)
    return quantised(values, kind)

"""What llama.cpp's library knows of types: how many bytes a tensor takes in one, and its own quantiser of a matrix."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

from evop.errors import EvopError

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType

QUANTISER = "ggml_quantize_chunk"
"""The function of llama.cpp that quantises rows."""


def library() -> Any:
    """Import the package that reads and writes GGUF.

    Raises:
        EvopError: it is not installed.
    """
    try:
        import gguf
    except ImportError as error:
        raise EvopError("--format gguf needs gguf, which is not installed; pip install 'evop[gguf]'") from error
    return gguf


def bytes_of(shape: tuple[int, ...], kind: GGMLQuantizationType) -> int:
    """Count the bytes that a tensor takes."""
    block, size = library().GGML_QUANT_SIZES[kind]
    return int(np.prod(shape)) // block * size


def quantised(values: np.ndarray, kind: GGMLQuantizationType) -> np.ndarray:
    """Quantise a matrix with llama.cpp.

    Args:
        values: the matrix, float32 [rows, columns].
        kind: a quantised type.

    Returns:
        Bytes of the rows, uint8 [bytes].

    Raises:
        EvopError: llama.cpp is not installed, or wrote another number of bytes.
    """
    rows, columns = values.shape
    written = np.zeros(bytes_of(values.shape, kind), dtype=np.uint8)
    done = _ggml().ggml_quantize_chunk(int(kind), values.ctypes.data, written.ctypes.data, 0, rows, columns, None)
    if done != written.nbytes:
        raise EvopError(f"llama.cpp wrote {done} bytes of {kind.name}, expected {written.nbytes}; use --bits q8_0")
    return written


def refuse_no_quantiser() -> None:
    """Refuse to quantise where llama.cpp is not installed, or hides its quantiser.

    Raises:
        EvopError: it cannot be called.
    """
    if not hasattr(_ggml(), QUANTISER):
        raise EvopError(f"--quantise: this build of xllamacpp hides {QUANTISER}; write --bits q8_0 instead")


def _ggml() -> ctypes.CDLL:
    try:
        from xllamacpp import xllamacpp
    except ImportError as error:
        raise EvopError("--quantise needs xllamacpp, which is not installed; pip install 'evop[gguf]'") from error
    functions = ctypes.CDLL(xllamacpp.__file__)
    if hasattr(functions, QUANTISER):
        functions.ggml_quantize_chunk.restype = ctypes.c_size_t
        functions.ggml_quantize_chunk.argtypes = [
            ctypes.c_int,
            ctypes.c_void_p,
            ctypes.c_void_p,
            *(ctypes.c_int64,) * 3,
            ctypes.c_void_p,
        ]
    return functions

"""DeciLM, or ``nemotron-nas``: the one format for layers that differ which several servers of models share.

Source: vLLM, ``vllm/model_executor/models/nemotron_nas.py``, and the readers of SGLang and others.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evop.errors import EvopError
from evop.export.folder import NewTensor, write_folder
from evop.export.source import LayerShape, Source, activation_of
from evop.removal.space import heads_of

if TYPE_CHECKING:
    import torch

CONFIG_FILE = Path(str(files("evop.export") / "configuration_decilm.py"))
"""The class of the config, which goes along with it."""
STEP = 256
"""Widths are rounded up to multiples of it by every reader; what is narrower is written with zeros up to one."""
HELD = ("llama", "mistral")
TAKEN = (
    *(
        "hidden_size",
        "num_attention_heads",
        "num_hidden_layers",
        "vocab_size",
        "max_position_embeddings",
        "rms_norm_eps",
    ),
    *("hidden_act", "tie_word_embeddings", "initializer_range", "bos_token_id", "eos_token_id", "pad_token_id"),
)
"""Keys that mean what they do in a Llama's config."""


def refuse_decilm(source: Source) -> None:
    """Refuse what the format cannot hold.

    Raises:
        EvopError: with the reason.
    """
    if source.base_type not in HELD:
        raise _held_not(f"it holds Llamas, and this is a {source.base_type}")
    config, layers = source.resolved, source.layers
    heads, _, head = heads_of(config)
    reasons = {
        f"vLLM's MLPs compute silu, and these {activation_of(config)}": activation_of(config) != "silu",
        "it has no biases": any(name.startswith(source.stem) and name.endswith(".bias") for name in source.pieces),
        "it has no sliding window": any(source.family.window(config, i) is not None for i in range(len(layers))),
        "its attention has the query heads of the dense model, and the pattern removes some": any(
            layer.heads not in (0, heads) for layer in layers
        ),
        "its heads have hidden size / heads numbers": head * heads != config.hidden_size,
        "vLLM reads no first layer without attention": not layers[0].heads,
        f"rope_type {_rope(source)['rope_type']} means something else in older readers": _rope(source)["rope_type"]
        not in ("default", "llama3"),
    }
    for reason, holds in reasons.items():
        if holds:
            raise _held_not(reason)


def _held_not(reason: str) -> EvopError:
    return EvopError(f"--format decilm cannot hold this: {reason}; write --format gguf or hf")


def decilm_config(source: Source) -> dict[str, Any]:
    """Make the ``config.json``."""
    config, rope = source.resolved, _rope(source)
    return {
        "model_type": "nemotron-nas",
        "architectures": ["DeciLMForCausalLM"],
        "auto_map": {"AutoConfig": "configuration_decilm.DeciLMConfig"},
        **{key: getattr(config, key) for key in TAKEN},
        "attention_bias": False,
        "mlp_bias": False,
        "rope_theta": rope["rope_theta"],
        "rope_scaling": None
        if rope["rope_type"] == "default"
        else {k: v for k, v in rope.items() if k != "rope_theta"},
        "torch_dtype": str(source.config.get("dtype") or source.config.get("torch_dtype") or "float32"),
        "block_configs": [block_config(layer, config) for layer in source.layers],
    }


def block_config(layer: LayerShape, config: Any) -> dict[str, Any]:
    """Say what one layer holds, in the format's words.

    A reader computes the width as ``int(2 * ffn_mult * hidden / 3)``, rounded up; half a step less than the width
    survives any rounding.
    """
    attention = None if not layer.heads else layer.heads // layer.groups
    width = None if not layer.width else 3 * (padded(layer.width) - STEP // 2) / (2 * config.hidden_size)
    return {
        "attention": {"n_heads_in_group": attention, "no_op": attention is None, "replace_with_linear": False},
        "ffn": {"ffn_mult": width, "no_op": width is None, "replace_with_linear": False},
    }


def padded(width: int) -> int:
    """Round a width up to what readers expect."""
    return -(-width // STEP) * STEP


def write_decilm(source: Source, folder: Path) -> None:
    """Write config, tokenizer and weights into an empty folder.

    Raises:
        OSError: the disk is full or refuses.
    """
    write_folder(folder, source.checkpoint.folder, decilm_config(source), _tensors(source))
    shutil.copyfile(CONFIG_FILE, folder / CONFIG_FILE.name)


def _tensors(source: Source) -> Iterator[NewTensor]:
    for name, (file, piece) in source.pieces.items():
        axis = {"gate_proj": 0, "up_proj": 0, "down_proj": 1}.get(name.split(".")[-2])
        more = 0 if axis is None else padded(piece.shape[axis]) - piece.shape[axis]
        size = piece.nbytes if not more else piece.nbytes * padded(piece.shape[axis or 0]) // piece.shape[axis or 0]
        yield NewTensor(source.called(name), size, file.name, partial(_widened, source, name, axis, more))


def _widened(source: Source, name: str, axis: int | None, more: int) -> torch.Tensor:
    import torch

    tensor = source.tensor(name)
    if not more:
        return tensor
    shape = list(tensor.shape)
    shape[axis or 0] = more
    return torch.cat([tensor, tensor.new_zeros(shape)], dim=axis or 0)


def _rope(source: Source) -> dict[str, Any]:
    return {"rope_type": "default", **(source.resolved.rope_parameters or {})}

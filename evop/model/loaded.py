"""A checkpoint brought into memory: device, dtype, model, tokenizer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from evop.errors import EvopError, first_line
from evop.model.checkpoint import BUFFERS, Checkpoint
from evop.model.families import Family, family_of
from evop.model.sums import refuse_changed
from evop.model.tokenizer_files import unreadable_tokenizer

SPREAD = "spread"
"""The ``--device`` that deals a model's layers out over all GPUs, as accelerate does."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to measure.

    Attributes:
        checkpoint: the folder it was read from.
        family: the names of its layers and blocks.
        model: the model, in evaluation mode, without gradients.
        tokenizer: the model's tokenizer.
        device: the device it runs on; of a model that is spread, that of its first layers.
        dtype: name of the dtype it computes in.
    """

    checkpoint: Checkpoint
    family: Family
    model: nn.Module
    tokenizer: Any
    device: torch.device
    dtype: str


def choose_device(device: str = "auto") -> torch.device:
    """Choose a device: ``auto`` is CUDA, then Apple's MPS, then the CPU; ``spread`` is that of the first layers.

    Raises:
        EvopError: this machine lacks the device.
    """
    if device in ("auto", SPREAD):
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, number = device.partition(":")
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if not present.get(kind, False) or (number and not (re.fullmatch("[0-9]{1,4}", number) and int(number) < count)):
        here = ", ".join(name for name, there in present.items() if there)
        raise EvopError(f"--device {device}: not on this machine; here are {here}")
    return torch.device(device)


def choose_dtype(dtype: str, device: torch.device) -> str:
    """Choose a dtype by name: ``auto`` is bfloat16 on CUDA and float32 elsewhere.

    Raises:
        EvopError: unknown dtype.
    """
    if dtype == "auto":
        return "bfloat16" if device.type == "cuda" else "float32"
    if dtype not in DTYPES:
        raise EvopError(f"--dtype {dtype}: unknown; choose auto, {', '.join(DTYPES)}")
    return dtype


def wider(dtype: str, otherwise: str = "see whether transformers gives finite losses for this model and text") -> str:
    """Say what to do where a loss is no number.

    Args:
        dtype: the dtype that it was computed in.
        otherwise: what to do where there is no wider one.
    """
    return "use --dtype float32" if dtype != "float32" else otherwise


def load_model(
    checkpoint: Checkpoint,
    device: str = "auto",
    dtype: str = "auto",
    trust_remote_code: bool = False,
    *,
    family: Family | None = None,
) -> LoadedModel:
    """Load model and tokenizer.

    Args:
        checkpoint: the folder.
        device: ``auto``, ``spread``, or one of torch's.
        dtype: ``auto``, or one of ``DTYPES``.
        trust_remote_code: whether the model may run code of its own.
        family: the names of its layers and blocks; None to look them up by its ``model_type``.

    Raises:
        EvopError: unknown architecture, device or dtype, or weights transformers cannot read.
    """
    from transformers import AutoModelForCausalLM

    family = family or family_of(checkpoint.model_type)
    where = choose_device(device)
    name = choose_dtype(dtype, where)
    _ = checkpoint.tensors  # refuses weights that are not whole
    refuse_changed(checkpoint.folder)
    _refuse_another_depth(checkpoint)
    spread = {"device_map": "auto"} if device == SPREAD and _can_spread() else {}
    try:
        read: Any = AutoModelForCausalLM.from_pretrained(
            checkpoint.folder,
            dtype=DTYPES[name],
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            **spread,
        )
        model, loading = read[0] if spread else read[0].to(where), read[1]
    except Exception as error:  # transformers raises what a person's files make it raise
        raise EvopError(
            f"{checkpoint.name}: cannot be loaded on {where} ({first_line(error)}); see whether "
            "AutoModelForCausalLM.from_pretrained loads it"
        ) from error
    _refuse_other_weights(checkpoint, model, loading)
    tokenizer = load_tokenizer(checkpoint, trust_remote_code)
    return LoadedModel(checkpoint, family, model.eval().requires_grad_(False), tokenizer, where, name)


def _refuse_another_depth(checkpoint: Checkpoint) -> None:
    """Refuse a config that counts more layers than there are weights, before as many are made.

    Raises:
        EvopError: it does.
    """
    layers = getattr(checkpoint.resolved, "num_hidden_layers", None)
    if isinstance(layers, int) and layers > len(checkpoint.tensors):
        raise EvopError(
            f"{checkpoint.name}: config.json counts {layers} layers, its files hold {len(checkpoint.tensors)} weights "
            "in all; mend num_hidden_layers, or copy the model again"
        )


def _refuse_other_weights(checkpoint: Checkpoint, model: nn.Module, loading: dict[str, Any]) -> None:
    """Check that what was loaded is what the files hold: a checkpoint is written from the files.

    Raises:
        EvopError: weights are missing, have another shape, or are no part of the model.
    """
    name = checkpoint.name
    if missing := sorted(loading["missing_keys"]):
        raise EvopError(
            f"{name}: {len(missing)} weights are missing from its files, {missing[0]} among them; "
            "transformers would make them up; copy the model again"
        )
    if wrong := sorted(loading["mismatched_keys"]):
        weight, *shapes = wrong[0]
        found, expected = (tuple(shape) for shape in shapes)
        raise EvopError(
            f"{name}: {weight} has shape {found} in its files, config.json makes it {expected}; mend config.json, or "
            "copy the model again"
        )
    unused = sorted(key for key in loading["unexpected_keys"] if not BUFFERS.search(key))
    loaded = sum(weight.numel() for weight in model.parameters())
    if unused or loaded != checkpoint.parameters:
        which = f"{len(unused)} weights, {unused[0]} among them," if unused else "weights"
        raise EvopError(
            f"{name}: its files hold {which} that the model of config.json does not use ({checkpoint.parameters:,} "
            f"parameters in the files, {loaded:,} in the model); load it with transformers, save_pretrained, and give "
            "that folder; or mend config.json, such as num_hidden_layers or tie_word_embeddings"
        )


def _can_spread() -> bool:
    """Check that accelerate is installed.

    Raises:
        EvopError: it is not.
    """
    from importlib.util import find_spec

    if find_spec("accelerate") is None:
        raise EvopError(f"--device {SPREAD} needs accelerate, which is not installed; pip install 'evop[spread]'")
    return True


def load_tokenizer(checkpoint: Checkpoint, trust_remote_code: bool = False) -> Any:
    """Load the tokenizer in the checkpoint's folder.

    Raises:
        EvopError: there is none, or transformers cannot read it.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder, trust_remote_code=trust_remote_code)
    except Exception as error:  # transformers and tokenizers raise what a person's files make them raise
        raise unreadable_tokenizer(checkpoint, error, trust_remote_code) from error
    tokenizer.embedded_words = checkpoint.words  # what tokens are held against
    return tokenizer

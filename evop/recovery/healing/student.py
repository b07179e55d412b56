"""The pruned model that learns: loaded with float32 weights, and what of them is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from evop.errors import EvopError, first_line
from evop.model.checkpoint import HEADS, Checkpoint
from evop.model.families import BLOCK_KINDS, HETERO_PREFIX, Family, family_of
from evop.model.sums import refuse_changed
from evop.recovery.healing.adapters import Adapters

STORED = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""What safetensors calls the dtypes that weights are stored in."""


@dataclass
class Student:
    """A pruned model whose weights are trained in float32 and written as they are stored.

    Attributes:
        checkpoint: the pruned checkpoint.
        model: the model; in evaluation mode, for the dense model has no dropout either while it is learned from.
        changed: name of each trained weight in the checkpoint -> the parameter that holds it.
        adapters: low-rank changes of the weights; None where the weights themselves are trained.
    """

    checkpoint: Checkpoint
    model: nn.Module
    changed: dict[str, nn.Parameter]
    adapters: Adapters | None = None

    @classmethod
    def load(
        cls,
        checkpoint: Checkpoint,
        train: str,
        rank: int = 32,
        seed: int = 0,
        device: torch.device | None = None,
        trust_remote_code: bool = False,
        *,
        keep_zeros: bool = False,
    ) -> Student:
        """Load a pruned checkpoint, and choose what is trained.

        Args:
            checkpoint: the pruned checkpoint.
            train: ``lora``, ``full`` or ``outputs``.
            rank: rank of the low-rank changes.
            seed: decides what they begin with.
            device: where the model runs; the CPU if None.
            trust_remote_code: whether the checkpoint may run code of its own.
            keep_zeros: whether weights of the decoder's matrices that are zero stay zero.

        Raises:
            EvopError: transformers cannot load it, or ``lora`` and peft is not installed or the rank is no low one.
        """
        model = _loaded(checkpoint, trust_remote_code).to(device or torch.device("cpu"))
        names = _trained(model, _family(checkpoint), train)
        changed = {name: parameter for name, parameter in model.named_parameters() if name in names}
        stored = _as_stored(checkpoint, model, changed)
        stays = _stays(checkpoint, stored) if keep_zeros else {}
        if train != "lora":
            for name, parameter in stored.items():
                parameter.requires_grad_(True)
                if name in stays:  # without weight decay, what has no gradient does not move
                    parameter.register_hook(partial(torch.mul, stays[name]))
            return cls(checkpoint, model, stored)
        _refuse_rank(rank, stored)
        own = {id(parameter): name for name, parameter in stored.items()}
        adapters = Adapters.put(model, [name.removesuffix(".weight") for name in names], rank, seed, own, stays)
        return cls(checkpoint, model, stored, adapters)

    @property
    def trained(self) -> dict[str, nn.Parameter]:
        """What the optimizer changes, by name, float32."""
        return self.changed if self.adapters is None else self.adapters.parameters

    def predict(self, ids: torch.Tensor) -> torch.Tensor:
        """Compute logits, [rows, length, vocabulary]."""
        return self.model(input_ids=ids, use_cache=False).logits

    @torch.no_grad()
    def weights(self) -> dict[str, torch.Tensor]:
        """Copy the trained weights as they would be written: by their names in the checkpoint, in the stored dtype.

        Raises:
            EvopError: a weight has become larger than its dtype can hold.
        """
        copies = {}
        for name, parameter in self.changed.items():
            value = parameter if self.adapters is None else parameter + self.adapters.change(name)
            stored = self.checkpoint.tensors[name].dtype
            copies[name] = value.to(STORED[stored]).cpu().clone()
            if not copies[name].isfinite().all():
                raise EvopError(
                    f"{name} holds a number that {stored} cannot: the training went astray; lower --learning-rate"
                )
        return copies

    @contextmanager
    def holding(self, weights: Mapping[str, torch.Tensor]) -> Iterator[None]:
        """Put weights as they would be written into the model, for the length of a ``with`` block."""
        before = {name: parameter.data for name, parameter in self.changed.items()}
        off = self.adapters.off if self.adapters else _nothing
        try:
            with off(), torch.no_grad():
                for name, parameter in self.changed.items():
                    parameter.data = weights[name].to(parameter.device, torch.float32)
                yield
        finally:
            for name, parameter in self.changed.items():
                parameter.data = before[name]


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _loaded(checkpoint: Checkpoint, trust_remote_code: bool) -> nn.Module:
    """Load a pruned checkpoint's model with float32 weights, none of them trained yet."""
    from transformers import AutoModelForCausalLM

    import evop.hf  # noqa: F401  # knows heterogeneous checkpoints

    refuse_changed(checkpoint.folder)
    try:
        read: Any = AutoModelForCausalLM.from_pretrained(
            checkpoint.folder,
            dtype=torch.float32,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise EvopError(f"{checkpoint.name}: cannot be loaded ({first_line(error)})") from error
    if missing := sorted(read[1]["missing_keys"]):
        raise EvopError(f"{checkpoint.name}: {missing[0]} is missing from its files; prune the model again")
    return read[0].eval().requires_grad_(False)


def _refuse_rank(rank: int, weights: Mapping[str, torch.Tensor]) -> None:
    """Check that a change of a rank is a low-rank one for some weight.

    Raises:
        EvopError: no weight has so many rows and columns.
    """
    most = max(min(weight.shape) for weight in weights.values())
    if rank > most:
        raise EvopError(f"--rank {rank}: no weight has more than {most} rows and columns; give fewer, or --train full")


def _family(checkpoint: Checkpoint) -> Family:
    return family_of(checkpoint.model_type.removeprefix(HETERO_PREFIX))


def _trained(model: nn.Module, family: Family, train: str) -> list[str]:
    """Name the parameters that are trained: of ``lora``, those that get a low-rank change."""
    if train == "full":
        return [name for name, _ in model.named_parameters()]
    outputs = tuple(f".{family.block(kind).out}" for kind in BLOCK_KINDS)
    linear = [
        name
        for name, module in model.named_modules()
        if name.startswith(f"{family.layers}.") and getattr(module, "weight", None) is not None
        if module.weight.dim() == 2 and (train == "lora" or name.endswith(outputs))
    ]
    return [f"{name}.weight" for name in linear]


def _stays(checkpoint: Checkpoint, stored: Mapping[str, nn.Parameter]) -> dict[str, torch.Tensor]:
    """Say which weights of a decoder's matrices are not zero: name -> bool, the way round that they are stored."""
    begins = _family(checkpoint).stem(checkpoint.tensors)
    return {name: weight.data != 0 for name, weight in stored.items() if name.startswith(begins) and weight.dim() == 2}


def _as_stored(
    checkpoint: Checkpoint, model: nn.Module, parameters: Mapping[str, nn.Parameter]
) -> dict[str, nn.Parameter]:
    """Name parameters as the checkpoint does: a bare base model lacks the first word, some call the head otherwise.

    Raises:
        EvopError: the checkpoint holds no such tensor.
    """
    prefix, named = f"{model.base_model_prefix}.", {}
    for name, parameter in parameters.items():
        known = [name, name.removeprefix(prefix), *(HEADS if name in HEADS else ())]
        stored = next((other for other in known if other in checkpoint.tensors), None)
        if stored is None or checkpoint.tensors[stored].dtype not in STORED:
            raise EvopError(f"{checkpoint.name}: its files hold no weight {name} that can be trained; prune it again")
        named[stored] = parameter
    return named

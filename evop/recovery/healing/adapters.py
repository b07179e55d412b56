"""Low-rank changes of weights, by peft."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from evop.errors import EvopError

NAME = "default"
"""What peft calls the one adapter there is."""


@dataclass(frozen=True)
class Adapters:
    """Low-rank changes of some weights of a model.

    Attributes:
        layers: name of each changed weight in the checkpoint -> peft's layer around its projection.
        parameters: what is trained, by name.
        stays: name of a weight -> where it may change, bool, the way round it is stored; anywhere if it is not named.
    """

    layers: Mapping[str, Any]
    parameters: dict[str, nn.Parameter]
    stays: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @classmethod
    def put(
        cls,
        model: nn.Module,
        modules: Sequence[str],
        rank: int,
        seed: int,
        stored: Mapping[int, str],
        stays: Mapping[str, torch.Tensor],
    ) -> Adapters:
        """Put a low-rank change, zero at first, onto every projection named.

        Args:
            model: the model; is changed in place.
            modules: names of the projections.
            rank: rank of each change.
            seed: decides what the first factors begin with.
            stored: identity of each projection's weight -> its name in the checkpoint.
            stays: name there -> where the weight may change; the others may anywhere.

        Raises:
            EvopError: peft is not installed.
        """
        refuse_without_peft()
        from peft import LoraConfig, inject_adapter_in_model
        from peft.tuners.lora import LoraLayer

        config = LoraConfig(r=rank, lora_alpha=rank, target_modules=list(modules), lora_dropout=0.0)
        # peft draws from the global state, which is nobody's to disturb.
        with torch.random.fork_rng(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a projection that is stored the other way round is told to the user
            torch.manual_seed(seed)
            inject_adapter_in_model(config, model)
        found = [module for module in model.modules() if isinstance(module, LoraLayer)]
        layers = {stored[id(layer.get_base_layer().weight)]: layer for layer in found}
        parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
        for name in stays:
            _keep_zeros(layers[name], stays[name])
        return cls(layers, parameters, stays)

    def change(self, name: str) -> torch.Tensor:
        """Compute what is added to a weight, the way round it is stored."""
        change: torch.Tensor = self.layers[name].get_delta_weight(NAME)
        return change * self.stays[name] if name in self.stays else change

    @contextmanager
    def off(self) -> Iterator[None]:
        """Leave the changes out, for the length of a ``with`` block."""
        for layer in self.layers.values():
            layer.enable_adapters(False)
        try:
            yield
        finally:
            for layer in self.layers.values():
                layer.enable_adapters(True)


def refuse_without_peft() -> None:
    """Check that peft is there.

    Raises:
        EvopError: it is not.
    """
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise EvopError("--train lora needs peft, which is not installed; pip install 'evop[heal]'") from error


def _keep_zeros(layer: Any, stays: torch.Tensor) -> None:
    """Let a low-rank change reach the weights alone that stay, while it is learned as when it is merged.

    Source: SPP (Lu et al., arXiv 2405.16057), for that zeros are kept by what is trained; there rows and columns of the
    weight are scaled, here its low-rank change is masked.
    """

    def forward(hidden_states: torch.Tensor) -> torch.Tensor:
        if layer.disable_adapters:
            return layer.base_layer(hidden_states)
        inner = layer.get_base_layer()
        weight = inner.weight + layer.get_delta_weight(NAME) * stays
        return functional_call(inner, {"weight": weight}, (hidden_states,))

    layer.forward = forward

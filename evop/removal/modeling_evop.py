"""Causal language models with attention or MLP blocks missing, for Hugging Face transformers.

This file travels inside pruned checkpoints and needs torch and transformers alone. It subclasses the classes of the
architecture that was pruned and puts something that adds nothing where a block is gone; ``config.json`` says where:

* ``per_layer_config``: ``{"05": {"skip": ["attention"]}, "11": {"intermediate_size": 384}}``
* ``evop_parts``: what the architecture calls its layers and blocks, and which modules shrink where units are gone.

``EvopLlamaConfig``, ``EvopLlamaModel``, ``EvopLlamaForCausalLM``, ``EvopGPT2LMHeadModel`` and their like for any other
architecture of transformers are made when first asked for. Each model class says in ``_layer_cls`` and
``_skip_descriptors`` what an open change of transformers (its pull request 45332) needs to build such layers itself.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import torch
import transformers
from torch import nn
from transformers.conversion_mapping import (
    get_checkpoint_conversion_mapping,
    register_checkpoint_conversion_mapping,
)

PREFIX = "Evop"
"""What the names of the classes made here begin with; the rest is the name of a class of transformers."""


class Absent(nn.Module):
    """Stands where a block was: adds zeros to the residual stream.

    Args:
        returns: how many values the block returned; the first was added, the rest become None.
    """

    def __init__(self, returns: int) -> None:
        super().__init__()
        self.returns = returns

    def forward(self, hidden_states: torch.Tensor, *_: object, **__: object) -> Any:
        """Zeros of the shape and dtype of ``hidden_states``."""
        nothing = torch.zeros_like(hidden_states)
        return nothing if self.returns == 1 else (nothing, *(None,) * (self.returns - 1))


class AbsentFirst(Absent):
    """Stands in the first layer of a model without any attention: lets the cache know how many tokens it has seen.

    Models with learned positions ask the cache for the place of the next token.
    """

    def forward(self, hidden_states: torch.Tensor, *_: object, **given: Any) -> Any:
        """Zeros of the shape and dtype of ``hidden_states``; one number a token goes to the cache."""
        cache = given.get("past_key_values", given.get("layer_past"))
        if cache is not None:
            marks = hidden_states.new_zeros(hidden_states.shape[0], 1, hidden_states.shape[1], 1)
            cache.update(marks, marks, 0)
        return super().forward(hidden_states)


def skip_descriptors(config: Any) -> dict[str, dict[str, Any]]:
    """List what takes the place of each module of a layer that skips a kind of block.

    Args:
        config: of the model.

    Returns:
        ``"attention"`` or ``"mlp"`` -> name of a module inside the layer -> what makes its replacement.
    """
    parts = {kind: config.evop_parts[kind] for kind in ("attention", "mlp")}
    return {
        kind: {block["main"]: partial(Absent, block["returns"]), **dict.fromkeys(block["norms"], nn.Identity)}
        for kind, block in parts.items()
    }


def remove_parts(model: Any) -> None:
    """Swap what ``model.config`` says is gone, and give the attentions that stay their places in the cache."""
    config, parts = model.config, model.config.evop_parts
    layers: Any = model.get_submodule(parts["layers"].removeprefix(f"{model.base_model_prefix}."))
    skips = [set(getattr(config.per_layer_config[i], "skip", ())) for i in range(len(layers))]
    replacements = skip_descriptors(config)
    for layer, skip in zip(layers, skips, strict=True):
        for name, make in (each for kind in skip for each in replacements[kind].items()):
            setattr(layer, name, make())
    for kind in ("attention", "mlp"):
        for i, kept in parts[kind].get("units", {}).get("kept", {}).items():
            shrink(layers[int(i)], parts[kind], kept, config.per_layer_config[int(i)])
        added = parts[kind].get("bias", {"layers": []})
        for i in added["layers"]:
            out = layers[i].get_submodule(added["module"])
            out.bias = nn.Parameter(out.weight.new_zeros(config.hidden_size))
    attentions = [i for i, skip in enumerate(skips) if "attention" not in skip]
    if not attentions:
        setattr(layers[0], parts["attention"]["main"], AbsentFirst(parts["attention"]["returns"]))
    for layer, slot in zip(attentions, cache_slots(config, attentions), strict=True):
        getattr(layers[layer], parts["attention"]["main"]).layer_idx = slot


def shrink(layer: Any, block: dict[str, Any], kept: int, config: Any) -> None:
    """Give the modules of a block the sizes they have with some of their units gone.

    Args:
        layer: the decoder layer.
        block: what ``evop_parts`` says of the kind of block.
        kept: how many units are left.
        config: of this layer; an attention reads its head counts from it.
    """
    units = block["units"]["of"]
    for name, axis in block["shrink"]:
        module = layer.get_submodule(name)
        shape = list(module.weight.shape)
        shape[axis] = shape[axis] * kept // units
        module.weight = nn.Parameter(module.weight.new_empty(shape))
        outputs = shape[0] if isinstance(module, nn.Linear) else shape[1]
        if module.bias is not None:
            module.bias = nn.Parameter(module.bias.new_empty(outputs))
        if isinstance(module, nn.Linear):
            module.out_features, module.in_features = shape
        else:
            module.nx, module.nf = shape
    main = layer.get_submodule(block["main"])
    for name in block.get("scaled", ()):
        setattr(main, name, getattr(main, name) * kept // units)
    if hasattr(main, "config"):
        main.config = config


def cache_slots(config: Any, attentions: list[int]) -> list[int]:
    """Where in the cache each attention keeps its keys and values.

    transformers makes one slot a layer, of the layer's type, and reads the length of the sequence from slot 0 and
    from the first slot of a type, so those must be in use. The first attention of a type takes the first slot of
    that type, the second the second; ``layer_types`` was written so that they fit.

    Args:
        config: of the model.
        attentions: indices of the layers that have attention, ascending.
    """
    types = getattr(config, "layer_types", None)
    if types is None:
        return list(range(len(attentions)))
    free = {kind: [slot for slot, found in enumerate(types) if found == kind] for kind in types}
    return [free[types[layer]].pop(0) for layer in attentions]


def __getattr__(name: str) -> Any:
    """Make ``Evop<Class>`` for a config, a base model or a causal language model of transformers."""
    base = getattr(transformers, name.removeprefix(PREFIX), None) if name.startswith(PREFIX) else None
    if not isinstance(base, type) or not issubclass(base, transformers.PreTrainedConfig | transformers.PreTrainedModel):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if issubclass(base, transformers.PreTrainedConfig):
        made, auto = _config_class(base, name), "AutoConfig"
    else:
        causal = issubclass(base, transformers.GenerationMixin)
        made, auto = _model_class(base, name), "AutoModelForCausalLM" if causal else "AutoModel"
    made.register_for_auto_class(auto)
    globals()[name] = made
    return made


def _config_class(base: Any, name: str) -> Any:
    def read(self: Any, key: str) -> Any:
        # transformers refuses to read a key of the whole model that differs a layer; here it is the dense model's.
        names = type(self).attribute_map
        return object.__getattribute__(self, names.get(key, key))

    inside = {"model_type": f"evop_{base.model_type}", "__module__": __name__, "__getattribute__": read}
    return type(name, (base,), inside)


def _model_class(base: Any, name: str) -> Any:
    def initialise(self: Any, config: Any) -> None:
        # A transformers that gives each layer a config of its own must find layers alike: they are shrunk here, once.
        differs = config.to_dict()["per_layer_config"]
        config.per_layer_config = None
        try:
            base.__init__(self, config)
        finally:
            config.per_layer_config = differs
        remove_parts(getattr(self, self.base_model_prefix, self))

    looked_up = (get_checkpoint_conversion_mapping(key) for key in (base.__name__, base.config_class.model_type))
    renamed = next((found for found in looked_up if found is not None), None)
    if renamed is not None:  # tensors stored under other names than the modules' have them under this class, too
        register_checkpoint_conversion_mapping(name, renamed, overwrite=True)
    config_name = f"{PREFIX}{base.config_class.__name__}"
    config_class = globals().get(config_name) or __getattr__(config_name)
    inside = {"__init__": initialise, "config_class": config_class, "__module__": __name__}
    layer = getattr(sys.modules[base.__module__], base._no_split_modules[0])
    described = {"_layer_cls": layer, "_skip_descriptors": property(lambda self: skip_descriptors(self.config))}
    return type(name, (base,), {**inside, **described})

"""``config.json`` of a pruned model."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from evop.checkpoint import Checkpoint
from evop.export.plan import LayerPlan
from evop.families import Block, Family

REMOTE_FILE = Path(__file__).with_name("modeling_evop.py")
"""The modelling file a heterogeneous checkpoint carries."""
HETERO_PREFIX = "evop_"
"""What the model type of a heterogeneous checkpoint begins with."""


def pruned_config(checkpoint: Checkpoint, family: Family, plan: LayerPlan) -> dict[str, Any]:
    """The config of the pruned model: the dense one's keys, what counts or lists layers brought up to date."""
    config = copy.deepcopy(checkpoint.config)
    config[checkpoint.key("num_hidden_layers")] = len(plan.layers)
    for key in family.per_layer:
        values = getattr(checkpoint.resolved, key, None)
        if values is not None:
            config[key] = _per_layer(list(values), plan)
    if "max_window_layers" in config and "layer_types" in config:
        config["max_window_layers"] = _leading(config["layer_types"], "full_attention")
    if plan.kind == "hetero":
        config.update(_hetero_keys(checkpoint, family, plan))
    return config


def auto_classes(model_type: str) -> dict[str, str]:
    """Auto class -> name of the class it makes for an architecture; not every one is ``<Base>ForCausalLM``."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_MAPPING_NAMES

    return {
        "AutoConfig": CONFIG_MAPPING_NAMES[model_type],
        "AutoModel": str(MODEL_MAPPING_NAMES[model_type]),
        "AutoModelForCausalLM": MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[model_type],
    }


def _per_layer(values: list[Any], plan: LayerPlan) -> list[Any]:
    """One value a new layer: that of the layer its attention came from.

    A layer without attention takes the value of the next one that has it (at the end, of the last): then no layer
    type is named that no attention has, and the first layer names the first attention's type, which is where
    transformers reads the length of the cache.
    """
    sources = [layer.attn for layer in plan.layers]
    there = [old for old in sources if old is not None]
    if not there:
        return [values[layer.mlp] for layer in plan.layers if layer.mlp is not None]
    following, filled = there[-1], []
    for old in reversed(sources):
        following = following if old is None else old
        filled.append(values[following])
    return filled[::-1]


def _leading(types: list[str], kind: str) -> int:
    """How many layers, from the first on, are of a type."""
    return next((i for i, found in enumerate(types) if found != kind), len(types))


def _hetero_keys(checkpoint: Checkpoint, family: Family, plan: LayerPlan) -> dict[str, Any]:
    classes = {auto: f"Evop{name}" for auto, name in auto_classes(checkpoint.model_type).items()}
    digits = len(str(len(plan.layers) - 1))
    return {
        "model_type": f"{HETERO_PREFIX}{checkpoint.model_type}",
        "architectures": [classes["AutoModelForCausalLM"]],
        "auto_map": {auto: f"{REMOTE_FILE.stem}.{name}" for auto, name in classes.items()},
        "per_layer_config": {
            str(i).zfill(digits): {"skip": list(layer.skip)} for i, layer in enumerate(plan.layers) if layer.skip
        },
        "evop_parts": {
            "layers": family.layers,
            "attention": _block(family.attn),
            "mlp": _block(family.mlp),
        },
    }


def _block(block: Block) -> dict[str, Any]:
    return {"main": block.main, "norms": list(block.norms), "returns": block.returns}

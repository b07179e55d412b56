"""Writing ``config.json`` of a pruned model: stock where it can be, else with what each layer lacks."""

from __future__ import annotations

import copy
from importlib.resources import files
from pathlib import Path
from typing import Any

from evop.export.plan import LayerPlan
from evop.model.checkpoint import Checkpoint
from evop.model.families import HETERO_PREFIX, BlockKind, Family

REMOTE_FILE = Path(str(files("evop.removal") / "modeling_evop.py"))
"""The modelling file a heterogeneous checkpoint carries."""


def pruned_config(checkpoint: Checkpoint, family: Family, plan: LayerPlan) -> dict[str, Any]:
    """Make the config of the pruned model: the dense one's keys, what counts or lists layers brought up to date."""
    config = copy.deepcopy(checkpoint.config)
    config[checkpoint.key("num_hidden_layers")] = len(plan.layers)
    for key in family.per_layer:
        values = getattr(checkpoint.resolved, key, None)
        if values is not None:
            config[key] = _per_layer(list(values), plan)
    if "max_window_layers" in config and "layer_types" in config:
        config["max_window_layers"] = _leading(config["layer_types"], "full_attention")
    if plan.format == "hetero":
        config.update(_hetero_keys(checkpoint, family, plan))
    else:
        config.update(counts_left(checkpoint, family, plan, 0))
    return config


def counts_left(checkpoint: Checkpoint, family: Family, plan: LayerPlan, new: int) -> dict[str, int]:
    """Count heads and channels of a new layer, by config key, where they differ from the dense model's."""
    dense = checkpoint.resolved
    counts = {}
    groups, width = plan.units("attn", new), plan.units("mlp", new)
    if groups is not None:
        heads = dense.num_attention_heads * groups // family.units(dense, "attn")
        counts[checkpoint.key("num_attention_heads")] = heads
        if hasattr(dense, "num_key_value_heads"):
            counts["num_key_value_heads"] = groups
        if plan.format == "stock":
            counts["head_dim"] = dense.head_dim
    if width is not None:
        counts[family.width] = width
    return counts


def auto_classes(model_type: str) -> dict[str, str]:
    """Name the class that each auto class makes for an architecture; not every one is ``<Base>ForCausalLM``."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_MAPPING_NAMES

    return {
        "AutoConfig": CONFIG_MAPPING_NAMES[model_type],
        "AutoModel": str(MODEL_MAPPING_NAMES[model_type]),
        "AutoModelForCausalLM": MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[model_type],
    }


def _per_layer(values: list[Any], plan: LayerPlan) -> list[Any]:
    """List one value per new layer: that of the layer its attention came from.

    A layer without attention takes the value of the next one that has it (at the end, of the last): then no layer
    type is named that no attention has, and the first layer names the first attention's type, which is where
    transformers reads the length of the cache.
    """
    sources = [layer.attn for layer in plan.layers]
    present = [old for old in sources if old is not None]
    if not present:
        return [values[layer.mlp] for layer in plan.layers if layer.mlp is not None]
    following, filled = present[-1], []
    for old in reversed(sources):
        following = following if old is None else old
        filled.append(values[following])
    return filled[::-1]


def _leading(types: list[str], wanted: str) -> int:
    """Count the layers, from the first on, that are of a type."""
    return next((i for i, layer_type in enumerate(types) if layer_type != wanted), len(types))


def _hetero_keys(checkpoint: Checkpoint, family: Family, plan: LayerPlan) -> dict[str, Any]:
    """Make the config keys that the modelling file inside a heterogeneous checkpoint reads."""
    classes = {auto: f"Evop{name}" for auto, name in auto_classes(checkpoint.model_type).items()}
    digits = len(str(len(plan.layers) - 1))
    return {
        "model_type": f"{HETERO_PREFIX}{checkpoint.model_type}",
        "architectures": [classes["AutoModelForCausalLM"]],
        "auto_map": {auto: f"{REMOTE_FILE.stem}.{name}" for auto, name in classes.items()},
        "per_layer_config": {
            str(i).zfill(digits): differs
            for i in range(len(plan.layers))
            if (differs := _layer_differs(checkpoint, family, plan, i))
        },
        "evop_parts": {
            "layers": family.layers,
            "attention": _block(family, "attn", checkpoint, plan),
            "mlp": _block(family, "mlp", checkpoint, plan),
        },
    }


def _layer_differs(checkpoint: Checkpoint, family: Family, plan: LayerPlan, new: int) -> dict[str, Any]:
    """Say in what a new layer differs from the dense model's: blocks it lacks, counts."""
    layer = plan.layers[new]
    differs: dict[str, Any] = {"skip": list(layer.skip)} if layer.skip else {}
    return differs | counts_left(checkpoint, family, plan, new)


def _block(family: Family, kind: BlockKind, checkpoint: Checkpoint, plan: LayerPlan) -> dict[str, Any]:
    """Say what the modelling file must know of a kind of block."""
    block = family.block(kind)
    parts: dict[str, Any] = {"main": block.main, "norms": list(block.norms), "returns": block.returns}
    thinned = {new: units for new in range(len(plan.layers)) if (units := plan.units(kind, new)) is not None}
    if thinned:
        parts["units"] = {
            "of": family.units(checkpoint.resolved, kind),
            "kept": {str(new): units for new, units in thinned.items()},
        }
        parts["shrink"] = [[sliced.module, sliced.axis] for sliced in block.slices]
        parts["scaled"] = list(block.scaled)
        biased = [new for old, new in plan.places.items() if old[0] == kind and old in plan.bias]
        if biased and not family.own_bias(checkpoint.tensors, kind):
            parts["bias"] = {"module": block.out, "layers": sorted(biased)}
    return parts

"""Registers heterogeneous checkpoints with transformers: ``import evop.hf`` and no remote code is needed.

Example:
    >>> import evop.hf
    >>> from transformers import AutoModelForCausalLM
    >>> model = AutoModelForCausalLM.from_pretrained("pruned")  # doctest: +SKIP
"""

from __future__ import annotations

import transformers
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from evop.export import modeling_evop
from evop.families import FAMILIES

__all__ = ["register"]


def register() -> None:
    """Make every family's heterogeneous classes known to the auto classes; again is harmless."""
    for model_type in (name for family in FAMILIES for name in family.model_types):
        base = type(transformers.AutoConfig.for_model(model_type)).__name__.removesuffix("Config")
        config = getattr(modeling_evop, f"Evop{base}Config")
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModel.register(config, getattr(modeling_evop, f"Evop{base}Model"), exist_ok=True)
        AutoModelForCausalLM.register(config, getattr(modeling_evop, f"Evop{base}ForCausalLM"), exist_ok=True)


register()

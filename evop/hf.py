"""Register heterogeneous checkpoints with transformers: after ``import evop.hf`` they need no remote code.

vLLM calls ``register`` itself where evop is installed beside it (entry point ``vllm.general_plugins``); that it is
called there was not run, no GPU being at hand.

Example:
    >>> import evop.hf
    >>> from transformers import AutoModelForCausalLM
    >>> model = AutoModelForCausalLM.from_pretrained("pruned")  # doctest: +SKIP
"""

from __future__ import annotations

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from evop.export.config import auto_classes
from evop.export.configuration_decilm import DeciLMConfig
from evop.model.families import FAMILIES
from evop.removal import modeling_evop

__all__ = ["register"]


def register() -> None:
    """Make every family's heterogeneous classes, and DeciLM's config, known to the auto classes.

    Doing it again is harmless.
    """
    AutoConfig.register(DeciLMConfig.model_type, DeciLMConfig, exist_ok=True)
    for model_type in (name for family in FAMILIES for name in family.model_types):
        classes = {auto: getattr(modeling_evop, f"Evop{name}") for auto, name in auto_classes(model_type).items()}
        config = classes["AutoConfig"]
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModel.register(config, classes["AutoModel"], exist_ok=True)
        AutoModelForCausalLM.register(config, classes["AutoModelForCausalLM"], exist_ok=True)


register()
